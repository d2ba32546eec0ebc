"""The simulated line: real models that show one house, and behave as meters on a wire do."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from modbus_connection import (
    IllegalDataAddressError,
    IllegalDataValueError,
    IllegalFunctionError,
    ModbusSerialParams,
    ModbusUnit,
)
from modbus_connection.tmodbus import ModbusConnection
import pytest

from custom_components.energy_meter.model import ControlKind
from custom_components.energy_meter.sources.modbus.codec import RegisterImage, decode
from custom_components.energy_meter.sources.modbus.discovery import plan_search, search
from custom_components.energy_meter.sources.modbus.library import ProfileLibrary
from custom_components.energy_meter.sources.modbus.link import LinkSettings, RtuOverTcpLink
from custom_components.energy_meter.sources.modbus.probe import TemporaryChannel
from custom_components.energy_meter.sources.modbus.profile import Register, Table
from custom_components.energy_meter.sources.simulated.house import House, shared_house
from custom_components.energy_meter.sources.simulated.meter import METERS, MeterSpec, meter_of
from custom_components.energy_meter.sources.simulated.modbus_line import HOST, SimulatedLine

pytestmark = pytest.mark.usefixtures("socket_enabled")

NOON = datetime(2026, 6, 3, 11, tzinfo=UTC).timestamp()
LIBRARY = ProfileLibrary(None)
BY_CIRCUIT = {spec.circuit: spec for spec in METERS}


@dataclass
class Bench:
    """A running line with a clock that stands, and a client on it."""

    connection: ModbusConnection
    house: House
    now: float = NOON

    def unit(self, unit_id: int) -> ModbusUnit:
        unit = self.connection.for_unit(unit_id)
        unit.require_timeout(1)
        return unit


@asynccontextmanager
async def bench(house: House | None = None) -> AsyncIterator[Bench]:
    house = house or shared_house()
    holder: list[Bench] = []
    line = SimulatedLine(house=house, clock=lambda: holder[0].now)
    port = await line.start()
    connection = ModbusConnection(
        ModbusSerialParams(device=f"socket://{HOST}:{port}", baudrate=115_200)
    )
    holder.append(Bench(connection, house))
    try:
        yield holder[0]
    finally:
        await connection.close()
        await line.stop()


async def read(unit: ModbusUnit, register: Register) -> float | str | None:
    """One register's value over the wire."""
    image = RegisterImage()
    for span in (*register.coherent_spans, *register.factor_spans):
        ask = (
            unit.read_holding_registers
            if span.table is Table.HOLDING
            else unit.read_input_registers
        )
        image.set(span, list(await ask(span.address, span.count)))
    return decode(register, image)


@pytest.mark.parametrize("spec", METERS, ids=lambda spec: spec.name)
async def test_every_register_of_every_meter_shows_the_house(spec: MeterSpec) -> None:
    profile = LIBRARY.load(spec.profile)
    async with bench() as line:
        meter = meter_of(spec, profile, line.house)
        for register in profile.registers:
            value = await read(line.unit(spec.unit_id), register)
            exact = meter.exact(register.key, NOON) or 0.0
            assert isinstance(value, float | int)
            coarse = max(register.scale, abs(exact) * 1e-6) + 1e-6
            assert abs(value) == pytest.approx(abs(exact), abs=coarse), register.key


async def test_the_identity_of_every_meter_can_be_read() -> None:
    async with bench() as line:
        for spec in METERS:
            if spec.serial_number:
                register = LIBRARY.load(spec.profile).info_register("serial_number")
                if register is not None:
                    serial = await read(line.unit(spec.unit_id), register)
                    assert str(serial) == str(spec.serial_number)


async def test_a_search_finds_every_meter_and_names_its_model() -> None:
    profiles = [LIBRARY.load(name.slug) for name in LIBRARY.names()]
    async with bench() as line:

        @asynccontextmanager
        async def borrow(unit_id: int) -> AsyncIterator[ModbusUnit]:
            yield line.unit(unit_id)

        def channel(link: LinkSettings) -> TemporaryChannel:
            return TemporaryChannel(borrow)

        link = RtuOverTcpLink(host=HOST, port=1)
        plan = plan_search(link, profiles, addresses=range(1, 11))
        result = await search(plan, channel, profiles)
    found = {one.unit_id: [each.slug for each in one.candidates] for one in result.found}
    assert set(found) == {spec.unit_id for spec in METERS}
    for spec in METERS:
        assert found[spec.unit_id][0] == spec.profile


async def test_an_address_without_a_meter_stays_silent() -> None:
    async with bench() as line:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await line.unit(77).read_holding_registers(0, 1)
        assert await line.unit(1).read_input_registers(0, 2)


async def test_a_strict_meter_refuses_its_holes_and_too_long_requests() -> None:
    strict = BY_CIRCUIT["workshop"]
    async with bench() as line:
        unit = line.unit(strict.unit_id)
        with pytest.raises(IllegalDataAddressError):
            await unit.read_input_registers(0x001A, 8)
        with pytest.raises(IllegalDataValueError):
            await unit.read_input_registers(0, 51)
        assert await unit.read_input_registers(0, 10)


async def test_a_lenient_meter_fills_its_holes_with_zeros() -> None:
    async with bench() as line:
        words = await line.unit(BY_CIRCUIT["solar"].unit_id).read_input_registers(0, 8)
        assert list(words[2:6]) == [0, 0, 0, 0]


async def test_a_meter_of_32_bit_values_refuses_half_of_one() -> None:
    async with bench() as line:
        with pytest.raises(IllegalDataAddressError):
            await line.unit(BY_CIRCUIT["grid"].unit_id).read_input_registers(1, 2)


async def test_a_code_below_a_measurement_answers_when_asked_for_alone() -> None:
    async with bench() as line:
        unit = line.unit(BY_CIRCUIT["workshop"].unit_id)
        assert list(await unit.read_input_registers(0x000B, 1)) == [100]


async def test_functions_other_than_registers_are_refused() -> None:
    async with bench() as line:
        with pytest.raises(IllegalFunctionError):
            await line.unit(1).read_fifo_queue(0)


async def test_the_relay_switches_the_pump_and_reads_back() -> None:
    spec = BY_CIRCUIT["pump"]
    profile = LIBRARY.load(spec.profile)
    relay = next(one for one in profile.controls if one.control.kind is ControlKind.SWITCH)
    power = profile.register("power")
    assert power is not None
    async with bench(House()) as line:
        unit = line.unit(spec.unit_id)
        grid = LIBRARY.load(BY_CIRCUIT["grid"].profile).register("power")
        assert grid is not None
        assert await read(unit, relay.register) == 1
        used = await read(unit, power)
        assert isinstance(used, int | float) and used > 80
        before = await read(line.unit(1), grid)
        await unit.write_registers(relay.register.span.address, [0])
        assert await read(unit, relay.register) == 0
        assert await read(unit, power) == 0
        after = await read(line.unit(1), grid)
        assert isinstance(before, float) and isinstance(after, float)
        assert before - after == pytest.approx(used, abs=1)
        line.now += 3_600
        await unit.write_registers(relay.register.span.address, [1])
        assert await read(unit, power) == pytest.approx(used, abs=5)


async def test_a_restarted_line_finds_a_relay_as_the_house_has_it() -> None:
    spec = BY_CIRCUIT["water_heater"]
    relay = next(
        one for one in LIBRARY.load(spec.profile).controls if one.control.kind is ControlKind.SWITCH
    )
    house = House()
    async with bench(house) as line:
        await line.unit(spec.unit_id).write_registers(relay.register.span.address, [0])
    async with bench(house) as line:
        assert await read(line.unit(spec.unit_id), relay.register) == 0


async def test_writes_to_measurements_are_refused() -> None:
    async with bench() as line:
        with pytest.raises(IllegalDataAddressError):
            await line.unit(1).write_registers(0x0048, [0, 0])


async def test_a_restarted_line_goes_on_where_it_was() -> None:
    register = LIBRARY.load(BY_CIRCUIT["grid"].profile).register("energy_import")
    assert register is not None
    async with bench() as line:
        before = await read(line.unit(1), register)
    async with bench(House()) as line:
        assert await read(line.unit(1), register) == before
        line.now += 86_400
        later = await read(line.unit(1), register)
        assert isinstance(before, float) and isinstance(later, float)
        assert later > before


async def test_a_stopped_line_hangs_up_and_frees_its_port() -> None:
    line = SimulatedLine(house=shared_house())
    port = await line.start()
    reader, writer = await asyncio.open_connection(HOST, port)
    await line.stop()
    assert await reader.read() == b""
    writer.close()
    with pytest.raises(OSError):
        await asyncio.open_connection(HOST, port)
    await line.stop()
