"""What has come of a bridge's numbered messages: each (boot, number) is passed on once, and in order.

A bridge numbers its messages from 1 at each start. One that can resend is given time to: what came after a gap
waits until the gap is filled, declared gone, or `PATIENCE` is over. From one that cannot, a gap is lost at once.

Memory is bounded: a watermark per start, the last `MAX_BOOTS` starts, `MAX_HELD` messages that wait.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from .protocol import Boot

PATIENCE: Final = 10.0
"""Seconds that a gap is waited for after the last message that came out of it."""
ASK_AGAIN: Final = 3.0
"""Seconds between two requests for the same gap."""
MAX_BOOTS: Final = 64
MAX_HELD: Final = 2048
JUMP: Final = 256
"""A number so far ahead is believed when the next message agrees: a damaged digit must not skip thousands."""
_FALL: Final = 64
"""From a bridge that never repeats, a number so far back means that it began anew."""
_FAR: Final = 1024
"""More than a bridge has sent between two acknowledgements."""
_RENEWED: Final = 300.0
"""Seconds that an old number's time must be ahead of the last to mean that the bridge counts anew in the same boot."""
_MAX_RANGES: Final = 32


@dataclass(frozen=True, slots=True)
class Instant:
    """When a message's content is from; seconds."""

    monotonic: float
    unix: float


@dataclass(slots=True)
class Delivery[T]:
    """A message to be used now."""

    item: T
    late: bool = False
    """It had been given up; later ones have been used already."""


@dataclass(slots=True)
class _Start[T]:
    """One start of the bridge."""

    boot: Boot
    next: int
    """The lowest number that is not settled."""
    latest: int
    """The highest number seen, suspects apart."""
    resendable: bool = False
    last_monotonic: float | None = None
    last_unix: float | None = None
    held: dict[int, tuple[T, Instant | None]] = field(default_factory=dict)
    suspect: tuple[int, T, Instant | None] | None = None
    given_up: list[tuple[int, int]] = field(default_factory=list)
    gone: list[tuple[int, int]] = field(default_factory=list)
    waiting_since: float | None = None
    asked_at: float = 0.0
    asked_to: int = -1
    acked: int = -1
    spoken_of: bool = False
    """Something of it came on this connection, so that the bridge keeps some of it."""

    def took(self, number: int, when: Instant | None) -> None:
        self.next = number + 1
        self.latest = max(self.latest, number)
        if when is not None:
            self.last_monotonic, self.last_unix = when.monotonic, when.unix

    def has_gap(self) -> bool:
        return bool(self.held) and self.next not in self.held

    def skip(self, last: int) -> int:
        """Give up everything up to and with `last`; return how many."""
        count = last - self.next + 1
        self.given_up = [*self.given_up, (self.next, last)][-_MAX_RANGES:]
        self.next = last + 1
        return count

    def take_late(self, number: int) -> bool:
        """Whether that number had been given up; it no longer is."""
        for index, (first, last) in enumerate(self.given_up):
            if first <= number <= last:
                rest = [(first, number - 1), (number + 1, last)]
                self.given_up[index : index + 1] = [
                    (low, high) for low, high in rest if low <= high
                ]
                return True
        return False


class SequenceTracker[T]:
    """Puts the messages of one bridge in order and counts what is missing."""

    def __init__(self, memory: Iterable[Any] = ()) -> None:
        """Begin with what `memory` was before a restart; what of it makes no sense is left out."""
        self.lost = 0
        self.repeated = 0
        self.reordered = 0
        self.doubted = 0
        """Numbers that nothing agreed with."""
        self.resends = 0
        self._starts: dict[Boot, _Start[T]] = {}
        self._waiting = False
        self._paused = True
        for entry in memory:
            match entry:
                case [
                    int() | str() | None as boot,
                    int() as number,
                    float() | int() | None as unix,
                ]:
                    self._starts[boot] = _Start(boot, number + 1, number, last_unix=unix)
                case _:
                    continue

    @property
    def waiting(self) -> bool:
        """Whether something waits for a gap."""
        return self._waiting

    def memory(self) -> list[list[Any]]:
        """`[[boot, highest number that is settled, Unix time of it or None], …]`, oldest first."""
        return [[start.boot, start.next - 1, start.last_unix] for start in self._starts.values()]

    def take(
        self,
        boot: Boot,
        number: int,
        item: T,
        when: Instant | None,
        *,
        now: float,
        resendable: bool,
    ) -> list[Delivery[T]]:
        """Take a message; return what is to be used now, in order.

        Args:
            boot: the start that it belongs to.
            number: its number in that.
            item: the message.
            when: when its content is from, if that is known.
            now: seconds of the monotonic clock.
            resendable: whether the bridge keeps messages and sends them again.
        """
        start = self._starts.get(boot)
        if start is None:
            start = self._begin(boot, number, resendable=resendable)
        start.resendable = resendable
        start.spoken_of = True
        if number == start.next and not self._waiting and start.suspect is None:
            start.took(number, when)
            return [Delivery(item)]
        if number < start.next:
            if start.take_late(number):
                self.lost -= 1
                self.reordered += 1
                return [Delivery(item, late=True)]
            if not self._counts_anew(start, number, when):
                self.repeated += 1
                start.acked = -1  # It has not heard that this was taken.
                return []
            return self._count_anew(start, number, item, when, now)
        if number in start.held or (start.suspect and start.suspect[0] == number):
            self.repeated += 1
            return []
        if number - start.latest > JUMP and not self._agreed(start, number):
            self.doubted += start.suspect is not None
            start.suspect = (number, item, when)
            return []
        if start.suspect is not None:
            suspect, start.suspect = start.suspect, None
            if 0 < number - suspect[0] <= JUMP:
                start.held[suspect[0]] = suspect[1:]
            else:
                self.doubted += 1
        start.held[number] = (item, when)
        start.latest = max(start.latest, number)
        out = self._drain(now)
        if sum(len(each.held) for each in self._starts.values()) > MAX_HELD:
            out += self._give_up(now)
        return out

    def gone(self, boot: Boot, first: int, last: int, *, now: float) -> list[Delivery[T]]:
        """The bridge no longer has these."""
        start = self._starts.get(boot)
        if start is None or not start.held or last < start.next:
            return []
        start.gone = [*start.gone, (first, last)][-_MAX_RANGES:]
        return self._drain(now)

    def tick(self, now: float) -> list[Delivery[T]]:
        """Give up what has been waited for long enough; return what is to be used now."""
        if self._paused or not self._waiting:
            return []
        for start in self._starts.values():
            if start.held:
                waited = now - (start.waiting_since if start.waiting_since is not None else now)
                return self._give_up(now) if waited >= PATIENCE else []
        return []

    def pause(self) -> None:
        """The link is down: nothing can come, so nothing is given up."""
        self._paused = True

    def resume(self, now: float) -> None:
        """The link is up again: patience begins anew."""
        self._paused = False
        for start in self._starts.values():
            start.asked_to = -1
            start.acked = -1
            start.spoken_of = bool(start.held)
            if start.waiting_since is not None:
                start.waiting_since = now

    def requests(self, now: float) -> list[tuple[Boot, int, int]]:
        """What is to be asked for again: (boot, first, last)."""
        asked: list[tuple[Boot, int, int]] = []
        if not self._waiting or self._paused:
            return asked
        for start in self._starts.values():
            if not start.resendable or not start.has_gap():
                continue
            if start.next <= start.asked_to and now - start.asked_at < ASK_AGAIN:
                continue
            start.asked_at, start.asked_to = now, min(start.held) - 1
            asked.append((start.boot, start.next, start.asked_to))
        self.resends += len(asked)
        return asked

    def acknowledgements(self, saved: dict[Boot, int] | None = None) -> list[tuple[Boot, int]]:
        """(boot, highest settled number) where that is news for the bridge; never beyond `saved` if that is given."""
        out = []
        for start in self._starts.values():
            upto = start.next - 1
            if saved is not None:
                upto = min(upto, saved.get(start.boot, -1))
            if start.spoken_of and upto > max(start.acked, 0):
                start.acked = upto
                out.append((start.boot, upto))
        return out

    def _begin(self, boot: Boot, number: int, *, resendable: bool) -> _Start[T]:
        """A start that was not heard of: of a known bridge that keeps everything it begins at 1, else where it is."""
        first = min(1, number) if resendable and boot is not None and self._starts else number
        while len(self._starts) >= MAX_BOOTS:
            idle = next((each for each in self._starts.values() if not each.held), None)
            if idle is None:
                break
            del self._starts[idle.boot]
        start: _Start[T] = _Start(boot, first, first - 1)
        self._starts[boot] = start
        return start

    def _counts_anew(self, start: _Start[T], number: int, when: Instant | None) -> bool:
        """Whether a number that had been before is a new message of a bridge that does not know its boot."""
        if not start.resendable:
            return number <= 1 < start.next - 1 or start.next - number > _FALL
        if when is None:
            return False
        if start.last_monotonic is not None:
            return when.monotonic > start.last_monotonic + _RENEWED
        # Over a restart of Home Assistant only the wall clock is left, which may have been put right meanwhile: what
        # lies a little before the last is rather a repetition.
        far = number <= JUMP or start.next - number > _FAR
        return far and start.last_unix is not None and when.unix > start.last_unix + _RENEWED

    def _count_anew(
        self, start: _Start[T], number: int, item: T, when: Instant | None, now: float
    ) -> list[Delivery[T]]:
        out = []
        while start.held:
            out += self._give_up(now)
        del self._starts[start.boot]
        first = min(1, number) if start.resendable and number <= JUMP else number
        self._starts[start.boot] = _Start(start.boot, first, first - 1)
        return out + self.take(start.boot, number, item, when, now=now, resendable=start.resendable)

    @staticmethod
    def _agreed(start: _Start[T], number: int) -> bool:
        return start.suspect is not None and 0 < number - start.suspect[0] <= JUMP

    def _give_up(self, now: float) -> list[Delivery[T]]:
        """Count the oldest gap as lost."""
        for start in self._starts.values():
            if start.has_gap():
                self.lost += start.skip(min(start.held) - 1)
                break
        return self._drain(now)

    def _drain(self, now: float) -> list[Delivery[T]]:
        """Everything that is in order now; a start waits for those before it."""
        out: list[Delivery[T]] = []
        self._waiting = False
        for start in self._starts.values():
            before = start.next
            while start.held:
                if start.next in start.held:
                    item, when = start.held.pop(start.next)
                    out.append(Delivery(item))
                    start.took(start.next, when)
                elif not start.resendable:
                    self.lost += start.skip(min(start.held) - 1)
                elif not self._skip_gone(start):
                    break
            if start.held:
                self._waiting = True
                if start.next != before or start.waiting_since is None:
                    start.waiting_since = now
                break
            start.waiting_since = None
            start.gone.clear()
        return out

    def _skip_gone(self, start: _Start[T]) -> bool:
        for first, last in start.gone:
            if first <= start.next <= last:
                self.lost += start.skip(min(last, min(start.held) - 1))
                return True
        return False
