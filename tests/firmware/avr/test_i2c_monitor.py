"""The I²C monitor's firmware in simavr: waves at its pins, a master on its bus that means well."""

from collections.abc import Iterator
import math

import pytest

from custom_components.energy_meter.sources.i2c.registers import (
    ALL_BITS,
    MAGIC,
    MEASUREMENT,
    PAIRS_PER_CHUNK,
    RELAY_CLOSED,
    SAMPLES,
    WAVEFORM,
    WAVEFORM_READY,
    Capability,
    Flag,
    Opcode,
    Result,
)
from tests.support.avr_bench import BenchError

from .accuracy import FULL, LOADS, PLAIN
from .monitor import COIL, STARTED, TIMSK1, Monitor, monitors, strap


@pytest.fixture(scope="module")
def shared() -> Iterator[Monitor]:
    """One monitor for everything that only changes the waves."""
    with monitors() as bench:
        bench.run(STARTED)
        yield Monitor(bench)


@pytest.fixture
def own() -> Iterator[Monitor]:
    """A monitor of its own for what changes more."""
    with monitors() as bench:
        bench.run(STARTED)
        yield Monitor(bench)


def check(monitor: Monitor, **waves: float) -> dict[str, int | None]:
    """A measurement as accurate as promised."""
    monitor.bench.set(**{**PLAIN, **waves})
    got, true = monitor.after_change(), monitor.bench.true()
    number = {key: float("nan") if value is None else float(value) for key, value in got.items()}
    apparent = true["apparent_power"]
    assert number["flags"] == Flag.UNCALIBRATED
    assert number["voltage"] / 100 == pytest.approx(true["voltage"], abs=0.005 * true["voltage"])
    assert number["current"] / 1000 == pytest.approx(true["current"], abs=0.01 * true["current"])
    assert number["power"] / 1000 == pytest.approx(true["power"], abs=0.01 * apparent)
    assert number["reactive_power"] / 1000 == pytest.approx(
        true["reactive_power"], abs=0.015 * apparent
    )
    assert number["apparent_power"] / 1000 == pytest.approx(apparent, abs=0.012 * apparent)
    assert number["power_factor"] / 10_000 == pytest.approx(true["power_factor"], abs=0.01)
    assert number["frequency"] / 100 == pytest.approx(true["frequency"], abs=0.03)
    assert number["crest_factor"] / 1000 == pytest.approx(true["crest"], abs=0.05 * true["crest"])
    assert number["current_peak"] / 100 == pytest.approx(
        true["crest"] * true["current"], abs=0.06 * true["crest"] * true["current"] + 0.1
    )
    return got


# What it measures


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5, 1])
@pytest.mark.parametrize("phi", [0, 60, -60, 180, 150])
def test_a_sine_from_5_to_100_percent_of_the_range(
    shared: Monitor, share: float, phi: float
) -> None:
    check(shared, irms=share * FULL, phi=phi)


@pytest.mark.parametrize("hz", [45, 49.5, 50.4, 60, 65])
def test_mains_of_any_frequency(shared: Monitor, hz: float) -> None:
    check(shared, hz=hz, phi=45)


@pytest.mark.parametrize("load", LOADS)
def test_loads_of_every_kind(shared: Monitor, load: str) -> None:
    if load == "rectifier":
        shared.bench.set(**{**PLAIN, **LOADS[load]})
        assert shared.bench.true()["crest"] >= 2.5
    check(shared, **LOADS[load])


def test_no_load_is_nothing_and_has_no_crest_factor(own: Monitor) -> None:
    own.guarded(Opcode.DEAD_BAND, 150)
    own.bench.set(**{**PLAIN, "irms": 0, "noise": 2})
    got = own.after_change()
    assert [got[key] for key in ("current", "power", "reactive_power", "apparent_power")] == [0] * 4
    assert got["power_factor"] is None
    assert got["crest_factor"] is None
    assert (got["flags"] or 0) & ~Flag.UNCALIBRATED == 0


def test_without_voltage_power_is_not_available_while_there_is_current(shared: Monitor) -> None:
    shared.bench.set(**{**PLAIN, "vrms": 5})
    got = shared.after_change()
    assert (got["flags"] or 0) & Flag.NO_VOLTAGE
    assert got["voltage"] == pytest.approx(500, abs=60)
    assert got["current"] == pytest.approx(10_000, abs=200)
    for key in ("power", "reactive_power", "power_factor", "crest_factor", "frequency"):
        assert got[key] is None, key


@pytest.mark.parametrize(
    ("waves", "flag"),
    [
        ({"vdc": 600}, Flag.VOLTAGE_CLIPS),
        ({"irms": 60}, Flag.CURRENT_CLIPS),
        ({"hz": 25}, Flag.NO_ZERO_CROSSING),
        ({"hz": 35}, Flag.FREQUENCY_RANGE),
        ({"hz": 85}, Flag.FREQUENCY_RANGE),
        ({"ihold": 2500}, Flag.STUCK),
    ],
)
def test_what_is_wrong_with_the_inputs_is_a_flag(
    shared: Monitor, waves: dict[str, float], flag: Flag
) -> None:
    shared.bench.set(**{**PLAIN, **waves})
    got = shared.after_change()
    assert (got["flags"] or 0) & ~Flag.UNCALIBRATED == flag
    if "hz" in waves:
        assert got["frequency"] is None
        assert got["reactive_power"] is None
        assert got["power"] is not None


def test_peaks_cover_what_was_between_two_reads_and_a_second_read_repeats_them(
    own: Monitor,
) -> None:
    own.bench.set(**PLAIN)
    own.after_change()
    own.bench.set(irms=30)
    own.bench.run(0.3)
    own.bench.set(irms=10)
    own.bench.run(1)
    first = own.measurement()
    assert first["current"] == pytest.approx(10_000, abs=100)
    assert first["current_peak"] == pytest.approx(4243, abs=60)
    again = own.measurement()
    assert again == first
    own.bench.run(0.3)
    assert own.measurement()["current_peak"] == pytest.approx(1414, abs=40)


def test_a_read_that_is_broken_off_does_not_count_for_the_peaks(own: Monitor) -> None:
    own.bench.set(**PLAIN)
    own.after_change()
    own.bench.set(irms=30)
    own.bench.run(0.3)
    own.bench.set(irms=10)
    own.bench.run(0.6)
    own.bench.i2c(own.address, bytes((MEASUREMENT.pointer,)), MEASUREMENT.length - 1)
    own.bench.run(0.6)
    assert own.measurement()["current_peak"] == pytest.approx(4243, abs=60)


def test_it_samples_fast_enough_and_measures_every_ten_cycles(own: Monitor) -> None:
    first = own.measurement()
    own.bench.run(10)
    last = own.measurement()
    assert (last["sequence"] or 0) - (first["sequence"] or 0) == pytest.approx(50, abs=1)
    assert own.bench.stat()["conversions"] / 2 >= 1800
    assert own.identity()["sample_rate"] == 2265
    assert own.diagnostics()["pairs"] == pytest.approx(453, abs=1)
    assert own.diagnostics()["overruns"] == 0


# Who it is, and where


def test_it_says_who_it_is_with_and_without_a_pointer(own: Monitor) -> None:
    identity = own.identity()
    assert identity["magic"] == MAGIC
    assert identity["version"] == 1
    assert identity["id"] ^ identity["complement"] == ALL_BITS
    assert identity["address"] == 0x08
    assert own.bench.i2c(own.address, read=40).data == own.last.data


def test_its_id_stays_and_differs_from_anothers() -> None:
    ids = set()
    for seed in (1, 2, 3):
        with monitors(seed=seed) as bench:
            bench.run(STARTED)
            monitor = Monitor(bench)
            bench.power(False)
            bench.power(True)
            bench.run(STARTED)
            assert Monitor(bench).id == monitor.id
            ids.add(monitor.id)
    assert len(ids) == 3


def test_a_pointer_holds_for_one_read_and_for_a_tenth_of_a_second(own: Monitor) -> None:
    own.bench.i2c(own.address, bytes((MEASUREMENT.pointer,)))
    own.bench.run(0.09)
    assert MEASUREMENT.is_good(own.bench.i2c(own.address, read=50).data)
    assert own.bench.i2c(own.address, read=4).data == b"EMIC"
    own.bench.i2c(own.address, bytes((MEASUREMENT.pointer,)))
    own.bench.run(0.12)
    assert own.bench.i2c(own.address, read=4).data == b"EMIC"


@pytest.mark.parametrize("pointer", [0x01, 0x41, 0xC0, 0xFF])
def test_where_nothing_is_it_reads_as_ones(own: Monitor, pointer: int) -> None:
    assert own.bench.i2c(own.address, bytes((pointer,)), 12).data == b"\xff" * 12


def test_behind_the_end_of_a_block_it_reads_as_ones(own: Monitor) -> None:
    data = own.bench.i2c(own.address, bytes((MEASUREMENT.pointer,)), 70).data
    assert MEASUREMENT.is_good(data[:50])
    assert data[50:] == b"\xff" * 20


def test_before_the_first_window_there_are_no_values() -> None:
    with monitors() as bench:
        bench.run(STARTED)
        Monitor(bench)
        bench.power(False)
        bench.power(True)
        for _ in range(30):
            bench.run(0.01)
            try:
                monitor = Monitor(bench)
                break
            except BenchError:
                pass  # it has not started yet
        got = monitor.measurement()
        assert (got["flags"] or 0) & Flag.STARTING
        assert all(got[key] is None for key in ("voltage", "current", "power", "voltage_peak"))
        assert got["energy_import"] == 0


def test_the_switch_sets_the_address_and_then_the_bus_cannot() -> None:
    with monitors() as bench:
        for bit, position in enumerate("1110010"):  # position 1 first: 0x27
            port, pin = ("D", 2 + bit) if bit < 6 else ("B", 0)
            bench.drive(port, pin, 0 if position == "1" else 1)
        bench.run(STARTED)
        monitor = Monitor(bench, 0x27)
        assert monitor.identity()["switch"] == 0x27
        assert not monitor.identity()["capabilities"] & 8
        assert monitor.guarded(Opcode.ADDRESS, 0x30) is Result.SWITCH


def test_an_address_is_changed_over_the_bus_and_kept(own: Monitor) -> None:
    own.guarded(Opcode.DEAD_BAND, 25)
    before = own.result()["count"] or 0
    own.order(Opcode.UNLOCK, 0x5AFEC0DE)
    own.write(Opcode.ADDRESS, 0x42)
    own.bench.run(0.3)
    own.address = 0x42
    result = own.result()
    assert (result["result"], result["count"]) == (Result.DONE, before + 2)
    assert own.identity()["address"] == 0x42
    own.bench.power(False)
    own.bench.power(True)
    own.bench.run(STARTED)
    assert Monitor(own.bench, 0x42).id == own.id
    with pytest.raises(BenchError, match="nack address"):
        own.bench.i2c(0x08, read=4)


# Commands


def test_calibration_is_guarded_in_force_at_once_and_kept(own: Monitor) -> None:
    assert own.order(Opcode.VOLTAGE_GAIN, 1_100_000) is Result.LOCKED
    assert own.guarded(Opcode.VOLTAGE_GAIN, 1_100_000) is Result.DONE
    assert own.order(Opcode.VOLTAGE_GAIN, 1_200_000) is Result.LOCKED
    assert own.guarded(Opcode.CURRENT_GAIN, 500_000) is Result.DONE
    assert own.guarded(Opcode.PHASE_SHIFT, -150 & 0xFFFFFFFF) is Result.DONE
    assert own.guarded(Opcode.DEAD_BAND, 50) is Result.DONE
    got = own.after_change()
    assert got["voltage"] == pytest.approx(25_300, abs=50)
    assert got["current"] == pytest.approx(5_000, abs=30)
    own.bench.power(False)
    own.bench.power(True)
    own.bench.run(STARTED)
    kept = own.calibration()
    assert [kept[key] for key in ("voltage_gain", "current_gain", "phase_shift", "dead_band")] == [
        1_100_000, 500_000, -150, 50,
    ]  # fmt: skip
    assert kept["writes"] == 4
    assert own.guarded(Opcode.DEFAULTS) is Result.DONE
    assert own.calibration()["voltage_gain"] == 1_000_000


@pytest.mark.parametrize(
    ("opcode", "argument", "result"),
    [
        (Opcode.VOLTAGE_GAIN, 499_999, Result.RANGE),
        (Opcode.VOLTAGE_GAIN, 2_000_001, Result.RANGE),
        (Opcode.CURRENT_GAIN, 10_000_001, Result.RANGE),
        (Opcode.PHASE_SHIFT, 2001, Result.RANGE),
        (Opcode.PHASE_SHIFT, -2001 & 0xFFFFFFFF, Result.RANGE),
        (Opcode.DEAD_BAND, 10_001, Result.RANGE),
        (Opcode.ADDRESS, 0x07, Result.RANGE),
        (Opcode.ADDRESS, 0x78, Result.RANGE),
        (Opcode.BLINK, 61, Result.RANGE),
        (Opcode.CAPTURE, 3, Result.RANGE),
        (Opcode.RELAY, 1, Result.UNSUPPORTED),
        (Opcode.LEARN_ZERO, 0, Result.FAILED),  # there is a signal
    ],
)
def test_what_cannot_be_done_says_why_and_changes_nothing(
    shared: Monitor, opcode: Opcode, argument: int, result: Result
) -> None:
    before = shared.calibration()
    assert shared.guarded(opcode, argument) is result
    assert shared.calibration() == before


def test_an_unlock_opens_for_two_seconds(own: Monitor) -> None:
    own.order(Opcode.UNLOCK, 0x5AFEC0DE)
    own.bench.run(2.1)
    assert own.order(Opcode.DEAD_BAND, 50) is Result.LOCKED
    assert own.order(Opcode.UNLOCK, 0x12345678) is Result.RANGE
    assert own.order(Opcode.DEAD_BAND, 50) is Result.LOCKED


def test_zeros_are_learned_without_signal(own: Monitor) -> None:
    own.bench.set(vrms=0, irms=0, idc=2600, vdc=2450)
    own.bench.run(1)
    assert own.guarded(Opcode.LEARN_ZERO) is Result.DONE
    learned = own.calibration()
    assert learned["current_offset"] == pytest.approx(2_500_000, abs=130_000)
    assert learned["voltage_offset"] == pytest.approx(-20_000, abs=2000)


def test_energy_counts_by_direction_and_goes_on_after_a_restart(own: Monitor) -> None:
    own.bench.set(**{**PLAIN, "irms": 30})
    own.bench.run(10)
    own.bench.set(phi=180)
    own.bench.run(5)
    before = own.measurement()
    assert before["energy_import"] == pytest.approx(6900 * 10.3 / 3.6, rel=0.06)
    assert before["energy_export"] == pytest.approx(6900 * 5 / 3.6, rel=0.06)
    assert own.guarded(Opcode.RESTART) is Result.DONE
    own.bench.run(1.5)
    after = own.measurement()
    assert after["boot"] == (before["boot"] or 0) + 1
    assert (after["energy_import"] or 0) >= (before["energy_import"] or 0)
    assert (after["energy_export"] or 0) > (before["energy_export"] or 0)
    assert not (after["flags"] or 0) & Flag.WATCHDOG
    assert own.guarded(Opcode.RESET_ENERGY) is Result.DONE
    own.bench.set(irms=0)
    own.bench.run(0.6)
    assert (own.measurement()["energy_import"] or 0) < 100


# The relay


def closed(monitor: Monitor) -> bool:
    """What its measurement says."""
    return bool((monitor.measurement()["state"] or 0) & RELAY_CLOSED)


@pytest.mark.parametrize(("straps", "at_rest"), [(("relay",), 0), (("relay", "rests closed"), 1)])
def test_a_relay_is_switched_read_back_and_at_rest_after_every_start(
    straps: tuple[str, ...], at_rest: int
) -> None:
    with monitors() as bench:
        strap(bench, *straps)
        bench.run(STARTED)
        monitor = Monitor(bench)
        assert monitor.identity()["capabilities"] & Capability.RELAY
        for how in ("power", "watchdog"):
            assert bench.pin(*COIL) == 0
            assert closed(monitor) == at_rest
            assert monitor.order(Opcode.RELAY, at_rest) is Result.DONE
            assert bench.pin(*COIL) == 0
            assert monitor.order(Opcode.RELAY, 1 - at_rest) is Result.DONE
            assert bench.pin(*COIL) == 1
            assert closed(monitor) != at_rest  # Told at once, not with the next window.
            assert monitor.guarded(Opcode.RESTART) is Result.NOT_AT_REST
            assert monitor.order(Opcode.RELAY, 2) is Result.RANGE
            bench.run(1)
            assert closed(monitor) != at_rest
            boot = monitor.measurement()["boot"]
            if how == "power":
                bench.power(False)
                bench.power(True)
            else:
                bench.poke(TIMSK1, 0)  # No more samples.
            bench.run(3.5)
            assert monitor.measurement()["boot"] != boot
        assert bench.pin(*COIL) == 0
        assert closed(monitor) == at_rest
        assert monitor.guarded(Opcode.RESTART) is Result.DONE


def test_without_its_strap_the_relays_pin_is_no_output(own: Monitor) -> None:
    assert not own.identity()["capabilities"] & Capability.RELAY
    assert own.bench.pin(*COIL) is None
    assert own.order(Opcode.RELAY, 1) is Result.UNSUPPORTED
    own.bench.poke(TIMSK1, 0)  # The watchdog bites.
    own.bench.run(3.5)
    assert not own.identity()["capabilities"] & Capability.RELAY
    assert own.bench.pin(*COIL) is None


# Waveform


def fetch(monitor: Monitor, chunk: int) -> bytes:
    return monitor.bench.i2c(monitor.address, bytes((WAVEFORM.pointer, chunk)), 62).data


@pytest.mark.parametrize(("cycles", "hz"), [(1, 50), (2, 50), (2, 45), (1, 65)])
def test_a_waveform_of_whole_cycles_can_be_read(own: Monitor, cycles: int, hz: float) -> None:
    own.bench.set(**{**PLAIN, "hz": hz, "phi": 60, "vdc": 2450, "idc": 2530})
    own.after_change()
    head = WAVEFORM.decode(fetch(own, 0))
    assert (head["capture"], head["pairs"]) == (0, 0)
    assert own.order(Opcode.CAPTURE, cycles) is Result.DONE
    number = own.result()["capture"]
    assert number == 1
    head = WAVEFORM.decode(fetch(own, 0))
    pairs, rate = head["pairs"] or 0, (head["rate"] or 0) / 1000
    assert (head["capture"], head["cycles"]) == (number, cycles)
    assert pairs == pytest.approx(rate * cycles / hz, abs=1)
    v: list[float] = []
    i: list[float] = []
    for chunk in range(1, -(-pairs // PAIRS_PER_CHUNK) + 1):
        block = SAMPLES.decode(fetch(own, chunk))
        assert (block["capture"], block["chunk"]) == (number, chunk)
        for pair in range(PAIRS_PER_CHUNK):
            if (one := block[f"v{pair}"]) is not None and (two := block[f"i{pair}"]) is not None:
                v.append((one - (head["voltage_zero"] or 0) / 1000) * (head["volts"] or 0) / 1e6)
                i.append((two - (head["current_zero"] or 0) / 1000) * (head["amperes"] or 0) / 1e6)
    assert len(v) == pairs
    assert math.sqrt(sum(x * x for x in v) / pairs) == pytest.approx(230, rel=0.02)
    assert math.sqrt(sum(x * x for x in i) / pairs) == pytest.approx(10, rel=0.03)
    assert abs(v[0]) < 60  # it begins at a crossing
    late = 360 * hz * (head["delay"] or 0) * 1e-7
    power = sum(x * y for x, y in zip(v, i)) / pairs
    assert power == pytest.approx(2300 * math.cos(math.radians(60 - late)), rel=0.03)
    own.bench.run(0.3)  # told with the next measurement
    assert (own.measurement()["state"] or 0) & WAVEFORM_READY
    beyond = WAVEFORM.decode(fetch(own, 99))
    assert (beyond["capture"], beyond["chunk"]) == (0, 99)


def test_without_mains_a_waveform_begins_at_once(own: Monitor) -> None:
    own.bench.set(vrms=0)
    own.bench.run(1)
    assert own.order(Opcode.CAPTURE, 2) is Result.DONE
    assert WAVEFORM.decode(fetch(own, 0))["pairs"] == pytest.approx(90, abs=1)


# More than one


def test_two_monitors_share_a_bus_and_a_command_reaches_only_the_one_it_names() -> None:
    with monitors(2) as bench:
        for bit in range(7):  # the second one's switch: 0x09
            port, pin = ("D", 2 + bit) if bit < 6 else ("B", 0)
            bench.drive(port, pin, 0 if bit in (0, 3) else 1, 1)
        bench.set(1, irms=5)
        bench.run(STARTED)
        first, second = Monitor(bench, 0x08), Monitor(bench, 0x09)
        assert first.id != second.id
        bench.run(0.5)
        assert first.measurement()["current"] == pytest.approx(10_000, abs=100)
        assert second.measurement()["current"] == pytest.approx(5_000, abs=50)
        stranger = Monitor(bench, 0x09)
        stranger.id = first.id
        stranger.write(Opcode.UNLOCK, 0x5AFEC0DE)
        bench.run(0.1)
        assert second.result()["count"] == 0
