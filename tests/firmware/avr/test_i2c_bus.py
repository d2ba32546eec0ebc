"""The I²C monitor on a bus that is not kind: bad transactions, damaged commands, failing supplies."""

from collections.abc import Iterator
from contextlib import suppress
from random import Random

import pytest

from custom_components.energy_meter.sources.i2c.registers import (
    IDENTITY,
    MEASUREMENT,
    UNLOCK_KEY,
    Flag,
    Opcode,
    Result,
    command,
)
from tests.support.avr_bench import BenchError

from .monitor import STARTED, TIMSK1, Monitor, monitors

TIME_OUT = 0.03
"""Simulated seconds after which a monitor has let the bus go."""


@pytest.fixture
def own() -> Iterator[Monitor]:
    with monitors() as bench:
        bench.run(STARTED)
        yield Monitor(bench)


def is_well(monitor: Monitor) -> None:
    """It measures, answers and obeys."""
    assert monitor.measurement()["current"] == pytest.approx(10_000, abs=100)
    assert monitor.guarded(Opcode.DEAD_BAND, 30) is Result.DONE
    assert monitor.guarded(Opcode.DEAD_BAND, 100) is Result.DONE


@pytest.mark.parametrize("scl", [100_000, 400_000])
def test_the_clock_is_never_held_for_longer_than_the_map_allows(scl: float) -> None:
    with monitors(scl=scl) as bench:
        bench.run(STARTED)
        monitor = Monitor(bench)
        bench.set(hz=51.7, ih3=0.3, noise=3)
        longest = total = 0.0
        random = Random(5)
        for round_ in range(250):
            bench.run(random.uniform(0.0005, 0.02))
            if round_ % 20 == 0:
                monitor.write(Opcode.CAPTURE, 2)
            taken = bench.i2c(monitor.address, bytes((MEASUREMENT.pointer,)), MEASUREMENT.length)
            chunk = bench.i2c(monitor.address, bytes((0xE0, round_ % 9)), 62)
            plain = bench.i2c(monitor.address, read=IDENTITY.length)
            for each in (taken, chunk, plain):
                longest = max(longest, each.longest)
                total = max(total, each.stretched)
        assert longest <= 100
        assert total <= 1500
        told = monitor.diagnostics()["longest_stretch"] or 0
        assert told <= 100
        assert told >= longest - 15
        assert monitor.diagnostics()["overruns"] == 0


def test_every_block_read_at_any_moment_is_of_one_piece(own: Monitor) -> None:
    random = Random(7)
    last = -1
    for _ in range(150):
        own.bench.run(random.uniform(0.0001, 0.02))
        got = own.measurement()  # checks the CRC
        assert (got["sequence"] or 0) >= last
        last = got["sequence"] or 0
        assert (
            abs((got["voltage"] or 0) * (got["current"] or 0) / 100 - (got["apparent_power"] or 0))
            < 10_000
        )
    assert last > 5


@pytest.mark.parametrize("fault", ["stop", "vanish"])
@pytest.mark.parametrize(
    ("write", "read"),
    [
        (bytes((MEASUREMENT.pointer,)), 20),
        (b"", 7),
        (bytes((0xC0, 1, 2, 3)), 0),
        (bytes((MEASUREMENT.pointer,)), 0),
    ],
)
def test_a_master_that_stops_in_the_middle_costs_that_transaction(
    own: Monitor, fault: str, write: bytes, read: int
) -> None:
    before = own.diagnostics()["bus_errors"] or 0
    for _ in range(3):
        own.bench.i2c(own.address, write, read, fault=fault)
        own.bench.run(TIME_OUT)
    assert own.diagnostics()["bus_errors"] == before + 3
    is_well(own)


def test_a_command_that_is_torn_takes_no_effect(own: Monitor) -> None:
    own.order(Opcode.UNLOCK, UNLOCK_KEY)
    whole = command(Opcode.DEAD_BAND, own.id, 77)
    own.bench.i2c(own.address, whole, fault="stop")
    own.bench.run(TIME_OUT)
    own.bench.i2c(own.address, whole, fault="vanish")
    own.bench.run(TIME_OUT)
    assert own.calibration()["dead_band"] == 100
    is_well(own)


def test_damaged_commands_are_dropped_and_counted(own: Monitor) -> None:
    count = own.result()["count"]
    before = own.diagnostics()["bus_errors"] or 0
    good = command(Opcode.BLINK, own.id, 1)
    bad = [bytes((*good[:at], good[at] ^ 0x40, *good[at + 1 :])) for at in (1, 5, 12, 15)]
    for data in (*bad, good[:-1], bytes((0xC0, 1)), bytes((0x40, 1))):
        own.bench.i2c(own.address, data)
        own.bench.run(0.01)
    with pytest.raises(BenchError, match="nack data"):
        own.bench.i2c(own.address, good + b"\0")
    own.bench.run(0.01)
    assert own.result()["count"] == count
    assert own.diagnostics()["bus_errors"] == before + 8
    is_well(own)


def test_the_general_call_and_other_addresses_are_not_its_own(own: Monitor) -> None:
    count = own.result()["count"]
    own.bench.general_call(command(Opcode.BLINK, own.id, 1))
    for address in (0x00, 0x07, 0x09, 0x48, 0x77):
        with pytest.raises(BenchError, match="nack address"):
            own.bench.i2c(address, b"\0", 2)
    assert own.result()["count"] == count
    is_well(own)


def test_a_storm_of_random_transactions_leaves_it_well(own: Monitor) -> None:
    random = Random(11)
    before = own.calibration()
    for _ in range(150):
        data = random.randbytes(random.randrange(0, 20))
        fault = random.choice(["", "", "stop"])
        with suppress(BenchError):  # more than any write has is refused
            own.bench.i2c(own.address, data, random.randrange(0, 70), fault=fault)
        own.bench.run(random.uniform(0, 0.005))
    own.bench.run(0.2)
    assert own.calibration() == before
    is_well(own)


def test_a_supply_that_fails_while_it_saves_costs_what_came_since(own: Monitor) -> None:
    own.bench.set(irms=30)
    own.bench.run(5)
    own.guarded(Opcode.RESTART)
    own.bench.run(1.5)
    saved = own.measurement()
    own.bench.run(5)
    own.bench.cut_at_write(9)
    own.guarded(Opcode.RESTART)
    own.bench.run(1)
    with pytest.raises(BenchError, match="nack address"):
        own.measurement()
    own.bench.set(irms=0)
    own.bench.power(True)
    own.bench.run(STARTED)
    after = own.measurement()
    assert after["boot"] == (saved["boot"] or 0) + 1
    assert 0 <= (saved["energy_import"] or 0) - (after["energy_import"] or 0) < 6900 * 1.5 / 3.6
    assert (after["energy_import"] or 0) > 6900 * 4 / 3.6
    assert Monitor(own.bench).id == own.id


def test_mains_that_goes_saves_what_was_counted_before_the_supply_follows(own: Monitor) -> None:
    own.bench.set(irms=30)
    own.bench.run(12)
    own.bench.set(vrms=0)
    own.bench.run(0.8)
    before = own.measurement()["energy_import"] or 0
    own.bench.power(False)
    own.bench.power(True)
    own.bench.run(STARTED)
    assert own.measurement()["energy_import"] == before > 6900 * 11 / 3.6


def test_a_memory_that_lost_its_energies_says_so(own: Monitor) -> None:
    own.bench.power(False)
    own.bench.preset(128, b"\xff" * 884)
    own.bench.power(True)
    own.bench.run(STARTED)
    flags = own.measurement()["flags"] or 0
    assert flags & Flag.EEPROM
    assert Monitor(own.bench).id == own.id


def test_the_watchdog_is_told_until_it_has_been_read(own: Monitor) -> None:
    assert own.flags() & Flag.RESTARTED
    own.bench.run(0.5)
    assert own.flags() == 0
    own.bench.poke(TIMSK1, 0)
    own.bench.run(3.5)
    assert own.diagnostics()["reset"] == 8
    assert own.flags() == Flag.RESTARTED | Flag.WATCHDOG
    own.bench.run(0.5)
    assert own.flags() == 0
