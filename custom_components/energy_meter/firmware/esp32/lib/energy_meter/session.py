"""One uplink's conversation: what is to be said next, and what becomes of what comes. No I/O."""

from . import records, says
from .lines import number

_URGENT = 24
"""Answers, log lines and hellos that wait for one uplink."""
_RESENDS = 8
_REWIND_AFTER = 300_000
"""Milliseconds without an acknowledgement after which the unacknowledged is said again, to a host that does acknowledge."""


def _is_number(value):
    return isinstance(value, int) and value is not True and value is not False and value >= 0


class Session:
    """What one uplink says; the uplink takes it, and reports whether it got through."""

    def __init__(self, name, bridge):
        """`bridge`: whose clock, outbox and desk these are, who makes the hello and hears of acks and of the time."""
        self.name = name
        self._bridge = bridge
        self._clock = bridge.clock
        self._outbox = outbox = bridge.outbox
        self._hello = bridge.hello
        self._urgent = []
        self._resends = []
        self.position = outbox.end
        """Of what is said next."""
        self.through = outbox.first
        """Everything before this position has got to the other end of the wire."""
        self._taken = None
        self._acked_ms = None
        self.connected = False
        self.full = False
        """Whether `take` left something out for want of room."""
        self.repeated = 0
        self.on_news = None
        """Called whenever there is something to say."""
        outbox.on_new(self.news)

    @property
    def has_urgent(self):
        """Whether an answer or the like waits."""
        return bool(self._urgent or self._resends)

    def connect(self):
        """A connection begins: hello first, then what nobody has acknowledged, oldest first."""
        self.connected = True
        self._urgent = []
        self._resends = []
        self._acked_ms = None
        self._taken = None
        self.say_hello()
        for line in self._bridge.unsaid():
            self.say(line)
        self.position = self._outbox.first

    def disconnect(self):
        """A connection ended."""
        self.connected = False

    def say(self, line):
        """Say this before everything that is numbered; the oldest of too many is left out."""
        if self.connected:
            if len(self._urgent) >= _URGENT:
                self._urgent.pop(0)
            self._urgent.append(line)
            self.news()

    def say_hello(self):
        """Say who is here; what was going to say it is left out."""
        self._urgent = [line for line in self._urgent if line != self._hello]
        self._urgent.insert(0, self._hello)  # Made when it is sent, so that it is true then.
        self.news()

    def news(self):
        """Tell the uplink that there is something to say."""
        if self.on_news:
            self.on_news()

    def take(self, room, most=64):
        """The next lines, of at most `room` bytes together (but at least one) and `most` lines."""
        lines = []
        self._taken = (list(self._urgent), self.position, list(self._resends))
        self._rewind_if_forgotten()
        self.full = False
        while len(lines) < most:
            line = self._next(bool(lines))
            if line is None:
                break
            if lines and len(line) >= room:
                self._put_back()
                self.full = True
                break
            room -= len(line) + 1
            lines.append(line)
        return lines

    def succeeded(self):
        """What was taken last has got through."""
        self.through = self.position

    def failed(self):
        """What was taken last did not get through."""
        if self._taken:
            self._urgent, self.position, self._resends = self._taken
            self._taken = None

    def receive(self, message):
        """Do what a message of the host asks."""
        self._bridge.heard()
        kind = message.get("type")
        if kind == "hello?":
            self.say_hello()
            self._rewind()
        elif kind == "ack":
            boot, seq = message.get("boot"), message.get("seq")
            if _is_number(boot) and _is_number(seq):
                self._acked_ms = self._clock.ms()
                self._outbox.ack(boot, seq)
                self._bridge.acked()
        elif kind == "resend":
            asked = [message.get(key) for key in ("boot", "from", "to")]
            if all(_is_number(value) for value in asked) and len(self._resends) < _RESENDS:
                self._resends.append(asked)
                self.news()
        elif kind == "time":
            try:
                self._bridge.set_time(number(message.get("unix")) // 1000)
            except (ValueError, TypeError):
                pass  # A time that is none changes nothing.
        elif kind in ("command", "config", "update"):
            self._bridge.desk.ask(message, self.say)

    def _rewind(self):
        if self.position > self._outbox.first:
            self.repeated += self.position - self._outbox.first
            self.position = self._outbox.first
            self.news()

    def _rewind_if_forgotten(self):
        if self._acked_ms is None or self.position <= self._outbox.first:
            return
        if self._clock.ms() - self._acked_ms >= _REWIND_AFTER:
            self._acked_ms = self._clock.ms()
            self._rewind()

    def _next(self, more=False):
        """The next line; None if there is none, or if there is a hub's round and `more` goes with it."""
        self._before = None
        if self._urgent:
            line = self._urgent.pop(0)
            self._before = (line, None)
            return line() if line == self._hello else line
        while self._resends:
            asked = list(self._resends[0])
            line = self._resend(self._resends[0])
            if line is not None:
                self._before = (None, asked)
                return line
            self._resends.pop(0)
        self.position = max(self.position, self._outbox.first)
        while self.position < self._outbox.end:
            entry = self._outbox.read(self.position)
            if entry is not None and more and entry[2] & records.ROUND:
                self.full = True
                return None
            self.position += 1
            if entry is not None:
                return says.numbered(entry, self._outbox.boot, self._clock.ms())
        return None

    def _put_back(self):
        """Undo the last `_next`."""
        urgent, asked = self._before or (None, None)
        if urgent is not None:
            self._urgent.insert(0, urgent)
        elif asked is not None:
            if self._resends and self._resends[0][2] == asked[2]:
                self._resends[0] = asked
            else:
                self._resends.insert(0, asked)
        else:
            self.position -= 1

    def _resend(self, asked):
        """The next line of what was asked for again, or None when all has been said; moves `asked` on."""
        boot, first, last = asked
        if first > last:
            return None
        position = self._outbox.find(boot, first)
        entry = None if position is None else self._outbox.read(position)
        begins = None if entry is None else records.first_seq(entry)
        if entry is not None and entry[0] == boot and begins <= last:
            if begins <= first:
                end = min(last, entry[1])
                asked[1] = end + 1
                self.repeated += end - first + 1
                now = self._clock.ms()
                return says.numbered(entry, self._outbox.boot, now, first - begins, end - begins)
            asked[1] = begins
            return says.gone(boot, first, begins - 1)
        asked[1] = last + 1
        return says.gone(boot, first, last)
