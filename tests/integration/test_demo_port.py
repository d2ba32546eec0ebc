"""The demo's serial port: a path to type in, with meters that answer at their own speed only."""

import asyncio

from modbus_connection import IllegalDataAddressError, ModbusSerialParams
from modbus_connection.tmodbus import ModbusConnection
import pytest

from custom_components.energy_meter.sources.simulated.meter import METERS
from scripts.demo_port import SimulatedPort


@pytest.mark.usefixtures("socket_enabled")
async def test_meters_answer_at_the_speed_they_were_left_at() -> None:
    async with SimulatedPort() as port:
        for baudrate in (9_600, 2_400):
            connection = ModbusConnection(ModbusSerialParams(device=port.path, baudrate=baudrate))
            answering = []
            for spec in METERS:
                unit = connection.for_unit(spec.unit_id)
                unit.require_timeout(0.4)
                try:
                    await unit.read_holding_registers(0, 2)
                except TimeoutError:
                    continue
                except IllegalDataAddressError:
                    pass  # A refusal is an answer too.
                answering.append(spec.unit_id)
            await connection.close()
            await asyncio.sleep(0)
            assert answering == [each.unit_id for each in METERS if each.baudrate == baudrate]
