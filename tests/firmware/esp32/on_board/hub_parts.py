"""The parts of the hub role that need no bus: rows, the buffer of rounds, settings, the set-up page."""

import json
import struct

from energy_meter import (
    config,
    i2c_blocks,
    i2c_monitor,
    i2c_roster,
    i2c_rows,
    portal,
    records,
    says,
)
from energy_meter.flash_queue import FlashQueue
from energy_meter.i2c_bus import DISTURBED, GONE, NO_ANSWER, UNREACHABLE, Bus, place_text
from energy_meter.outbox import Outbox
from energy_meter.ram_ring import RamRing
from energy_meter.session import Session
from support import FakeBridge, Moved, raises

_KEY = bytes((0x0F, 1, 2, 3, 4, 5, 6, 0x80))


def _block(**changes):
    values = {
        "tag": 1, "sequence": 2, "boot": 3, "state": 0, "flags": 0, "voltage": 23015, "frequency": 4998,
        "current": 10123, "power": -2300123, "reactive": 99999, "apparent": 12345, "factor": -9876,
        "crest": 1414, "taken": 12345678901, "given": 7, "peaks": 0,
    }  # fmt: skip
    values.update(changes)
    return struct.pack(
        "<HHBBHHHIiiIhH", values["tag"], values["sequence"], values["boot"], values["state"], values["flags"],
        values["voltage"], values["frequency"], values["current"], values["power"], values["reactive"],
        values["apparent"], values["factor"], values["crest"],
    ) + values["taken"].to_bytes(6, "little") + values["given"].to_bytes(6, "little") + bytes(6)  # fmt: skip


def _round(*blocks, exports=True):
    body = bytearray(1 + len(blocks) * i2c_rows.ROW)
    body[0] = i2c_rows.FORMAT
    for number, block in enumerate(blocks):
        i2c_rows.put(body, 1 + number * i2c_rows.ROW, _KEY, block, exports)
    return bytes(body)


def _line(body):
    return bytes(i2c_rows.line(body, 0, None, b'"seq":1'))


def _read(line):
    return json.loads(line)


def a_block_becomes_a_row_with_the_digits_that_say_something():
    found = _read(_line(_round(_block())))
    assert found["columns"][0] == "meter" and found["columns"][-1] == "start"
    assert _line(_round(_block())).endswith(
        b'"rows":[["800605040302010f",230.15,10.123,-2300.1,100,12.35,-0.9876,49.98,1.414,12345.678901,0.000007,3]]}'
    )
    assert b"-1.234,0.001" in _line(_round(_block(power=-1234, reactive=1)))


def what_is_not_available_is_null():
    empty = _block(
        voltage=0xFFFF, frequency=0xFFFF, current=0xFFFFFFFF, power=-0x80000000, reactive=-0x80000000,
        apparent=0xFFFFFFFF, factor=-0x8000, crest=0xFFFF, taken=0xFFFFFFFFFFFF, given=0xFFFFFFFFFFFF,
    )  # fmt: skip
    assert _read(_line(_round(empty)))["rows"] == [["800605040302010f"] + [None] * 10 + [3]]
    row = _read(_line(_round(_block(), exports=False)))["rows"][0]
    assert row[-2] == "-", "no export is no zero"


def flags_stand_once_if_all_have_the_same():
    assert "flags" not in _read(_line(_round(_block(), _block())))
    same = _read(_line(_round(_block(flags=0x100), _block(flags=0x100))))
    assert same["flags"] == ["uncalibrated"] and "flags" not in same["columns"]
    mixed = _read(_line(_round(_block(flags=0x0C), _block(flags=0x1803), _block())))
    assert mixed["columns"][-1] == "flags" and "flags" not in mixed
    assert [row[-1] for row in mixed["rows"]] == [
        ["clipping"],
        ["no_voltage", "no_zero_crossing", "eeprom"],
        None,
    ]


def a_round_of_a_format_to_come_costs_its_numbers_only():
    body = bytes((i2c_rows.FORMAT + 1,)) + bytes(2 * i2c_rows.ROW)
    assert _read(_line(body))["rows"] == [[], []]


def blocks_are_checked_with_their_pointer():
    body = bytes(range(48))
    crc = i2c_blocks.crc16(bytes((0x40,)) + body)
    block = body + struct.pack("<H", crc)
    assert i2c_blocks.is_good(0x40, block)
    assert not i2c_blocks.is_good(0x41, block)
    for at in range(len(block)):
        damaged = bytearray(block)
        damaged[at] ^= 0x10
        assert not i2c_blocks.is_good(0x40, damaged)


def a_command_is_what_the_register_map_says():
    line = i2c_blocks.command(0x12, _KEY, -125)
    assert len(line) == 16 and line[0] == 0xC0 and line[1] == 0x12
    assert line[2:10] == _KEY and struct.unpack("<i", line[10:14])[0] == -125
    assert i2c_blocks.is_good(0xC0, line[1:])


def two_monitors_at_one_address_look_different_from_noise():
    def identity(key):
        head = b"EMIC" + bytes((1, 40)) + key + bytes(255 - byte for byte in key)
        return head + bytes(18)

    one, two = identity(_KEY), identity(bytes(reversed(_KEY)))
    both = bytes(a & b for a, b in zip(one, two))
    assert i2c_blocks.speaks_for_two(both)
    assert not i2c_blocks.speaks_for_two(one)
    noisy = bytearray(both)
    noisy[6] = noisy[14] = 1
    assert not i2c_blocks.speaks_for_two(noisy)
    assert not i2c_blocks.speaks_for_two(b"XMIC" + both[4:])


def as_many_as_there_may_be_of_the_longest_fit_a_line():
    """Half of them lack all that can be lacked, each says everything itself that can differ."""
    monitors = []
    for number in range(i2c_roster.MAX_MONITORS):
        capabilities = 0 if number % 2 else 0x1F
        identity = (
            b"EMIC\x01\x28" + bytes(16) + bytes((25, 25, number, 1)) + struct.pack("<HH", capabilities, 630 + number)
        )  # fmt: skip
        monitor = i2c_monitor.Monitor(identity + bytes(10), 60 << 8 | 0x12)
        monitor.settings = (1234567, 9876543, -1999, 9999)
        monitor.relay = 1
        monitors.append(monitor)
    common = i2c_monitor.Common(monitors)
    pieces = [monitor.hello(common) for monitor in monitors] + [common.text()]
    assert json.loads(pieces[0])["settings"]["phase_shift"] == -19.99
    assert "relay" in json.loads(pieces[1])["without"]
    size = 300 + sum(len(piece.encode()) + 1 for piece in pieces)
    assert size < 32768, (size, pieces[0], pieces[1])
    body = _round(
        *[
            _block(
                power=-23000123, reactive=-12345678, apparent=25000123, current=99999, crest=12345,
                taken=99999999999, given=99999999999, boot=255,
            )
        ] * 100
    )  # fmt: skip
    assert len(_line(body)) < 12_000, len(_line(body))


# The buffer of rounds


class _Rig:
    def __init__(self, ram=24 * 1024, flash=None):
        self.moved = Moved()
        self.flash = flash and FlashQueue("queue", flash * 1024)
        self.outbox = Outbox(self.moved.clock, 5, RamRing(ram, 256), self.flash)
        self.session = Session("test", FakeBridge(self.moved.clock, self.outbox))
        self.session.connect()
        self.taken()

    def round(self, rows, keep=False):
        body = _round(*[_block(boot=number & 0xFF) for number in range(rows)])
        self.outbox.add_round(body, self.moved.now, keep)

    def taken(self, room=1400):
        found = []
        while True:
            lines = self.session.take(room)
            if not lines:
                return found
            self.session.succeeded()
            found += [json.loads(bytes(line)) for line in lines]

    def receive(self, **message):
        self.session.receive(message)


def _numbers(messages):
    """Every number that came, rows counted."""
    found = []
    for one in messages:
        if "seq" in one:
            found += range(one["seq"], one["seq"] + len(one.get("rows", "x")))
    return found


def a_round_takes_a_number_for_each_row():
    rig = _Rig()
    rig.outbox.add(b'"type":"event","event":"a"')
    rig.round(7)
    rig.outbox.add(b'"type":"event","event":"b"')
    rig.round(3)
    found = rig.taken()
    assert [(one["type"], one["seq"]) for one in found] == [
        ("event", 1), ("readings", 2), ("event", 9), ("readings", 10),
    ]  # fmt: skip
    assert _numbers(found) == list(range(1, 13)) and rig.outbox.seq == 12


def a_round_is_forgotten_when_its_last_row_is_acknowledged():
    rig = _Rig()
    rig.round(7)
    rig.round(7)
    rig.taken()
    rig.receive(type="ack", boot=5, seq=6)
    rig.receive(type="hello?")
    assert _numbers(rig.taken()) == list(range(1, 15)), (
        "one row is missing: the round is still there"
    )
    rig.receive(type="ack", boot=5, seq=7)
    rig.receive(type="hello?")
    assert _numbers(rig.taken()) == list(range(8, 15))
    rig.receive(type="ack", boot=5, seq=14)
    assert rig.outbox.buffered == 0


def parts_of_rounds_are_sent_again_when_asked_for():
    rig = _Rig()
    rig.round(10)
    rig.outbox.add(b'"type":"event","event":"a"')
    rig.round(10)
    rig.taken()
    for first, last in ((3, 5), (1, 1), (10, 12), (9, 21), (1, 21), (11, 11)):
        rig.receive(type="resend", boot=5, **{"from": first, "to": last})
        found = rig.taken()
        assert _numbers(found) == list(range(first, last + 1)), (first, last)
        for one in found:
            for at, row in enumerate(one.get("rows", ())):
                number = one["seq"] + at
                assert row[-1] == (number - 1 if number < 11 else number - 12), (
                    "the row of that number"
                )


def what_was_dropped_is_said_to_be_gone():
    rig = _Rig(ram=2048)
    for _ in range(8):
        rig.round(10)
    rig.taken()
    rig.receive(type="resend", boot=5, **{"from": 1, "to": 80})
    found = rig.taken()
    gone = [one for one in found if one["type"] == "gone"]
    assert len(gone) == 1 and gone[0]["from"] == 1
    assert _numbers(found) == list(range(gone[0]["to"] + 1, 81))
    assert rig.outbox.dropped == 0, "who listened has had them"


def live_rounds_make_room_and_what_is_kept_goes_to_flash():
    rig = _Rig(ram=4096, flash=64)
    kept = []
    for number in range(40):
        keep = number % 10 == 0
        rig.round(10, keep)
        if keep:
            kept += range(rig.outbox.seq - 9, rig.outbox.seq + 1)
        if number == 15:
            rig.outbox.add(b'"type":"event","event":"a"')
            kept.append(rig.outbox.seq)
    rig.taken()
    rig.receive(type="hello?")
    found = _numbers(rig.taken())
    assert found == sorted(set(found)) and set(kept) <= set(found)
    assert rig.flash.bytes_used < 4 * 600 + 100
    rig.receive(type="ack", boot=5, seq=rig.outbox.seq)
    assert rig.outbox.buffered == 0 and rig.flash.bytes_used == 0


def a_restart_loses_no_round_that_is_kept():
    rig = _Rig(flash=64)
    for number in range(6):
        rig.round(20, keep=number % 2 == 0)
    rig.outbox.save()
    again = Outbox(rig.moved.clock, 6, RamRing(4096, 64), FlashQueue("queue", 65536))
    session = Session("test", FakeBridge(rig.moved.clock, again))
    session.connect()
    found = []
    while True:
        lines = session.take(1400)
        if not lines:
            break
        found += [json.loads(bytes(line)) for line in lines]
    numbers = _numbers(found)
    assert numbers == list(range(1, 21)) + list(range(41, 61)) + list(range(81, 101))
    assert all(one["boot"] == 5 and one["age"] is None for one in found if "seq" in one)


def a_full_flash_drops_the_oldest_rounds_and_counts_them():
    rig = _Rig(flash=48)
    for _ in range(30):
        rig.round(100, keep=True)
    rig.outbox.save()
    assert rig.flash.bytes_used <= 48 * 1024 and rig.outbox.dropped > 0
    rig.receive(type="hello?")
    numbers = _numbers(rig.taken())
    assert numbers == list(range(numbers[0], 3001)) and numbers[0] > 1


def half_a_megabyte_holds_a_hundred_circuits_for_eight_hours():
    rig = _Rig(flash=512)
    for _ in range(130):
        rig.round(100, keep=True)
    rig.outbox.save()
    rounds = rig.outbox.end - rig.outbox.first
    assert rounds * config.defaults()["i2c"]["keep"] >= 8 * 3600, rounds
    rig.session.disconnect()


def a_round_never_shares_its_packet_with_what_comes_before():
    rig = _Rig()
    rig.outbox.add(b'"type":"event","event":"a"')
    rig.round(50)
    rig.outbox.add(b'"type":"event","event":"b"')
    assert [len(rig.session.take(1400)) for _ in range(4)] == [1, 1, 1, 0]


def a_record_that_is_damaged_on_flash_costs_itself_alone():
    rig = _Rig(flash=64)
    for _ in range(3):
        rig.round(10, keep=True)
    rig.outbox.save()
    name = "queue/00000001.q"
    with open(name, "rb") as file:
        data = bytearray(file.read())
    data[records.HEAD + 500 + 40] ^= 1
    with open(name, "wb") as file:
        file.write(data)
    rig.receive(type="hello?")
    assert _numbers(rig.taken()) == list(range(1, 11)) + list(range(21, 31))


def lines_say_when_the_round_was():
    entry = (5, 20, records.ROUND | records.LIVE, 1000, _round(_block(), _block()))
    assert json.loads(bytes(says.numbered(entry, 5, 1600)))["age"] == 600
    assert json.loads(bytes(says.numbered(entry, 6, 1600)))["age"] is None
    entry = (4, 20, records.ROUND | records.UNIX, 1790000000123, _round(_block(), _block()))
    found = json.loads(bytes(says.numbered(entry, 5, 1600)))
    assert found["seq"] == 19 and abs(found["at"] - 1790000000.123) < 0.01


# The bus


class _Wire:
    """Two multiplexers of which one can fail; keeps what was written."""

    def __init__(self):
        self.registers = {0x70: 0, 0x71: 0}
        self.dead = ()
        self.said = []

    def readfrom_mem_into(self, address, pointer, buffer):
        self.said.append((address, pointer))
        if address in self.dead:
            raise OSError(19)
        if address in self.registers:
            self.registers[address] = pointer
            buffer[0] = pointer


async def segments_are_switched_only_when_needed():
    wire = _Wire()
    bus = Bus(lambda: wire, lambda: None, [0x71, 0x70])
    data = bytearray(1)
    assert bus.segments() == list(range(17))
    assert [place_text(1 + 8 + 7 << 8 | 0x12), place_text(0x12)] == ["0x71/7 0x12", "0x12"]
    place = 4 << 8 | 0x20  # 0x70/3
    assert await bus.read(place, 0x40, data) == 0
    assert wire.registers == {0x70: 8, 0x71: 0}
    wire.said.clear()
    assert await bus.read(place, 0x40, data) == 0
    assert wire.said == [(0x20, 0x40)]
    assert await bus.read(0x21, 0x40, data) == 0
    assert wire.registers == {0x70: 0, 0x71: 0}
    assert await bus.read(9 << 8 | 0x20, 0x40, data) == 0
    assert wire.registers == {0x70: 0, 0x71: 1}
    wire.dead = (0x71,)
    assert await bus.read(10 << 8 | 0x20, 0x40, data) == UNREACHABLE
    assert await bus.read(place, 0x40, data) == 0, "the other one's segments are there"
    wire.dead = (0x20,)
    assert await bus.read(place, 0x40, data) == NO_ANSWER


def what_a_controller_cannot_do_is_told_apart():
    class Failing:
        error = 19

        def readfrom_into(self, _address, _buffer):
            raise OSError(self.error)

    async def story():
        wire = Failing()
        bus = Bus(lambda: wire, lambda: None)
        for error, fault in ((19, NO_ANSWER), (5, NO_ANSWER), (116, DISTURBED), (110, DISTURBED)):
            wire.error = error
            assert await bus.read(0x20, None, bytearray(4)) == fault

        def none():
            raise ValueError("no such pin")

        absent = Bus(none, lambda: None)
        assert not absent.open() and "no such pin" in absent.error
        assert await absent.read(0x20, None, bytearray(4)) == GONE

    return story()


# Settings and the set-up page


def the_defaults_of_a_hub_are_right():
    settings, errors = config.checked({"i2c": {"on": True, "multiplexers": [112, 119]}})
    assert errors == [] and settings["i2c"]["multiplexers"] == [112, 119]
    assert config.checked(settings) == (settings, [])
    assert config.checked({})[0]["i2c"]["multiplexers"] == []


def what_is_wrong_with_a_hub_is_said_in_words():
    for given, part in (
        ({"i2c": {"on": True, "freq": 50000}}, "'i2c.freq' has to be one of: 100000, 400000"),
        ({"i2c": {"port": 2}}, "'i2c.port' has to be one of: 0, 1"),
        ({"i2c": {"multiplexers": [111]}}, "112 (0x70) to 119 (0x77)"),
        ({"i2c": {"multiplexers": 112}}, "112 (0x70) to 119 (0x77)"),
        ({"i2c": {"multiplexers": ["0x70"]}}, "in brackets"),
        ({"i2c": {"multiplexers": [112, 112]}}, "names an address twice"),
        ({"i2c": {"sda": 34}}, "only be an input"),
        ({"i2c": {"on": True, "sda": None}}, "'i2c.sda' needs a pin"),
        ({"i2c": {"on": True, "scl": 16}}, "are the same pin, 16"),
        ({"i2c": {"on": True}, "display": {"on": True}}, "are the same pin, 21"),
        ({"i2c": {"keep": 5}}, "'i2c.keep' has to be between 60 and 86400"),
        ({"i2c": {"on": True}, "buffer": {"ram": 8}}, "'buffer.ram' of 16"),
        (
            {
                "i2c": {"on": True, "port": 0, "sda": 18, "scl": 19},
                "display": {"on": True},
            },
            "the controller of the display",
        ),
        (
            {
                "i2c": {"on": True},
                "sleep": {"on": True},
                "mqtt": {"on": True, "host": "x"},
            },
            "nor an I\u00b2C hub",
        ),
        ({"i2c": {"speed": 1}}, "There is no setting 'i2c.speed'"),
    ):
        errors = config.checked(given)[1]
        assert any(part in error for error in errors), (given, errors)


def the_set_up_page_offers_the_bus():
    settings = config.checked({"i2c": {"on": True, "freq": 400000, "multiplexers": [112, 113]}})[0]
    html = portal.page(settings, [], ())
    assert '<option value="400000" selected>' in html and 'value="0x70 0x71"' in html
    for text, change in (
        ("i2c=", {"on": False}),
        (
            "i2c=100000&sda=18&scl=19&multiplexers=0x70%2C+113",
            {"on": True, "freq": 100000, "sda": 18, "scl": 19, "multiplexers": [112, 113]},
        ),
        ("i2c=400000&multiplexers=", {"on": True, "freq": 400000, "multiplexers": []}),
    ):
        found = portal.change_of(portal.form_of(text.encode()))["i2c"]
        assert found == change, found
        assert config.checked(config.merged(config.defaults(), {"i2c": found}))[1] == []
    wrong = portal.change_of(portal.form_of(b"i2c=100000&sda=x&multiplexers=many"))
    errors = config.checked(config.merged(config.defaults(), wrong))[1]
    assert len(errors) == 2 and "has to be a number" in errors[0], errors
    assert raises(KeyError, lambda: portal.change_of({})["i2c"])
