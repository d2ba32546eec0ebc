"""The I²C monitor's side of the bus as a state machine: whatever a master does, in whatever order."""

import ctypes
from functools import cache

from hypothesis import given, settings, strategies as st
import pytest

from custom_components.energy_meter.sources.i2c.registers import (
    CALIBRATION,
    COMMAND,
    DIAGNOSTICS,
    IDENTITY,
    MEASUREMENT,
    RELAY_CLOSED,
    RESULT,
    SAMPLES,
    UNLOCK_KEY,
    WAVEFORM,
    Block,
    Capability,
    Flag,
    Opcode,
    Result,
    command,
)

from .logic import load

ID = 0x0123456789ABCDEF
BLOCKS = (IDENTITY, MEASUREMENT, DIAGNOSTICS, CALIBRATION, RESULT)
BUS_ERROR, WRITE, TAKEN, REFUSED, STOP = 0x00, 0x60, 0x80, 0x88, 0xA0
READ, SENT, SENT_LAST = 0xA8, 0xB8, 0xC0
NO_RELAY, RESTS_OPEN, RESTS_CLOSED = 0, 1, 2
"""`enum relay` of monitor.h."""
HUNDRED_MS = 227
"""Pairs of samples."""


@cache
def monitor() -> ctypes.CDLL:
    library = load("monitor")
    library.host_start.argtypes = [ctypes.c_uint64, ctypes.c_int, ctypes.c_int]
    for name in ("host_pair", "host_reading"):
        getattr(library, name).restype = ctypes.c_bool
    return library


def start(relay: int = 0, reset: int = 1) -> None:
    array = (ctypes.c_uint8 * 1024).in_dll(monitor(), "host_storage")
    ctypes.memset(array, 0xFF, 1024)
    monitor().host_start(ID, relay, reset)
    monitor().host_window(6_000_000, 3_000_000, 4_000_000)


@pytest.fixture(autouse=True)
def fresh() -> None:
    start()


def write(data: bytes, *, stop: bool = True) -> int:
    """A write; gives how many bytes were acknowledged."""
    acknowledged = monitor().host_event(WRITE, 0) >> 8
    for taken, byte in enumerate(data):
        if not acknowledged:
            monitor().host_event(REFUSED, byte)
            return taken
        acknowledged = monitor().host_event(TAKEN, byte) >> 8
    if stop:
        monitor().host_event(STOP, 0)
    return len(data)


def read(count: int) -> bytes:
    data = [monitor().host_event(READ, 0) & 0xFF]
    data += [monitor().host_event(SENT, 0) & 0xFF for _ in range(count - 1)]
    monitor().host_event(SENT_LAST, 0)
    return bytes(data)


def block(which: Block) -> dict[str, int | None]:
    write(bytes((which.pointer,)))
    return which.decode(read(which.length))


def wait(pairs: int) -> None:
    for _ in range(pairs):
        monitor().host_pair(512, 512)


@pytest.mark.parametrize("which", BLOCKS)
def test_every_block_has_its_crc(which: Block) -> None:
    block(which)


def test_a_block_that_is_read_does_not_change_under_the_reader() -> None:
    write(bytes((MEASUREMENT.pointer,)))
    data = [monitor().host_event(READ, 0) & 0xFF]
    for _ in range(MEASUREMENT.length - 1):
        monitor().host_window(7_000_000, 1_000_000, 2_000_000)
        data.append(monitor().host_event(SENT, 0) & 0xFF)
    monitor().host_event(SENT_LAST, 0)
    MEASUREMENT.decode(bytes(data))


@given(st.integers(0, 300))
def test_a_pointer_holds_a_tenth_of_a_second(pairs: int) -> None:
    start()
    write(bytes((MEASUREMENT.pointer,)))
    wait(pairs)
    data = read(MEASUREMENT.length)
    assert MEASUREMENT.is_good(data) == (pairs < HUNDRED_MS)
    assert IDENTITY.is_good(data[: IDENTITY.length]) == (pairs >= HUNDRED_MS)
    assert IDENTITY.is_good(read(IDENTITY.length))


@given(st.binary(max_size=24))
def test_only_a_whole_command_with_its_crc_counts(data: bytes) -> None:
    start()
    taken = write(data)
    monitor().host_work()
    assert taken == min(len(data), 16)
    assert monitor().host_commands() == 0
    pointer = len(data) == 1 or (len(data) == 2 and data[0] == WAVEFORM.pointer)
    assert monitor().host_errors() == (0 if pointer or not data else 1)


@given(st.integers(0, 15), st.integers(1, 255))
def test_a_damaged_command_never_counts(at: int, damage: int) -> None:
    start()
    data = bytearray(command(Opcode.BLINK, ID, 3))
    data[at] ^= damage
    write(bytes(data))
    monitor().host_work()
    assert monitor().host_commands() == 0


@given(st.integers(0, 255), st.integers(0, 2**32 - 1))
def test_nothing_guarded_happens_without_an_unlock(opcode: int, argument: int) -> None:
    start()
    before = monitor().host_kept()
    values = {"opcode": opcode, "id": ID, "argument": argument}
    write(bytes((COMMAND.pointer,)) + COMMAND.encode(values))
    monitor().host_work()
    got = block(RESULT)
    assert (got["opcode"], got["count"]) == (opcode, 1)
    assert monitor().host_kept() == before
    if opcode not in set(Opcode):
        assert got["result"] == Result.UNKNOWN
    elif opcode >= Opcode.VOLTAGE_GAIN:
        assert got["result"] == Result.LOCKED


@given(
    st.sampled_from([Opcode.VOLTAGE_GAIN, Opcode.PHASE_SHIFT, Opcode.DEAD_BAND]),
    st.integers(0, 2**32 - 1),
)
def test_whatever_is_set_stays_within_its_range(opcode: Opcode, argument: int) -> None:
    start()
    for each, value in ((Opcode.UNLOCK, UNLOCK_KEY), (opcode, argument)):
        write(command(each, ID, value))
        monitor().host_work()
    kept = block(CALIBRATION)
    assert 500_000 <= (kept["voltage_gain"] or 0) <= 2_000_000
    assert -2000 <= (kept["phase_shift"] or 0) <= 2000
    assert 0 <= (kept["dead_band"] or 0) <= 10_000
    assert block(RESULT)["result"] in {Result.DONE, Result.RANGE}


events = st.one_of(
    st.tuples(st.just("event"), st.sampled_from([BUS_ERROR, WRITE, TAKEN, REFUSED, STOP, READ, SENT, SENT_LAST, 0xC8, 0x68, 0xB0, 0x38]), st.integers(0, 255)),
    st.tuples(st.just("pairs"), st.integers(0, 400), st.just(0)),
    st.tuples(st.just("work"), st.just(0), st.just(0)),
    st.tuples(st.just("window"), st.just(0), st.just(0)),
    st.tuples(st.just("command"), st.sampled_from([*Opcode]), st.integers(0, 3)),
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(events, max_size=60))
def test_after_any_sequence_of_events_it_lets_the_bus_go_and_answers(
    sequence: list[tuple[str, int, int]],
) -> None:
    start()
    for kind, first, second in sequence:
        if kind == "event":
            monitor().host_event(first, second)
        elif kind == "pairs":
            wait(first)
        elif kind == "work":
            monitor().host_work()
        elif kind == "window":
            monitor().host_window(6_000_000, 3_000_000, 4_000_000)
        else:
            write(command(Opcode(first), ID, second))
    wait(60)  # the 25 ms after which a transaction is given up
    assert not monitor().host_reading()
    wait(2 * HUNDRED_MS)
    monitor().host_work()
    for which in BLOCKS:
        block(which)
    write(bytes((WAVEFORM.pointer, 0)))
    WAVEFORM.decode(read(WAVEFORM.length))
    write(bytes((WAVEFORM.pointer, 1)))
    SAMPLES.decode(read(SAMPLES.length))


@given(st.lists(st.integers(0, 1023), min_size=1, max_size=60), st.integers(1, 2))
def test_a_capture_ends_whatever_the_input_does(codes: list[int], cycles: int) -> None:
    start()
    write(command(Opcode.CAPTURE, ID, cycles))
    monitor().host_work()
    for index in range(400):
        monitor().host_pair(codes[index % len(codes)], 512)
    monitor().host_work()
    assert block(RESULT)["result"] == Result.DONE
    write(bytes((WAVEFORM.pointer, 0)))
    head = WAVEFORM.decode(read(WAVEFORM.length))
    assert 1 <= (head["pairs"] or 0) <= 140
    assert head["capture"] == 1


@given(st.integers(0, 15))
def test_the_cause_of_a_start_is_told_until_a_measurement_has_been_read_to_its_end(
    reset: int,
) -> None:
    power, brown_out, watchdog = reset & 1, reset & 4, reset & 8
    told: int = Flag.RESTARTED
    if watchdog:
        told |= Flag.WATCHDOG
    if brown_out and not power:  # A supply that rises passes through a brown-out.
        told |= Flag.BROWN_OUT
    start(reset=reset)
    write(bytes((MEASUREMENT.pointer,)))
    read(MEASUREMENT.length - 1)
    monitor().host_window(6_000_000, 3_000_000, 4_000_000)
    assert (block(MEASUREMENT)["flags"] or 0) & ~Flag.UNCALIBRATED == told
    monitor().host_window(6_000_000, 3_000_000, 4_000_000)
    assert (block(MEASUREMENT)["flags"] or 0) & ~Flag.UNCALIBRATED == 0
    assert block(DIAGNOSTICS)["reset"] == reset


# The relay


def pin(name: str) -> ctypes.c_bool:
    return ctypes.c_bool.in_dll(monitor(), name)


def order(opcode: Opcode, argument: int = 0) -> Result:
    write(command(opcode, ID, argument))
    monitor().host_work()
    return Result(block(RESULT)["result"] or 0)


def closed() -> bool:
    return bool((block(MEASUREMENT)["state"] or 0) & RELAY_CLOSED)


@given(
    st.sampled_from([RESTS_OPEN, RESTS_CLOSED]),
    st.lists(st.sampled_from([0, 1, "window", "sticks"]), max_size=12),
)
def test_the_state_is_where_the_pin_stands_and_what_does_not_follow_is_let_go(
    wiring: int, story: list[int | str]
) -> None:
    start(wiring)
    assert not pin("host_coil").value
    for step in story:
        if step == "window":
            monitor().host_window(6_000_000, 3_000_000, 4_000_000)
        elif step == "sticks":
            pin("host_coil_stuck").value = True
        else:
            stood, stuck = pin("host_coil").value, pin("host_coil_stuck").value
            wanted = step == (wiring == RESTS_OPEN)
            assert order(Opcode.RELAY, int(step)) is (
                Result.FAILED if stuck and stood != wanted else Result.DONE
            )
        assert closed() == (pin("host_coil").value == (wiring == RESTS_OPEN))
    assert order(Opcode.RELAY, 2) is Result.RANGE


def test_without_a_strap_there_is_no_relay() -> None:
    assert order(Opcode.RELAY, 1) is Result.UNSUPPORTED
    assert not pin("host_coil").value
    assert not closed()
    assert not (block(IDENTITY)["capabilities"] or 0) & Capability.RELAY


@pytest.mark.parametrize("wiring", [RESTS_OPEN, RESTS_CLOSED])
def test_it_does_not_restart_while_that_would_move_the_relay(wiring: int) -> None:
    start(wiring)
    at_rest = wiring == RESTS_CLOSED
    for way, result in ((not at_rest, Result.NOT_AT_REST), (at_rest, Result.DONE)):
        assert order(Opcode.RELAY, int(way)) is Result.DONE
        assert order(Opcode.UNLOCK, UNLOCK_KEY) is Result.DONE
        assert order(Opcode.RESTART) is result


def test_a_command_to_the_relay_leaves_sequence_and_peaks_as_they_are() -> None:
    start(RESTS_OPEN)
    before = block(MEASUREMENT)
    assert order(Opcode.RELAY, 1) is Result.DONE
    after = block(MEASUREMENT)
    assert after == before | {"state": (before["state"] or 0) | RELAY_CLOSED}
