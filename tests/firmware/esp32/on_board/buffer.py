"""The buffer of unacknowledged messages: memory, flash, restarts, power cuts."""

import os
import random

from energy_meter import records
from energy_meter.flash_queue import SEGMENT, FlashQueue
from energy_meter.outbox import SPILL_AFTER_HERE_MS, SPILL_AFTER_MS, Outbox
from energy_meter.ram_ring import RamRing
from energy_meter.session import Session
import power
from support import FakeBridge, Moved


def _outbox(moved, boot=1, ram=4096, flash=None, seq=0, slots=64):
    return Outbox(moved.clock, boot, RamRing(ram, slots), flash, seq)


def _said(number):
    return ('"type":"reading","meter":"m","values":{"power":%d}' % number).encode()


def _held(outbox):
    """(boot, seq) of everything it holds, in order."""
    found = []
    for position in range(outbox.first, outbox.end):
        entry = outbox.read(position)
        if entry:
            found.append(entry[:2])
    return found


def a_ring_behaves_like_a_queue():
    random.seed(3)
    ring, model, number = RamRing(2000, 40), [], 0
    for _ in range(5000):
        if random.random() < 0.6:
            number += 1
            record = bytes([number & 255]) * random.randint(1, 90)
            if ring.push(record):
                model.append(record)
            else:
                assert len(model) == 40 or sum(map(len, model)) + len(record) + 180 > 2000
        elif model:
            count = random.randint(1, len(model))
            ring.drop(count)
            model = model[count:]
        assert len(ring) == len(model)
        for at in range(len(model)):
            assert ring.get(at) == model[at]


def a_damaged_record_is_known():
    record = records.pack(7, 42, records.UNIX, 1_794_000_000_123, b'"a":1')
    assert records.unpack(record) == (7, 42, records.UNIX, 1_794_000_000_123, b'"a":1')
    assert records.key(record) == (7, 42)
    for at in range(len(record)):
        broken = bytearray(record)
        broken[at] ^= 4
        assert records.unpack(bytes(broken)) is None, at
    for size in range(len(record)):
        assert records.unpack(record[:size]) is None


def everything_is_kept_until_it_is_acknowledged():
    moved = Moved()
    outbox = _outbox(moved, flash=FlashQueue("q", 10 * SEGMENT))
    for number in range(700):
        outbox.add(_said(number))
        moved.passes(1000)
    assert outbox.buffered == 700
    assert _held(outbox) == [(1, seq) for seq in range(1, 701)]
    outbox.ack(1, 350)
    assert _held(outbox) == [(1, seq) for seq in range(351, 701)]
    outbox.ack(1, 10_000)
    assert outbox.buffered == 350, "an acknowledgement of what was never said"
    outbox.ack(1, 700)
    assert outbox.buffered == 0
    assert os.listdir("q") == []
    assert outbox.dropped == 0


def the_oldest_is_dropped_first_and_counted():
    moved = Moved()
    outbox = _outbox(moved, flash=FlashQueue("q", 3 * SEGMENT))
    for number in range(3000):
        outbox.add(_said(number))
    held = _held(outbox)
    assert held[-1] == (1, 3000)
    assert len(held) == outbox.buffered
    assert outbox.dropped + outbox.buffered == 3000
    assert held == [(1, seq) for seq in range(outbox.dropped + 1, 3001)]
    assert sum(os.stat("q/" + name)[6] for name in os.listdir("q")) <= 3 * SEGMENT


def without_flash_memory_holds_the_newest():
    moved = Moved()
    outbox = _outbox(moved)
    for number in range(500):
        outbox.add(_said(number))
    held = _held(outbox)
    assert held[-1] == (1, 500) and outbox.dropped + len(held) == 500


def what_waits_goes_to_flash_in_time():
    moved = Moved()
    outbox = _outbox(moved, flash=FlashQueue("q", 10 * SEGMENT))
    outbox.add(_said(1))
    moved.passes(SPILL_AFTER_MS - 1)
    outbox.tick(False)
    assert os.listdir("q") == []
    moved.passes(1)
    outbox.tick(True)
    assert os.listdir("q") == []
    outbox.tick(False)
    assert len(os.listdir("q")) == 1
    outbox.add(_said(2))
    moved.passes(SPILL_AFTER_HERE_MS)
    outbox.tick(True)
    assert _held(outbox) == [(1, 1), (1, 2)]


def a_restart_loses_nothing_that_was_saved_and_knows_its_time():
    moved = Moved()
    outbox = _outbox(moved, flash=FlashQueue("q", 10 * SEGMENT))
    outbox.add(_said(1))
    outbox.save()  # Nobody has told the time yet.
    moved.clock.set_unix_ms(1_794_000_000_000)
    outbox.add(_said(2))
    moved.passes(60_000)
    outbox.save()
    again = Moved()
    outbox = _outbox(again, boot=2, flash=FlashQueue("q", 10 * SEGMENT))
    assert _held(outbox) == [(1, 1), (1, 2)]
    outbox.add(_said(3))
    bridge = FakeBridge(again.clock, outbox)
    session = Session("test", bridge)
    session.connect()
    again.passes(500)
    lines = session.take(10_000)
    assert lines[1].endswith(b'"boot":1,"seq":1,"age":null}'), lines
    assert lines[2].endswith(b'"boot":1,"seq":2,"at":1794000000.000}'), lines
    assert lines[3].endswith(b'"boot":2,"seq":1,"age":500}'), lines
    outbox.ack(1, 2)
    assert _held(outbox) == [(2, 1)]


def a_power_cut_at_any_write_loses_the_end_alone():
    for cut in range(60):
        folder = "q%d" % cut
        moved = Moved()
        outbox = _outbox(moved, ram=1024, flash=FlashQueue(folder, 10 * SEGMENT, power.File))
        power.cut_after(cut)
        said = 0
        try:
            for number in range(60):
                outbox.add(_said(number))
                said += 1
        except power.Cut:
            pass
        power.cut_after(10**9)
        outbox = _outbox(Moved(), boot=2, flash=FlashQueue(folder, 10 * SEGMENT))
        held = _held(outbox)
        assert held == [(1, seq) for seq in range(1, len(held) + 1)], (cut, held)
        assert said - len(held) <= 14, (cut, said, len(held))  # What the memory held.
        for number in range(200):
            outbox.add(_said(number))
        assert _held(outbox) == held + [(2, seq) for seq in range(1, 201)]


def rubbish_in_the_folder_does_no_harm():
    moved = Moved()
    outbox = _outbox(moved, flash=FlashQueue("q", 10 * SEGMENT))
    for number in range(300):
        outbox.add(_said(number))
    outbox.save()
    with open("q/00000001.q", "r+b") as file:
        file.seek(5000)
        file.write(b"\xff" * 40)
    with open("q/00000000.q", "wb") as file:
        file.write(os.urandom(500))
    with open("q/notes.txt", "w") as file:
        file.write("hello")
    outbox = _outbox(Moved(), boot=2, flash=FlashQueue("q", 10 * SEGMENT))
    held = _held(outbox)
    assert held and held == sorted(held)
    outbox.ack(1, 300)
    outbox.add(_said(1))
    assert _held(outbox) == [(2, 1)]


def a_flash_that_cannot_be_written_leaves_the_memory_working():
    class Full:
        def __init__(self, *_):
            raise OSError(28)

    moved = Moved()
    outbox = _outbox(moved, flash=FlashQueue("q", 10 * SEGMENT, Full))
    for number in range(300):
        outbox.add(_said(number))
    held = _held(outbox)
    assert held[-1] == (1, 300) and len(held) > 10
    assert outbox.errors > 0 and outbox.dropped == 300 - len(held)


def random_traffic_never_loses_doubles_or_disorders():
    random.seed(4)
    for run in range(6):
        moved = Moved()
        folder = "r%d" % run
        boot, outbox = 1, _outbox(moved, ram=1500, flash=FlashQueue(folder, 20 * SEGMENT))
        model = []
        for _ in range(400):
            choice = random.random()
            if choice < 0.75:
                outbox.add(_said(len(model)))
                model.append((boot, outbox.seq))
            elif choice < 0.9 and model:
                count = random.randint(1, len(model))
                outbox.ack(*model[count - 1])
                model = model[count:]
            elif choice < 0.95:
                moved.passes(70_000)
                outbox.tick(False)
            else:
                outbox.save()
                boot += 1
                outbox = _outbox(moved, boot, ram=1500, flash=FlashQueue(folder, 20 * SEGMENT))
                held = _held(outbox)  # A file is removed whole: some come again.
                assert held[len(held) - len(model) :] == model
                model = held
            assert _held(outbox) == model
