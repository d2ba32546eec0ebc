"""What a board on a UART says: bare readings or the full form, and commands back to it. No I/O."""

import asyncio

from . import names, says
from .crc import with_crc
from .decimals import decimal
from .desk import Refused
from .lines import BadLine, CrcGate, Lines, message, number

MAX_LINE = 1536
_ANSWER_S = 3
_MAX_METERS = 8
_MAX_CONTROLS = 16


class Node:
    """The conversation with one board. `show`, `event`, `new` and `log` of `owner` hear what it says."""

    def __init__(self, settings, clock, owner, write):
        """`settings`: one of `uarts` of the configuration; `write` sends bytes."""
        self._settings = settings
        self.port = settings["port"]
        self._clock = clock
        self._owner = owner
        self._write = write
        self._lines = Lines(MAX_LINE)
        self._crc = CrcGate()
        self._boot = None
        self._waiting = {}
        self._request = 0
        self._meters = {}
        """The board's own ids → ours."""
        self.heard_ms = None
        self.bad = 0
        self.stale = 0
        self.lines = 0

    def opened(self):
        """The port was opened: what is in it is torn or old."""
        self._lines.skip_first()
        self._crc = CrcGate()
        self.send(b'{"type":"hello?"}')

    def send(self, line):
        """Say something to the board, with a CRC if it uses one."""
        self._write((with_crc(line) if self._crc.wanted else line) + b"\n")

    @property
    def errors(self):
        """Lines that could not be used."""
        return self.bad + self._lines.overlong

    def feed(self, data):
        """Take bytes from the wire."""
        found = []
        for line in self._lines.feed(data):
            self.lines += 1
            try:
                found.append(message(self._crc.opened(line)))
            except BadLine as bad:
                self.bad += 1
                self._owner.trouble("UART %d: line %s" % (self.port, bad))
        if found:
            self.heard_ms = self._clock.ms()
        # Of a meter's bare readings in one burst only the last is of now: the others waited somewhere.
        for at, one in enumerate(found):
            later = [other for other in found[at + 1 :] if "type" not in other]
            if "type" in one:
                self._take(one)
            elif any(_meter_of(other) == _meter_of(one) for other in later):
                self.stale += 1
            else:
                self._bare(one)

    async def command(self, meter, control, value):
        """Let the board carry a command out; the value it answers, as JSON text. Raises Refused."""
        self._request += 1
        request = self._request
        answer = [asyncio.Event(), None]
        self._waiting[request] = answer
        line = '{"type":"command","id":%d,"control":%s' % (request, says.quoted(control))
        if meter:
            line += ',"meter":%s' % says.quoted(meter)
        if value is not None:
            line += ',"value":%s' % decimal(value)
        self.send((line + "}").encode())
        try:
            await asyncio.wait_for(answer[0].wait(), _ANSWER_S)
        except asyncio.TimeoutError:
            raise Refused("no_answer", "the board did not answer within %d s" % _ANSWER_S)
        finally:
            del self._waiting[request]
        found = answer[1]
        if found.get("ok") is not True:
            raise Refused(str(found.get("error", "no_answer")), str(found.get("text", "")))
        return says.plain(found.get("value"))

    def _take(self, found):
        kind = found.get("type")
        if kind == "reading":
            self._reading(found, found.get("meter"), found.get("values"))
        elif kind == "readings":
            self._readings(found)
        elif kind == "hello":
            self._hello(found)
        elif kind == "event":
            self._event(found)
        elif kind == "ack":
            answer = self._waiting.get(found.get("id"))
            if answer:
                answer[1] = found
                answer[0].set()
        elif kind == "log":
            self._owner.log(str(found.get("level", "info")), str(found.get("text", ""))[:200])

    def _bare(self, found):
        values = {}
        for name in found:
            if names.normalised(name) in names.METER_KEYS:
                continue
            meaning = names.meaning(name)
            if meaning is None:
                self.bad += 1
                continue
            try:
                value = number(found[name])
            except ValueError:
                self.bad += 1
                continue
            if value is not None:
                value = value * meaning[1] // meaning[2]
            values[meaning[0]] = value
        if values:
            self._show(_meter_of(found), values, (), self._clock.ms())
        else:
            self.bad += 1

    def _reading(self, found, meter, pairs):
        values = {}
        for key in pairs if isinstance(pairs, dict) else ():
            try:
                values[names.normalised(key)] = number(pairs[key])
            except ValueError:
                self.bad += 1
        flags = [flag for flag in found.get("flags") or () if names.is_id(flag)][:8]
        self._show(meter, values, flags, self._instant(found.get("age", 0)))

    def _readings(self, found):
        columns, rows = found.get("columns"), found.get("rows")
        if not isinstance(columns, list) or not isinstance(rows, list):
            self.bad += 1
            return
        for row in rows:
            if not isinstance(row, list) or len(row) != len(columns):
                self.bad += 1
                continue
            one = dict(found)
            pairs = {}
            for key, value in zip(columns, row):
                if key in ("meter", "age", "flags"):
                    one[key] = value
                elif value != "-":
                    pairs[key] = value
            self._reading(one, one.get("meter"), pairs)

    def _instant(self, age):
        """The instant (ms) of something so many ms old, or None if the age is not known."""
        try:
            micros = number(age)
        except ValueError:
            micros = None
        return None if micros is None else self._clock.ms() - max(0, micros) // 1_000_000

    def _show(self, meter, values, flags, at_ms):
        ours = self._ours(meter)
        if ours and values:
            self._owner.show(ours, self, meter, values, flags, at_ms)

    def _ours(self, meter):
        """Our id of the board's meter; None if the board invents ever more of them."""
        if meter is not None and not names.is_id(meter):
            self.bad += 1
            return None
        if meter not in self._meters:
            if len(self._meters) >= _MAX_METERS:
                self.bad += 1
                return None
            own = self._settings["meter"] if meter in (None, "main") else meter
            self._meters[meter] = own
        return self._meters[meter]

    def _hello(self, found):
        if found.get("boot") != self._boot:
            self._boot = found.get("boot")
            for meter in self._meters.values():
                self._owner.interrupted(meter)
        told = found.get("meters")
        for one in (told if isinstance(told, list) else [])[:_MAX_METERS]:
            if not isinstance(one, dict):
                continue
            ours = self._ours(one.get("id"))
            if ours:
                one["controls"] = _controls(one.get("controls"))
                one.setdefault("firmware", found.get("firmware"))
                one.setdefault("model", found.get("hardware"))
                self._owner.new(ours, self, one["id"], one)

    def _event(self, found):
        meter = found.get("meter")
        ours = self._ours(meter) if meter is not None or self._meters else None
        name = found.get("event")
        if not names.is_id(name):
            self.bad += 1
            return
        try:
            value = number(found.get("value"))
        except ValueError:
            value = None
        reason, control = found.get("reason"), found.get("control")
        self._owner.event(
            name,
            ours,
            value,
            reason if isinstance(reason, str) else None,
            control if isinstance(control, str) else None,
        )


def _meter_of(found):
    """The meter that a bare reading names, or None."""
    for name in found:
        if names.normalised(name) in names.METER_KEYS:
            return str(found[name])
    return None


def _controls(told):
    """Controls as a board tells them, if they have the form of controls."""
    return [
        control
        for control in (told if isinstance(told, list) else [])[:_MAX_CONTROLS]
        if isinstance(control, dict) and names.is_id(control.get("key"))
    ]
