"""The queue in front of a bus: one call at a time, commands first, faults told apart."""

import asyncio
from collections.abc import Sequence
import errno

import pytest
from smbus2 import i2c_msg

from custom_components.energy_meter.sources.i2c.bus import (
    Answer,
    Call,
    Fault,
    I2CBus,
    Transfer,
    fault_of,
    open_bus,
)
from custom_components.energy_meter.sources.i2c.multiplexer import Multiplexers, Segment
from tests.support.virtual_time import run_virtual


class Recorder:
    """Takes every transaction; a double of `SMBus`, as no test machine has a bus."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, bytes]] = []
        self.errors: dict[int, OSError] = {}
        self.closed = 0
        self.register = {0x70: 0, 0x71: 0}
        self.sticks = False

    def i2c_rdwr(self, *i2c_msgs: i2c_msg) -> None:
        first = i2c_msgs[0]
        self.seen.append((first.addr, b"" if first.flags & 1 else bytes(first)))
        if first.addr in self.errors:
            raise self.errors[first.addr]
        if first.addr in self.register and not self.sticks:
            self.register[first.addr] = bytes(first)[0]
        for message in i2c_msgs:
            if message.flags & 1:
                byte = self.register.get(message.addr, 0x55)
                for index in range(message.len):
                    message.buf[index] = bytes((byte,))

    def close(self) -> None:
        self.closed += 1


async def slow(call: Call) -> Sequence[Answer]:
    await asyncio.sleep(0.1)
    return call()


def make(recorder: Recorder, *multiplexers: int) -> I2CBus:
    return I2CBus(
        lambda: recorder, name="test", multiplexers=Multiplexers(multiplexers), executor=slow
    )


def read(address: int) -> Transfer:
    return Transfer(address, b"\x40", 2)


def test_a_command_goes_before_everything_that_waits() -> None:
    async def run() -> list[int]:
        recorder = Recorder()
        bus = make(recorder)
        await bus.open()
        await asyncio.gather(
            bus.run(None, [read(1)]),
            bus.run(None, [read(2)]),
            bus.run(None, [read(3)]),
            bus.run(None, [read(9)], urgent=True),
        )
        return [address for address, _ in recorder.seen]

    assert run_virtual(run()) == [1, 9, 2, 3]


def test_a_caller_that_is_cancelled_leaves_the_queue_in_order() -> None:
    async def run() -> list[int]:
        recorder = Recorder()
        bus = make(recorder)
        await bus.open()
        tasks = [asyncio.create_task(bus.run(None, [read(number)])) for number in range(4)]
        await asyncio.sleep(0.05)
        tasks[0].cancel()  # It is under way: the next one waits until it has ended.
        tasks[2].cancel()  # It waits.
        await asyncio.wait(tasks)
        assert (await bus.run(None, [read(7)]))[0].fault is None
        return [address for address, _ in recorder.seen]

    assert run_virtual(run()) == [0, 1, 3, 7]


@pytest.mark.parametrize(
    ("number", "fault"),
    [
        (errno.ENXIO, Fault.NO_ANSWER),
        (errno.EREMOTEIO, Fault.NO_ANSWER),
        (errno.ETIMEDOUT, Fault.DISTURBED),
        (errno.EIO, Fault.DISTURBED),
        (errno.EAGAIN, Fault.DISTURBED),
        (errno.EBUSY, Fault.DISTURBED),
        (errno.ENODEV, Fault.GONE),
        (errno.EACCES, Fault.GONE),
        (None, Fault.DISTURBED),
    ],
)
def test_what_the_kernel_says_is_told_apart(number: int | None, fault: Fault) -> None:
    assert fault_of(OSError(number, "") if number else OSError()) is fault


def test_a_held_bus_does_not_cost_a_time_out_for_each_of_a_batch() -> None:
    async def run() -> tuple[int, list[Fault | None]]:
        recorder = Recorder()
        recorder.errors = {number: OSError(errno.ETIMEDOUT, "") for number in range(8)}
        bus = make(recorder)
        await bus.open()
        answers = await bus.run(None, [read(number) for number in range(8)])
        return len(recorder.seen), [answer.fault for answer in answers]

    assert run_virtual(run()) == (2, [Fault.DISTURBED, Fault.DISTURBED])


def test_nobody_at_an_address_does_not_keep_the_others_from_being_read() -> None:
    async def run() -> list[Fault | None]:
        recorder = Recorder()
        recorder.errors = {1: OSError(errno.EREMOTEIO, "")}
        bus = make(recorder)
        await bus.open()
        return [answer.fault for answer in await bus.run(None, [read(0), read(1), read(2)])]

    assert run_virtual(run()) == [None, Fault.NO_ANSWER, None]


def test_what_is_not_good_is_asked_for_once_more_at_once() -> None:
    async def run() -> tuple[int, bool]:
        recorder = Recorder()
        bus = make(recorder)
        await bus.open()
        (answer,) = await bus.run(None, [Transfer(5, b"\x40", 2, lambda _data: False)])
        return len(recorder.seen), answer.again

    assert run_virtual(run()) == (2, True)


def test_a_segment_is_selected_once_and_the_others_are_switched_off_first() -> None:
    async def run() -> list[tuple[int, bytes]]:
        recorder = Recorder()
        recorder.register = {0x70: 0, 0x71: 4}
        bus = make(recorder, 0x70, 0x71)
        await bus.open()
        for _ in range(2):
            await bus.run(Segment(0x70, 3), [read(0x10)])
        await bus.run(None, [read(0x11)])
        return recorder.seen

    assert run_virtual(run()) == [
        (0x71, b"\x00"),
        (0x70, b"\x08"),
        (0x10, b"\x40"),
        (0x10, b"\x40"),
        (0x70, b"\x00"),
        (0x11, b"\x40"),
    ]


def test_nothing_is_asked_on_a_segment_that_was_not_selected() -> None:
    async def run() -> tuple[list[Fault | None], set[int]]:
        recorder = Recorder()
        recorder.sticks = True
        bus = make(recorder, 0x70)
        await bus.open()
        answers = await bus.run(Segment(0x70, 3), [read(0x10)])
        return [answer.fault for answer in answers], {address for address, _ in recorder.seen}

    assert run_virtual(run()) == ([Fault.UNREACHABLE], {0x70})


def test_a_bus_that_is_not_there_is_told_and_not_raised() -> None:
    async def run() -> tuple[bool, OSError | None, list[Fault | None]]:
        bus = I2CBus(lambda: open_bus(97), name="/dev/i2c-97", executor=slow)
        opened = await bus.open()
        return opened, bus.error, [answer.fault for answer in await bus.run(None, [read(1)])]

    opened, error, faults = run_virtual(run())
    assert not opened
    assert isinstance(error, FileNotFoundError)
    assert faults == [Fault.GONE]
