"""The counterpart of the line's tests is itself held to account: timing, framing and each fault."""

import asyncio
from collections.abc import AsyncIterator
import contextlib
import os
from pathlib import Path
import time

from modbus_connection import ModbusSerialParams, ModbusTcpParams
from modbus_connection.exceptions import (
    IllegalDataAddressError,
    ModbusConnectionError,
    ModbusError,
    ModbusTimeoutError,
    ServerDeviceFailureError,
)
from modbus_connection.tmodbus import ModbusConnection
import pytest

from custom_components.energy_meter.sources.modbus.library import ProfileLibrary
from custom_components.energy_meter.sources.modbus.profile import Table
from tests.support.frames import Adu, crc16
from tests.support.meters import Meter
from tests.support.wire import (
    ByteTiming,
    Fault,
    FaultKind,
    RandomFaults,
    Wire,
    rtu_line,
    rtu_over_tcp_line,
    tcp_line,
)


def _meters() -> list[Meter]:
    return [Meter(unit_id=unit, input={n: 100 * unit + n for n in range(80)}) for unit in (1, 2)]


@contextlib.asynccontextmanager
async def _connected(
    line: Wire, *, timeout: float = 0.3, baudrate: int = 115200
) -> AsyncIterator[ModbusConnection]:
    connection = ModbusConnection(
        ModbusSerialParams(device=line.path, baudrate=baudrate), timeout=timeout
    )
    try:
        yield connection
    finally:
        await connection.close()


def test_check_sum_is_that_of_the_standard() -> None:
    # The example of Modbus over Serial Line V1.02, appendix B: unit 2, function 7 gives 0x1241.
    assert crc16(bytes([0x02, 0x07])) == bytes([0x41, 0x12])


async def test_a_reply_comes_when_a_real_line_would_have_carried_its_last_character() -> None:
    async with (
        rtu_line(_meters(), baudrate=9600, turnaround=0.02) as line,
        _connected(line, baudrate=9600) as connection,
    ):
        unit = connection.for_unit(1)
        for _ in range(5):
            await unit.read_input_registers(0, 10)
        # 8 characters, turn-around, 25 characters of 10 bits
        least = (8 + 25) * 10 / 9600 + 0.02
        for exchange in line.log:
            assert exchange.planned - exchange.start == pytest.approx(least, abs=1e-6)
            assert 0 <= exchange.lateness < 0.5
        assert line.statistics().busy == pytest.approx(5 * least, rel=0.01)


async def test_a_meter_that_insists_on_silence_loses_a_request_that_comes_too_early() -> None:
    async with rtu_line(_meters(), baudrate=600, insist_on_silence=True) as line:
        port = os.open(line.path, os.O_RDWR | os.O_NOCTTY)
        request = Adu(1, bytes([4, 0, 0, 0, 1])).rtu()
        try:
            os.write(port, request)
            await asyncio.to_thread(os.read, port, 256)
            os.write(port, request)
            await asyncio.sleep(0.25)
            os.write(port, request)
            await asyncio.to_thread(os.read, port, 256)
        finally:
            os.close(port)
        assert [exchange.fault for exchange in line.log] == [None, "no_silence", None]


async def test_two_who_talk_at_once_are_both_not_understood() -> None:
    async with rtu_line(_meters(), baudrate=600) as line:
        port = os.open(line.path, os.O_RDWR | os.O_NOCTTY)
        try:
            os.write(port, Adu(1, bytes([4, 0, 0, 0, 20])).rtu())
            await asyncio.sleep(0.3)  # 8 characters have gone, the reply of 45 is being sent
            os.write(port, Adu(2, bytes([4, 0, 0, 0, 1])).rtu())
            reply = await asyncio.to_thread(os.read, port, 256)
        finally:
            os.close(port)
        assert [exchange.fault for exchange in line.log] == ["collision", "collision"]
        assert crc16(reply[:-2]) != reply[-2:]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault(FaultKind.LOSE_REQUEST), ModbusTimeoutError),
        (Fault(FaultKind.DROP), ModbusTimeoutError),
        (Fault(FaultKind.CORRUPT), ModbusError),
        (Fault(FaultKind.TRUNCATE), ModbusTimeoutError),
        (Fault(FaultKind.EXCEPTION, code=4), ServerDeviceFailureError),
        (Fault(FaultKind.DELAY, seconds=0.4), ModbusTimeoutError),
    ],
    ids=lambda value: value.kind.value if isinstance(value, Fault) else "",
)
async def test_a_fault_hits_one_exchange_only(fault: Fault, expected: type[Exception]) -> None:
    async with rtu_line(_meters()) as line, _connected(line) as connection:
        unit = connection.for_unit(1)
        assert await unit.read_input_registers(0, 2) == [100, 101]
        line.inject(fault)
        with pytest.raises(expected):
            await unit.read_input_registers(0, 2)
        await asyncio.sleep(0.2)
        assert await unit.read_input_registers(0, 3) == [100, 101, 102]
        assert line.statistics().faults == {fault.kind.value: 1}


async def test_faults_may_be_aimed_at_one_unit() -> None:
    async with rtu_line(_meters()) as line, _connected(line) as connection:
        line.inject(Fault(FaultKind.DROP), unit=2)
        assert await connection.for_unit(1).read_input_registers(0, 1) == [100]
        with pytest.raises(ModbusTimeoutError):
            await connection.for_unit(2).read_input_registers(0, 1)


async def test_a_delayed_meter_answers_all_it_was_asked_in_order() -> None:
    async with rtu_line(_meters()) as line, _connected(line, timeout=0.2) as connection:
        line.inject(Fault(FaultKind.DELAY, seconds=0.3))
        with pytest.raises(ModbusTimeoutError):
            await connection.for_unit(1).read_input_registers(0, 2)
        # The late reply has the shape of this one and comes first: what makes late replies dangerous.
        assert await connection.for_unit(1).read_input_registers(10, 2) == [100, 101]


async def test_an_unplugged_adapter_comes_back_under_its_path() -> None:
    async with rtu_line(_meters()) as line, _connected(line) as connection:
        unit = connection.for_unit(1)
        assert await unit.read_input_registers(0, 1) == [100]
        line.unplug()
        for _ in range(2):
            # Which of the two depends on whether the loop has seen the hang-up before the request.
            with pytest.raises((ModbusConnectionError, OSError)):
                await unit.read_input_registers(0, 1)
        line.plug()
        async with asyncio.timeout(2):
            while True:
                # The client may still be busy taking the lost port down.
                with contextlib.suppress(ModbusConnectionError, OSError):
                    assert await unit.read_input_registers(0, 1) == [100]
                    break
                await asyncio.sleep(0.01)


async def test_random_faults_repeat_by_their_seed() -> None:
    def draw(seed: int) -> list[Fault | None]:
        faults = RandomFaults(
            seed, [(0.2, Fault(FaultKind.DROP)), (0.1, Fault(FaultKind.CORRUPT))], units=[1]
        )
        return [faults(Adu(1, b"\x04")) for _ in range(500)]

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)
    kinds = [fault.kind for fault in draw(1) if fault]
    assert 70 < kinds.count(FaultKind.DROP) < 130
    assert 30 < kinds.count(FaultKind.CORRUPT) < 70


async def test_a_strict_meter_refuses_holes_and_records_writes() -> None:
    meter = Meter(unit_id=1, holding={0: 1, 1: 2, 5: 6}, coils={0: 0})
    async with rtu_line([meter]) as line, _connected(line) as connection:
        unit = connection.for_unit(1)
        with pytest.raises(IllegalDataAddressError):
            await unit.read_holding_registers(0, 3)
        await unit.write_register(5, 60)
        await unit.write_registers(0, [10, 20])
        await unit.write_coil(0, True)
        assert meter.holding == {0: 10, 1: 20, 5: 60}
        assert meter.coils == {0: 1}
        assert [(one.table, one.address, one.values) for one in meter.writes] == [
            (Table.HOLDING, 5, (60,)),
            (Table.HOLDING, 0, (10, 20)),
            (Table.COIL, 0, (1,)),
        ]
        with pytest.raises(IllegalDataAddressError):
            await unit.write_register(9, 1)


async def test_each_unit_names_itself() -> None:
    meters = [
        Meter(unit_id=1, server_id=b"one", identification={0: "Maker", 1: "Model"}),
        Meter(unit_id=2),
    ]
    async with rtu_line(meters) as line, _connected(line) as connection:
        assert (await connection.for_unit(1).report_server_id()).startswith(b"one")
        assert await connection.for_unit(1).read_device_identification() == {
            0: b"Maker",
            1: b"Model",
        }
        with pytest.raises(ModbusError):
            await connection.for_unit(2).report_server_id()


async def test_a_meter_made_from_a_profile_shows_the_values_asked_for() -> None:
    profile = ProfileLibrary(None).load("carlo_gavazzi_em112")
    meter = Meter.from_profile(profile, 7, {"voltage": 230.5, "power": -1234.5})
    async with rtu_line([meter]) as line, _connected(line) as connection:
        words = await connection.for_unit(7).read_input_registers(0, 6)
        # Low word first, tenths: 2305 and -12345; the current in between was not given.
        assert words == [2305, 0, 0, 0, 0x10000 - 12345, 0xFFFF]
        meter.show(profile.registers, {"voltage": 231.0})
        assert await connection.for_unit(7).read_input_registers(0, 2) == [2310, 0]
        with pytest.raises(IllegalDataAddressError):
            await connection.for_unit(7).read_input_registers(0x0100, 2)


@pytest.mark.usefixtures("socket_enabled")
async def test_gateways_carry_the_same_line() -> None:
    async with tcp_line(_meters()) as line:
        connection = ModbusConnection(
            ModbusTcpParams(host="127.0.0.1", port=line.port), timeout=0.2
        )
        try:
            assert await connection.for_unit(2).read_input_registers(0, 2) == [200, 201]
            line.unplug()
            with pytest.raises(ModbusConnectionError):
                await connection.for_unit(2).read_input_registers(0, 2)
            line.plug()
            assert await connection.for_unit(2).read_input_registers(0, 2) == [200, 201]
        finally:
            await connection.close()
    async with rtu_over_tcp_line(_meters()) as line:
        connection = ModbusConnection(
            ModbusSerialParams(device=f"socket://127.0.0.1:{line.port}", baudrate=115200),
            timeout=0.2,
        )
        try:
            assert await connection.for_unit(1).read_input_registers(0, 2) == [100, 101]
        finally:
            await connection.close()


async def test_nothing_is_left_behind(tmp_path: Path) -> None:
    path = tmp_path / "adapter"
    async with rtu_line(_meters(), path=path):
        assert path.is_symlink()
    assert not path.is_symlink()
    assert ByteTiming(9600).silence == pytest.approx(0.00365, abs=1e-5)
    started = time.monotonic()
    async with rtu_line(_meters()):
        pass
    assert time.monotonic() - started < 3
