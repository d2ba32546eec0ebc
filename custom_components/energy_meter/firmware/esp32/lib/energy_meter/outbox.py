"""What has been said and not yet been acknowledged: numbered, first in memory, then on flash, the oldest dropped first.

Every message has a position; positions rise by one, those on flash come before those in memory. An uplink keeps
the position of what it sends next, so that several of them can be served from one buffer.
"""

from . import i2c_rows, records

SPILL_AFTER_MS = 60_000
"""What nobody has taken for so long goes to flash, while no host is here: a power cut loses what is younger."""
SPILL_AFTER_HERE_MS = 180_000
"""The same while a host is here: it has it, and says so when it has written it down itself, about once a minute."""


class Outbox:
    """The bridge's numbered messages."""

    def __init__(self, clock, boot, ram, flash=None, seq=0):
        """Number from `seq` + 1 in the start `boot`; hold in the ring `ram`, then in the queue `flash` if there is one."""
        self._clock = clock
        self.boot = boot
        self.seq = seq
        self._ram = ram
        self._flash = flash
        self.first = flash.first if flash else 0
        self._ram_first = flash.end if flash else 0
        self._oldest_ms = 0
        self.dropped = 0
        self.errors = 0
        self._listeners = []

    @property
    def end(self):
        """The position of the next message."""
        return self._ram_first + len(self._ram)

    @property
    def buffered(self):
        """Messages that nobody has taken yet."""
        return self.end - self.first

    def on_new(self, tell):
        """Call `tell` whenever there is something new."""
        self._listeners.append(tell)

    def add(self, body, at=None, known=True):
        """Number a message (the inside of its JSON object, bytes) of the instant `at` (ms, default now)."""
        now = self._clock.ms()
        self.seq += 1
        kind = records.MONOTONIC if known else records.UNKNOWN
        if len(body) > records.MAX_BODY:
            self.errors += 1
            body = b'"type":"log"'  # Its number has to be used all the same.
        self._push(records.parts(self.boot, self.seq, kind, now if at is None else at, body))

    def add_round(self, body, at, keep):
        """Number the rows of a hub's round (see `i2c_rows`) of the instant `at` (ms); without `keep` it may be dropped."""
        self.seq += i2c_rows.count(body)
        kind = records.ROUND | (0 if keep else records.LIVE)
        self._push(records.parts(self.boot, self.seq, kind, at, body))

    def _push(self, parts):
        while not self._ram.push(*parts):
            if not len(
                self._ram
            ):  # It is greater than the whole memory; its numbers count as lost.
                self.errors += 1
                return
            if self._is_live(0):
                self._drop_live()
            else:
                self._spill()
        if len(self._ram) == 1:
            self._oldest_ms = self._clock.ms()
        for tell in self._listeners:
            tell()

    def read(self, position):
        """(boot, seq, kind, time, body) at a position; None if it was damaged. `seq` of a round is its last one."""
        if position >= self._ram_first:
            return records.unpack(self._ram.get(position - self._ram_first))
        try:
            record = self._flash.read(position)
        except OSError:
            self.errors += 1
            return None
        return records.unpack(record) if record else None

    def in_memory(self, position):
        """Whether what comes at a position is in memory, or still to come."""
        return position >= self._ram_first

    def ack(self, boot, seq):
        """Forget everything up to a message that a host has taken."""
        if (boot, seq) > (self.boot, self.seq):
            return  # Nobody can have taken what was never said.
        self._forget(self._after((boot, seq)))

    def find(self, boot, seq):
        """The position of a message, or the next later one; None if there is none any more."""
        position = max(self.first, self._after((boot, seq - 1)))
        return position if position < self.end else None

    def tick(self, host_is_here):
        """Save what has been waiting for long; call about once a second."""
        patience = SPILL_AFTER_HERE_MS if host_is_here else SPILL_AFTER_MS
        if len(self._ram) and self._clock.ms() - self._oldest_ms >= patience:
            self.save()

    def save(self):
        """Write what is in memory to flash: before a restart. Live rounds behind the last that is kept stay."""
        if not self._flash:
            return
        last = len(self._ram)
        while last and self._is_live(last - 1):
            last -= 1
        end = self._ram_first + last
        while self._ram_first < end:
            if self._is_live(0):
                self._drop_live()
            elif not self._spill():
                return

    def _after(self, key):
        """The position behind the last message that is not above (boot, seq)."""
        if len(self._ram):
            low, high = 0, len(self._ram)
            while low < high:
                middle = (low + high) // 2
                if records.key(self._ram.head(middle, records.HEAD)) > key:
                    high = middle
                else:
                    low = middle + 1
            if low:
                return self._ram_first + low
        elif key >= (self.boot, self.seq):
            return self.end
        if not self._flash:
            return self.first
        try:
            position = self._flash.after(key)
            return position if self._flash.holds(position) else self._ram_first
        except OSError:
            self.errors += 1
            return self.first

    def _forget(self, position):
        if position <= self.first:
            return
        self.first = position
        if self._flash:
            try:
                self._flash.drop_through(min(position, self._ram_first))
            except OSError:
                self.errors += 1
        if position > self._ram_first:
            self._leave(position - self._ram_first)
            self._oldest_ms = self._clock.ms()

    def _is_live(self, number):
        return bool(self._ram.head(number, records.HEAD)[10] & records.LIVE)

    def _drop_live(self):
        """Forget the oldest in memory, a live round: who listens has had it."""
        self._leave(1)
        stored = self._flash and self._flash.first < self._flash.end
        self.first = max(self.first, self._flash.first if stored else self._ram_first)
        self._oldest_ms = self._clock.ms()

    def _spill(self):
        """Make room in memory: what comes before the first live round to flash, or drop the older half of it.

        Returns how many messages are on flash now that were not.
        """
        before = self.first
        unsent = 0
        while unsent < len(self._ram) and not self._is_live(unsent):
            unsent += 1
        stored = 0
        if self._flash:
            try:
                self._flash.append([self._dated(self._ram.get(number)) for number in range(unsent)])
            except OSError:  # It is full of other things, or worn out.
                self.errors += 1
            stored = self._flash.end - self._ram_first
            self._leave(stored)
            self.first = max(self.first, self._flash.first)
        if not stored:
            self._leave((unsent + 1) // 2)
            self.first = max(self.first, self._ram_first)
        self.dropped += self.first - before
        return stored

    def _leave(self, count):
        """Take the oldest out of memory."""
        self._ram.drop(count)
        self._ram_first += count
        if self._flash:
            self._flash.end = self._ram_first

    def _dated(self, record):
        """The record with its time of day, which outlives a restart, if that is known."""
        boot, seq, kind, time, body = records.unpack(record)
        if kind & 3 == records.MONOTONIC and boot == self.boot:
            unix = self._clock.unix_ms(time)
            if unix is not None:
                return records.pack(boot, seq, kind | records.UNIX, unix, body)
        return record
