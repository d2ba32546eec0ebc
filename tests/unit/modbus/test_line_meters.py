"""What a line makes of a meter's identity, factors, refusals and odd layouts."""

import struct
from typing import Any

import pytest

from custom_components.energy_meter.sources.modbus.profile import Table
from custom_components.energy_meter.sources.modbus.sunspec import MARKER, find_model
from tests.support.virtual_line import VirtualMeter
from tests.support.virtual_time import run_virtual

from .line_bench import AT_ONCE, HEAD, SDM120, Bench, bench, fill, profile_of, truth

# Identity


def test_a_meter_with_the_right_serial_number_is_read_and_says_who_it_is() -> None:
    async def run() -> None:
        async with bench() as line:
            line.add(1, serial_number="1001")
            await line.run(60)
            assert line.times(1)
            assert line.recorder.events == []
            info = line.recorder.infos[-1]
            assert (info.serial_number, info.firmware) == ("1001", "1001")
            assert (info.manufacturer, info.model, info.phases) == ("Test", "Meter", 1)
            assert len(info.quantities) == 13

    run_virtual(run())


def test_another_meter_at_the_address_is_reported_once_and_nothing_of_it_delivered() -> None:
    async def run() -> None:
        async with bench() as line:
            meter = line.add(1, serial_number="555")
            await line.run(120)
            assert line.recorder.readings == []
            assert line.events(1) == ["wrong"]
            meter.registers[Table.HOLDING, 64513] = 555
            await line.run(15)
            assert line.times(1)
            assert line.recorder.infos[-1].serial_number == "555"
            line.check()

    run_virtual(run())


def test_a_meter_exchanged_while_it_was_silent_is_noticed_before_a_value_of_it_is_delivered() -> (
    None
):
    async def run() -> None:
        async with bench() as line:
            meter = line.add(1, serial_number="1001")
            line.add(2)
            await line.run(30)
            meter.silent = True
            await line.run(30)
            meter.silent = False
            meter.registers[Table.HOLDING, 64513] = 7
            exchanged = line.now()
            await line.run(120)
            assert line.events(1) == ["silent", "back", "wrong"]
            assert line.times(1, since=exchanged) == []

    run_virtual(run())


def test_a_meter_exchanged_behind_a_link_that_was_gone_is_noticed() -> None:
    async def run() -> None:
        async with bench() as line:
            meter = line.add(1, serial_number="1001")
            await line.run(30)
            line.wire.unplug()
            await line.run(10)
            line.wire.plug()
            meter.registers[Table.HOLDING, 64513] = 7
            exchanged = line.now()
            await line.run(30)
            assert line.events(1)[-1] == "wrong"
            assert line.times(1, since=exchanged) == []

    run_virtual(run())


def test_the_serial_number_is_looked_at_again_now_and_then() -> None:
    async def run() -> None:
        async with bench() as line:
            meter = line.add(1, serial_number="1001")
            await line.run(30)
            meter.registers[Table.HOLDING, 64513] = 7
            await line.run(1000)
            assert line.events(1) == ["wrong"]
            assert line.line.info("1") is not None

    run_virtual(run())


def test_a_meter_that_refuses_its_serial_number_is_not_the_one_that_gave_it_at_set_up() -> None:
    async def run() -> None:
        async with bench() as line:
            meter = line.add(1, serial_number="1001")
            meter.refused.add((Table.HOLDING, 64512))
            await line.run(60)
            assert line.events(1) == ["wrong"]
            assert line.recorder.readings == []

    run_virtual(run())


def test_an_exchanged_meter_is_read_once_the_user_has_agreed() -> None:
    async def run() -> None:
        async with bench() as line:
            line.add(1, serial_number="555")
            await line.run(20)
            line.line.update_meter(line.config(1, serial_number="1001"))
            await line.run(10)
            assert line.times(1)
            line.check()

    run_virtual(run())


# Factors

WITH_RATIO = (
    HEAD
    + """
modbus: {table: holding, max_registers: 20, strict: false, turnaround: 0.02}
factors:
  ct: {formula: ratio, sources: [{address: 6, type: uint16}]}
registers:
  - {key: voltage, address: 100, type: uint16, scale: 0.1, unit: V}
  - {key: power, address: 110, type: uint16, unit: W, factor: ct}
  - {key: energy_import, address: 120, type: uint32, scale: 0.01, unit: kWh, factor: ct}
"""
)


def with_ratio(unit_id: int) -> VirtualMeter:
    registers = {6: 40, 100: 2300, 110: 25, 120: 0, 121: 1000}
    return VirtualMeter(
        unit_id, {(Table.HOLDING, address): word for address, word in registers.items()}
    )


def test_a_value_is_not_delivered_before_the_ratio_that_it_has_to_be_multiplied_by() -> None:
    async def run() -> None:
        async with bench(profile_of(WITH_RATIO)) as line:
            meter = line.wire.add(with_ratio(1))
            meter.refused.add((Table.HOLDING, 6))
            line.add(1)
            await line.run(60)
            assert line.recorder.latest("1") == {"voltage": 230.0}
            assert ("holding", 6, 1) in line.line.health.meters["1"].refused

    run_virtual(run())


def test_ratios_are_read_at_the_start_and_every_few_minutes() -> None:
    async def run() -> None:
        async with bench(profile_of(WITH_RATIO)) as line:
            meter = line.wire.add(with_ratio(1))
            line.add(1)
            await line.run(60)
            assert line.recorder.readings[0].values["power"] == 1000
            assert line.recorder.latest("1")["energy_import"] == 400.0
            meter.registers[Table.HOLDING, 6] = 80
            await line.run(500)
            assert line.recorder.latest("1")["power"] == 2000
            assert {reading.values["power"] for reading in line.recorder.readings if "power" in reading.values} == {1000, 2000}  # fmt: skip

    run_virtual(run())


# Refusals


def refusing(line: Bench, *addresses: int, **config: Any) -> VirtualMeter:
    meter = fill(line.wire.add(VirtualMeter(1)), line.profile)
    for address in addresses:
        meter.refused.add((Table.INPUT, address))
    return line.add(1, **config)


def test_a_refused_register_is_found_by_halves_and_the_rest_goes_on_being_read() -> None:
    async def run() -> None:
        async with bench() as line:
            meter = refusing(line, 24)
            await line.run(70)
            health = line.line.health.meters["1"]
            assert health.refused == (("input", 24, 2),)
            latest = line.recorder.latest("1")
            assert latest.keys() == {register.key for register in line.profile.registers} - {"reactive_power"}  # fmt: skip
            info = line.line.info("1")
            assert info is not None
            assert "reactive_power" not in info.quantities
            assert health.answering
            before = len(meter.asked)
            await line.run(300)
            touched = [each for each in meter.asked[before:] if each[2] <= 24 < each[2] + each[3]]
            assert touched == []
            line.check()

    run_virtual(run())


def test_what_a_meter_refuses_is_remembered_and_tried_again_after_a_week() -> None:
    async def run() -> None:
        async with bench() as line:
            refusing(line, 24)
            await line.run(70)
            memory = line.line.memory("1")
        async with bench() as line:
            often = {"fast_interval": 900.0, "counter_interval": 900.0, "slow_interval": 900.0}
            meter = refusing(line, 24, memory=memory, **often)
            await line.run(1000)
            assert not [each for each in meter.asked if each[2] <= 24 < each[2] + each[3]]
            meter.refused.clear()
            await line.run(8 * 24 * 3600)
            assert line.line.health.meters["1"].refused == ()
            assert "reactive_power" in line.recorder.latest("1")

    run_virtual(run())


def test_a_hole_that_a_meter_does_not_let_itself_be_read_over_is_found() -> None:
    async def run() -> None:
        async with bench() as line:
            refusing(line, 9)
            await line.run(100)
            assert line.line.health.meters["1"].refused == ()
            assert len(line.recorder.latest("1")) == 13
            blocks = line.line.timings("1")["blocks"]
            assert not [each for each in blocks if each[1] <= 9 < each[1] + each[2]]
            line.check()

    run_virtual(run())


def test_a_meter_that_allows_shorter_requests_than_its_profile_says_gets_them() -> None:
    async def run() -> None:
        async with bench() as line:
            meter = fill(line.wire.add(VirtualMeter(1)), line.profile)
            meter.max_registers = 12
            line.add(1, **AT_ONCE)
            await line.run(120)
            assert len(line.recorder.latest("1")) == 13
            assert line.line.health.meters["1"].refused == ()
            assert all(count <= 12 for _, _, count in line.line.timings("1")["blocks"])
            line.check()

    run_virtual(run())


@pytest.mark.parametrize("code", [1, 2, 3, 4])
def test_a_meter_that_refuses_everything_while_it_starts_is_not_remembered_so(code: int) -> None:
    async def run() -> None:
        async with bench() as line:
            meter = line.add(1)
            meter.exception = lambda: code
            await line.run(120)
            assert line.line.health.meters["1"].refused == ()
            meter.exception = lambda: None
            await line.run(140)
            assert len(line.recorder.latest("1")) == 13
            assert line.line.memory("1").keys() <= {"turnaround"}

    run_virtual(run())


def test_a_meter_in_trouble_for_some_minutes_keeps_all_its_registers() -> None:
    async def run() -> None:
        async with bench() as line:
            meter = line.add(1)
            await line.run(70)
            meter.exception = lambda: 2
            await line.run(300)
            meter.exception = lambda: None
            await line.run(70)
            assert line.line.health.meters["1"].refused == ()
            since = line.now() - 65
            assert all(line.times(1, each.key, since=since) for each in line.profile.registers)

    run_virtual(run())


def test_a_memory_that_makes_no_sense_is_ignored() -> None:
    async def run() -> None:
        memory = {"turnaround": "x", "barred": [["nowhere", 1], 3], "whole": 7, "longest": [1]}
        async with bench() as line:
            line.add(1, memory=memory)
            await line.run(70)
            assert len(line.recorder.latest("1")) == 13

    run_virtual(run())


# Layouts


def test_a_variant_and_another_word_order_are_taken_into_account() -> None:
    text = SDM120 + (
        "variants:\n"
        "  - key: other\n"
        "    description: Power elsewhere\n"
        "    replaces: false\n"
        "    registers:\n"
        "      - {key: power, address: 400, type: float32, unit: W}\n"
    )

    async def run() -> None:
        async with bench(profile_of(text)) as line:
            meter = VirtualMeter(1)
            for register in line.profile.arranged("other").registers:
                high, low = struct.unpack(">HH", struct.pack(">f", truth(1, register)))
                meter.registers[Table.INPUT, register.span.address] = low
                meter.registers[Table.INPUT, register.span.address + 1] = high
            line.wire.add(meter)
            line.add(1, variant="other", word_order="little")
            await line.run(70)
            latest = line.recorder.latest("1")
            assert latest["power"] == 4096 + 400 + 1
            assert latest["voltage"] == 4096 + 1
            with pytest.raises(KeyError):
                line.line.add_meter(line.config(2, variant="none"), line.recorder)

    run_virtual(run())


WIDE = (
    HEAD
    + """
modbus: {table: holding, max_registers: 14, strict: false, turnaround: 0.02, wide_registers: true}
registers:
  - {key: voltage, address: 72, type: uint32, scale: 0.0001, unit: V}
  - {key: power, address: 74, type: uint32, scale: 0.0001, unit: W}
"""
)


def test_registers_of_four_bytes_are_read_although_no_standard_knows_them() -> None:
    async def run() -> None:
        async with bench(profile_of(WIDE)) as line:
            line.wire.add(
                WideMeter(1, {(Table.HOLDING, 72): 2_301_234, (Table.HOLDING, 74): 70_000})
            )
            line.add(1)
            await line.run(20)
            assert line.recorder.latest("1") == {"voltage": 230.1234, "power": 7.0}
            assert line.line.health.errors == 0
            assert line.line.health.foreign_traffic == 0

    run_virtual(run())


class WideMeter(VirtualMeter):
    """Sends four bytes per register."""

    def answer(self, request: Any) -> Any:
        address, count = struct.unpack(">HH", request.pdu[1:5])
        words = [self.registers.get((Table.HOLDING, address + n), 0) for n in range(count)]
        data = b"".join(word.to_bytes(4) for word in words)
        return type(request)(request.unit_id, bytes([3, len(data)]) + data)


# SunSpec

SUNSPEC = (
    HEAD
    + """
modbus: {table: holding, max_registers: 107, strict: false, turnaround: 0.02, relocatable: true}
identification:
  - {function: sunspec, models: [203]}
registers:
  - {key: voltage, address: 7, type: int16, unit: V}
  - {key: power, address: 18, type: int16, unit: W}
"""
)


def sunspec_meter(unit_id: int, start: int, base: int) -> VirtualMeter:
    words = {start: MARKER[0], start + 1: MARKER[1], start + 2: 1, start + 3: base - start - 4}
    words |= {base: 203, base + 1: 105, base + 7: 231, base + 18: 1500, base + 107: 0xFFFF}
    return VirtualMeter(
        unit_id, {(Table.HOLDING, address): word for address, word in words.items()}
    )


@pytest.mark.parametrize(
    ("start", "base"), [(40000, 40070), (50000, 50069), (0, 188), (4096, 4166)]
)
def test_a_sunspec_block_is_found_wherever_it_is_and_remembered(start: int, base: int) -> None:
    async def run() -> None:
        async with bench(profile_of(SUNSPEC)) as line:
            line.wire.add(sunspec_meter(1, start, base))
            line.add(1)
            await line.run(20)
            assert line.recorder.latest("1") == {"voltage": 231, "power": 1500}
            memory = line.line.memory("1")
            assert memory["base_address"] == base
        async with bench(profile_of(SUNSPEC)) as line:
            meter = line.wire.add(sunspec_meter(1, start, base))
            line.add(1, memory=memory)
            await line.run(10)
            assert line.recorder.latest("1") == {"voltage": 231, "power": 1500}
            assert not [each for each in meter.asked if each[2] == start]

    run_virtual(run())


SUNSPEC_WITH_SERIAL = (
    SUNSPEC
    + """info:
  - {key: serial_number, address: 50, type: string, length: 16}
"""
)


@pytest.mark.parametrize("length", [66, 65])
def test_a_sunspec_meter_is_known_by_the_serial_number_before_its_block(length: int) -> None:
    base = 40004 + length
    text = [int.from_bytes(pair.encode()) for pair in ("AB", "12", "34")]

    def device() -> VirtualMeter:
        meter = sunspec_meter(1, 40000, base)
        for place in range(16):
            word = text[place] if place < len(text) else 0
            meter.registers[Table.HOLDING, 40052 + place] = word
        return meter

    async def run() -> None:
        async with bench(profile_of(SUNSPEC_WITH_SERIAL)) as line:
            line.wire.add(device())
            line.add(1, serial_number="AB1234")
            await line.run(20)
            assert line.recorder.latest("1") == {"voltage": 231, "power": 1500}
            info = line.line.info("1")
            assert info is not None
            assert info.serial_number == "AB1234"
            memory = line.line.memory("1")
            assert memory["common_address"] == 40002
        async with bench(profile_of(SUNSPEC_WITH_SERIAL)) as line:
            line.wire.add(device())
            line.add(1, serial_number="another", memory=memory)
            await line.run(20)
            assert line.recorder.latest("1") == {}
            assert "wrong" in line.events(1)

    run_virtual(run())


def test_a_device_without_the_block_is_asked_again_later_and_disturbs_nobody() -> None:
    async def run() -> None:
        async with bench(profile_of(SUNSPEC)) as line:
            empty = line.wire.add(VirtualMeter(1))
            line.wire.add(sunspec_meter(2, 40000, 40070))
            line.add(1)
            line.add(2)
            await line.run(60)
            assert len(line.times(2)) >= 11
            assert len(empty.asked) < 20
            line.wire.meters[1] = sunspec_meter(1, 40000, 40070)
            await line.run(40)
            assert line.recorder.latest("1") == {"voltage": 231, "power": 1500}

    run_virtual(run())


def test_a_sunspec_device_that_is_silent_at_the_start_is_found_when_it_answers() -> None:
    async def run() -> None:
        async with bench(profile_of(SUNSPEC)) as line:
            meter = line.wire.add(sunspec_meter(1, 40000, 40070))
            meter.silent = True
            line.add(1)
            await line.run(30)
            assert line.events(1) == ["silent"]
            meter.silent = False
            await line.run(30)
            assert line.events(1) == ["silent", "back"]
            assert line.recorder.latest("1") == {"voltage": 231, "power": 1500}

    run_virtual(run())


def test_a_chain_that_runs_in_a_circle_or_off_the_end_is_left() -> None:
    async def run() -> None:
        async def endless(span: Any) -> list[int] | None:
            return MARKER if span.address == 40000 else [1, 60000]

        assert await find_model(endless, {203}) is None

        async def nothing(span: Any) -> list[int] | None:
            return None

        assert await find_model(nothing, {203}) is None

    run_virtual(run())
