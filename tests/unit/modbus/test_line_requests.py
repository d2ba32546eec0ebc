"""Commands to meters and other people's questions on a line that is being polled."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from modbus_connection import IllegalDataAddressError, ModbusConnectionError, ModbusUnit
import pytest

from custom_components.energy_meter.model import Rate
from custom_components.energy_meter.sources.base import SourceError
from custom_components.energy_meter.sources.modbus.profile import Table
from tests.support.frames import Adu
from tests.support.virtual_line import VirtualMeter
from tests.support.virtual_time import run_virtual

from .line_bench import AT_ONCE, SDM120, Bench, bench, fill, profile_of

WITH_CONTROLS = (
    SDM120
    + """
controls:
  - {key: relay, kind: switch, address: 26, table: holding, type: uint16, options: {0: off, 1: on}}
  - {key: tariff, kind: switch, address: 3, table: coil, type: bit, options: {0: off, 1: on}, write: single}
  - {key: parity, kind: select, address: 34, table: holding, type: uint16, options: {0: none, 1: even}}
  - {key: ct_ratio, kind: number, address: 30, table: holding, type: float32, minimum: 1, maximum: 9999, step: 1}
  - {key: ct_primary, kind: number, address: 32, table: holding, type: uint16, scale: 0.1, minimum: 0, maximum: 100, step: 0.1, write: single}
  - {key: unit_id, kind: number, address: 33, table: holding, type: uint8, byte: high, minimum: 1, maximum: 247, step: 1}
  - {key: reset_energy, kind: button, address: 34, table: holding, type: uint16, write_value: 513}
"""
)

HELD = {26: 0, 30: 0, 31: 0, 32: 0, 33: 0x0207, 34: 0}


def with_controls(line: Bench, **config: Any) -> VirtualMeter:
    meter = fill(line.wire.add(VirtualMeter(1)), line.profile)
    for address, word in HELD.items():
        meter.registers[Table.HOLDING, address] = word
    for address in (3, 4):
        meter.registers[Table.COIL, address] = 0
    return line.add(1, **config)


def read(address: int, count: int = 2) -> Callable[[ModbusUnit], Coroutine[Any, Any, list[int]]]:
    async def ask(unit: ModbusUnit) -> list[int]:
        return await unit.read_input_registers(address, count)

    return ask


# Commands


@pytest.mark.parametrize(
    ("control", "value", "written"),
    [
        ("relay", 1, (16, 26, (1,))),
        ("tariff", 1, (5, 3, (1,))),
        ("ct_ratio", 250, (16, 30, (0x437A, 0))),
        ("ct_primary", 12.3, (6, 32, (123,))),
        ("unit_id", 9, (16, 33, (0x0907,))),
    ],
)
def test_a_control_is_written_as_the_meter_wants_it_and_read_back(
    control: str, value: float, written: tuple[int, int, tuple[int, ...]]
) -> None:
    async def run() -> None:
        async with bench(profile_of(WITH_CONTROLS)) as line:
            meter = with_controls(line)
            await line.run(10)
            assert await line.line.command("1", control, value) == pytest.approx(value)
            assert meter.written == [written]

    run_virtual(run())


def test_a_meter_that_takes_another_address_is_asked_there() -> None:
    async def run() -> None:
        async with bench(profile_of(WITH_CONTROLS)) as line:
            meter = with_controls(line)
            line.add(2)
            await line.run(10)

            def move(request: Adu, frame: bytes) -> bytes:
                if request.pdu[0] == 16 and request.unit_id == 1:
                    line.wire.meters[9] = line.wire.meters.pop(1)
                    meter.unit_id = 9
                return frame

            line.wire.damage = move
            assert await line.line.command("1", "unit_id", 9) == 9
            line.line.update_meter(line.config(9, meter_id="1"))
            moved = line.now()
            await line.run(10)
            readings = [each for each in line.recorder.readings if each.meter_id == "1"]
            assert readings[-1].monotonic > moved

    run_virtual(run())


def test_a_meter_that_changes_its_speed_need_not_be_within_reach_any_more() -> None:
    async def run() -> None:
        async with bench(profile_of(WITH_CONTROLS)) as line:
            meter = with_controls(line)
            await line.run(10)

            def leave(request: Adu, frame: bytes) -> bytes:
                meter.silent = meter.silent or request.pdu[0] == 16
                return frame

            line.wire.damage = leave
            assert await line.line.command("1", "parity", 1) == 1

    run_virtual(run())


def test_a_button_is_pressed_and_says_nothing() -> None:
    async def run() -> None:
        async with bench(profile_of(WITH_CONTROLS)) as line:
            meter = with_controls(line)
            assert await line.line.command("1", "reset_energy", None) is None
            assert meter.written == [(16, 34, (513,))]

    run_virtual(run())


def test_a_command_goes_before_everything_that_waits() -> None:
    async def run() -> None:
        async with bench(profile_of(WITH_CONTROLS)) as line:
            with_controls(line, **AT_ONCE)
            for unit in range(2, 31):
                line.add(unit, **AT_ONCE)
            await line.run(20.03)
            began = line.now()
            asyncio.get_running_loop().create_task(line.line.request(2, read(0)))
            await line.line.command("1", "relay", 1)
            # What was on the wire, the write and the reading back; not a round of 3 s.
            assert line.now() - began < 0.4

    run_virtual(run())


@pytest.mark.parametrize("lost", [1, 2])
def test_a_lost_acknowledgement_is_resolved_by_reading_back(lost: int) -> None:
    async def run() -> None:
        async with bench(profile_of(WITH_CONTROLS)) as line:
            meter = with_controls(line)
            await line.run(10)
            left = [True] * lost
            line.wire.damage = lambda request, frame: (
                b"" if request.pdu[0] == 16 and left and left.pop() else frame
            )
            assert await line.line.command("1", "relay", 1) == 1
            assert meter.registers[Table.HOLDING, 26] == 1

    run_virtual(run())


def error_of(
    control: str, value: float | None, spoil: Callable[[Bench, VirtualMeter], None]
) -> SourceError:
    async def run() -> SourceError:
        async with bench(profile_of(WITH_CONTROLS)) as line:
            meter = with_controls(line)
            line.add(2)
            await line.run(10)
            spoil(line, meter)
            with pytest.raises(SourceError) as error:
                await line.line.command("1", control, value)
            count = len(line.times(2))
            await line.run(20)
            assert len(line.times(2)) > count
            return error.value

    return run_virtual(run())


def nothing(line: Bench, meter: VirtualMeter) -> None:
    """Leave all as it is."""


def fall_silent(line: Bench, meter: VirtualMeter) -> None:
    meter.silent = True


def refuse(line: Bench, meter: VirtualMeter) -> None:
    del meter.registers[Table.HOLDING, 26]


def stick(line: Bench, meter: VirtualMeter) -> None:
    def hold(meter: VirtualMeter, table: Table, address: int, count: int) -> None:
        meter.registers[Table.HOLDING, 26] = 0

    meter.before_read = hold


@pytest.mark.parametrize(
    ("control", "value", "spoil", "key"),
    [
        ("relay", 1, fall_silent, "control_no_answer"),
        ("reset_energy", None, fall_silent, "control_no_answer"),
        ("unit_id", 9, fall_silent, "control_no_answer"),
        ("relay", 1, refuse, "control_refused"),
        ("relay", 1, stick, "control_mismatch"),
        ("relay", 2, nothing, "control_invalid_value"),
        ("relay", None, nothing, "control_invalid_value"),
        ("ct_ratio", 0, nothing, "control_invalid_value"),
        ("ct_ratio", 10000, nothing, "control_invalid_value"),
        ("ct_ratio", float("nan"), nothing, "control_invalid_value"),
        ("nonsense", 1, nothing, "unknown_control"),
    ],
)
def test_a_control_that_fails_says_why_and_polling_goes_on(
    control: str, value: float | None, spoil: Callable[[Bench, VirtualMeter], None], key: str
) -> None:
    assert error_of(control, value, spoil).key == key


def test_a_command_over_a_lost_link_says_so() -> None:
    async def run() -> None:
        async with bench(profile_of(WITH_CONTROLS)) as line:
            with_controls(line)
            await line.run(10)
            line.wire.unplug()
            await line.run(1)
            with pytest.raises(SourceError) as error:
                await line.line.command("1", "relay", 1)
            assert error.value.key == "link_down"
            line.wire.plug()
            await line.run(2)
            assert await line.line.command("1", "relay", 1) == 1

    run_virtual(run())


def test_no_command_reaches_a_meter_that_is_another_one() -> None:
    async def run() -> None:
        async with bench(profile_of(WITH_CONTROLS)) as line:
            meter = with_controls(line, serial_number="5")
            await line.run(20)
            with pytest.raises(SourceError) as error:
                await line.line.command("1", "relay", 1)
            assert error.value.key == "wrong_meter"
            assert error.value.placeholders == {"expected": "5", "found": "1001"}
            assert meter.written == []
            with pytest.raises(SourceError) as error:
                await line.line.command("7", "relay", 1)
            assert error.value.key == "unknown_meter"

    run_virtual(run())


# Requests


def test_a_request_runs_between_polls_and_its_errors_come_back() -> None:
    async def run() -> None:
        async with bench() as line:
            line.add(1, **AT_ONCE)
            line.wire.add(VirtualMeter(7, {(Table.INPUT, 0): 5}, strict=True))
            await line.run(10)
            assert await line.line.request(7, read(0, 1), timeout=0.2) == [5]
            with pytest.raises(IllegalDataAddressError):
                await line.line.request(7, read(1, 1), timeout=0.2)
            with pytest.raises(TimeoutError):
                await line.line.request(8, read(0, 1), timeout=0.2)
            assert line.line.health.errors == 0
            assert line.recorder.events == []

    run_virtual(run())


def test_a_search_gets_half_of_a_busy_line_and_polling_the_other() -> None:
    async def run() -> None:
        async with bench() as line:
            for unit in range(1, 6):
                line.add(unit, **AT_ONCE)
            await line.run(20)
            alone = line.mean_gap(range(1, 6), since=line.began + 10)
            began = line.now()
            for unit in range(100, 200):
                with pytest.raises(TimeoutError):
                    await line.line.request(unit, read(0), timeout=0.07)
            took = line.now() - began
            assert took < 2.5 * 100 * 0.075
            assert line.mean_gap(range(1, 6), since=began) < 2.3 * alone
            line.check()

    run_virtual(run())


def test_the_wait_for_the_line_does_not_count_as_the_requests_time() -> None:
    async def run() -> None:
        async with bench() as line:
            for unit in range(1, 11):
                line.add(unit, **AT_ONCE)
            await line.run(20)
            results = await asyncio.gather(
                *(line.line.request(unit, read(0), timeout=0.08) for unit in range(1, 11))
            )
            assert len(results) == 10

    run_virtual(run())


def test_a_request_whose_asker_has_gone_is_not_sent() -> None:
    async def run() -> None:
        async with bench() as line:
            line.add(1, **AT_ONCE)
            other = line.wire.add(VirtualMeter(9))
            await line.run(5.01)
            task = asyncio.create_task(line.line.request(9, read(0)))
            await asyncio.sleep(0)
            task.cancel()
            await line.run(5)
            assert other.asked == []
            assert task.cancelled()

    run_virtual(run())


def test_requests_work_on_a_line_without_meters_and_do_not_wait_ten_seconds() -> None:
    async def run() -> None:
        async with bench() as line:
            began = line.now()
            with pytest.raises(TimeoutError):
                await line.line.request(1, read(0))
            assert line.now() - began < 1.2

    run_virtual(run())


def test_who_waits_when_the_line_stops_is_told() -> None:
    async def run() -> None:
        async with bench(start=False) as line:
            line.add(1)
            waiting = asyncio.create_task(line.line.request(1, read(0)))
            commanding = asyncio.create_task(line.line.request(1, read(0), urgent=True))
            await line.run(1)
            await line.line.stop()
            for task in (waiting, commanding):
                with pytest.raises(ModbusConnectionError):
                    await task
            with pytest.raises(ModbusConnectionError):
                await line.line.request(1, read(0))

    run_virtual(run())


def test_who_is_being_served_when_the_line_stops_is_told() -> None:
    async def run() -> None:
        async with bench() as line:
            waiting = asyncio.create_task(line.line.request(1, read(0)))
            await line.run(0.1)
            await line.line.stop()
            with pytest.raises(ModbusConnectionError):
                await waiting

    run_virtual(run())


def test_a_borrowed_unit_cannot_change_the_links_settings() -> None:
    async def run() -> None:
        async with bench() as line:
            line.add(1)
            await line.run(5)

            async def meddle(unit: ModbusUnit) -> bool:
                unit.require_timeout(30)
                unit.set_message_spacing(5)
                return unit.connected

            assert await line.line.request(1, meddle)
            assert line.wire.connection._timeout == pytest.approx(1.0)

    run_virtual(run())


def test_a_control_can_be_asked_what_it_is_set_to() -> None:
    async def run() -> None:
        async with bench(profile_of(WITH_CONTROLS)) as line:
            meter = with_controls(line)
            meter.registers[Table.HOLDING, 26] = 1
            await line.run(10)
            assert await line.line.read_control("1", "relay") == 1
            assert await line.line.read_control("1", "unit_id") == 2
            meter.refused.add((Table.HOLDING, 26))
            assert await line.line.read_control("1", "relay") is None
            for meter_id, control, key in (
                ("9", "relay", "unknown_meter"),
                ("1", "nonsense", "unknown_control"),
            ):
                with pytest.raises(SourceError) as error:
                    await line.line.read_control(meter_id, control)
                assert error.value.key == key
            meter.silent = True
            with pytest.raises(SourceError) as error:
                await line.line.read_control("1", "ct_primary")
            assert error.value.key == "control_no_answer"

    run_virtual(run())


@pytest.mark.parametrize("interval", [0.0, 600.0])
def test_counters_can_be_asked_for_before_their_time(interval: float) -> None:
    async def run() -> None:
        async with bench() as line:
            line.add(1, fast_interval=2.0, counter_interval=interval, slow_interval=interval)
            await line.run(65)
            asked = line.now()
            line.line.read_soon("1", Rate.COUNTER)
            await line.run(2.5)
            assert line.times(1, "energy_import", since=asked)
            line.line.read_soon("nobody", Rate.COUNTER)

    run_virtual(run())
