"""The counter guard: no spike gets through, no counter freezes, nothing steps back.

A step of a counter is accepted if 0 ≤ Δ ≤ Pmax·Δt·k + one digit, where Pmax comes from the circuit's rating
and Δt counts from the last good read. Anything else is quarantined: the last good figure is held until
reads agree with each other. What is published is the meter's figure plus an offset, so that a replaced or
reset meter goes on where the old one ended.

    the meter agrees on          published meanwhile                      then
    a lower figure               old total + growth since                 the user is asked (LOWER)
    a slightly lower figure      old total                                until the meter has passed it again
    a steadily faster rise       the new figure                           told (JUMP), the rating is learned
    a much higher figure         old total + growth since                 the user is asked (HIGHER)
    exactly zero                 old total                                waits until it counts

Slightly is less than 1 % and than six minutes at full load: what a meter forgets that saves its counter now and
then when its supply fails. Much is more than an hour at full load.

While a question is open the meter may come back to where it was (a glitch that lasted): the question is
dropped and not a digit is lost or doubled.
"""

from collections.abc import Mapping
import math
from typing import Any, Final, TypeGuard

from ..model import Counts
from .events import CounterAnswer, CounterEvent, CounterEventKind, CounterQuestion

AGREEING: Final = 3
"""Reads that have to agree before a figure outside the rule is believed."""
FIRST_AGREEING: Final = 2
"""Reads that have to agree before the very first figure is believed, and the first after a long gap."""
LONG_GAP: Final = 600.0
"""Seconds without a good read after which one read alone is not believed."""
MARGIN: Final = 1.5
"""k: breakers carry more than their rating for minutes, and meters have tolerances."""
LAG: Final = 5.0
"""Seconds by which a meter's own register may lag behind the energy."""
AGREEMENT_POWER: Final = 1e6
"""W within which reads in quarantine agree, so that a rating that is set too low cannot freeze a counter."""
FLOAT32_STEP: Final = 2.0**-22
"""Two steps of a float32, relative: such counters lose digits as they grow."""
REFRESH: Final = 60.0
"""Seconds that a figure may stand still before a step, for meters that renew their registers now and then."""
HOUR: Final = 3600.0
SLIGHT: Final = 0.01
"""Share of a counter's figure by which it may fall without a question …"""
SLIGHT_TIME: Final = 360.0
"""… and seconds at full load that have to make up for it: held any longer, it would look frozen."""
_UNIT_SECONDS: Final = 3_600_000.0
"""Watt seconds in a kWh (and likewise for kvarh and kVAh)."""


class CounterGuard:
    """Guards one counter.

    Args:
        key: the quantity.
        counts: how the counter moves.
        max_power: the most that the circuit can carry, W (var, VA).
        digit: the counter's resolution in its unit.
        modulus: the figure at which it starts again from zero, if it has one.
        state: what `to_dict` gave before a restart; broken parts are ignored. With `published` alone, the
            total goes on from there, and what the meter shows first is not counted.
    """

    def __init__(
        self,
        key: str,
        *,
        counts: Counts,
        max_power: float,
        digit: float,
        modulus: float | None = None,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        """Begin with nothing known, or where `state` ended."""
        self.key = key
        self._counts = counts
        self._power = max_power * MARGIN
        self._digit = digit
        self._modulus = modulus
        self._raw: float | None = None
        self._time = 0.0
        self._monotonic: float | None = None
        self._offset = 0.0
        self._published: float | None = None
        self._changed: float | None = None
        """Monotonic time of the last accepted read with another figure than the one before."""
        self._peak = 0.0
        """The highest figure since the meter last began anew."""
        self._candidates: list[tuple[float, float]] = []
        self._question: dict[str, Any] | None = None
        self._answered: dict[str, Any] | None = None
        self._hold = False
        """Whether lower figures are waited out, as the user has answered."""
        if state:
            self._restore(state)

    @property
    def published(self) -> float | None:
        """The total as published last; None before the first believed read."""
        return self._published

    @property
    def waiting(self) -> bool:
        """Whether a read is in quarantine, so that another soon would help."""
        return bool(self._candidates)

    def check(
        self, raw: float, *, time: float, monotonic: float, expected: float | None = None
    ) -> CounterEvent | None:
        """Take one read; `published` is what may be shown afterwards.

        Args:
            raw: the meter's figure.
            time: when it was read, UTC, seconds since the epoch.
            monotonic: the same instant on the monotonic clock, seconds.
            expected: energy since the last good read as integrated from power, where power was read
                throughout; a step that contradicts it has to be confirmed.
        """
        if not math.isfinite(raw) or (raw < 0 and self._counts is not Counts.BOTH):
            return None
        if self._raw is None:
            self._first(raw, time, monotonic)
            return None
        if self._hold and raw < self._raw:
            self._candidates.clear()
            return None
        if self._question is not None and self._looks_back(raw, time, monotonic):
            return self._come_back(self._question["base"], raw, time, monotonic)
        elapsed = self._elapsed(time, monotonic)
        if self._is_step(self._raw, raw, max(elapsed, self._still(monotonic, REFRESH))):
            sure = elapsed <= LONG_GAP or abs(raw - self._raw) <= self._slack(raw)
            if sure and not self._contradicts(raw - self._raw, expected):
                self._accept(raw, time, monotonic)
            else:
                self._confirm_step(raw, time, monotonic)
            return None
        if self._counts is not Counts.BOTH and 0 <= self._raw - raw <= 2 * self._slack(raw):
            self._candidates.clear()  # A digit back is rounding: hold, and keep the time of the good read.
            return None
        return self._quarantine(raw, time, monotonic)

    # The rule

    def _slack(self, raw: float) -> float:
        return self._digit + FLOAT32_STEP * abs(raw)

    def _limit(self, power: float, elapsed: float, raw: float) -> float:
        return power * (max(elapsed, 0.0) + LAG) / _UNIT_SECONDS + self._slack(raw)

    def _is_step(self, before: float, raw: float, elapsed: float, power: float = 0) -> bool:
        delta = raw - before
        limit = self._limit(max(self._power, power), elapsed, raw)
        if self._counts is Counts.BOTH:
            return abs(delta) <= limit
        return 0 <= delta <= limit

    def _elapsed(self, time: float, monotonic: float) -> float:
        """Seconds since the last good read; the monotonic clock knows better while we run."""
        if self._monotonic is not None:
            return monotonic - self._monotonic
        return max(time - self._time, 0.0)

    def _still(self, monotonic: float, longest: float) -> float:
        """Seconds since the figure last changed, as far as that may explain a step."""
        if self._changed is None:
            return 0.0
        return min(monotonic - self._changed, longest)

    def _contradicts(self, delta: float, expected: float | None) -> bool:
        """Whether a rise is far more than the power read meanwhile explains."""
        if expected is None or self._counts is Counts.BOTH:
            return False
        return delta > 3 * max(expected, 0.0) + 2 * self._digit + 0.05

    def _rolled_over(self, raw: float, elapsed: float) -> float:
        """What to add if the counter has passed its largest figure, else 0.

        After a long absence it could as well have been reset, so little may be missing to the largest figure.
        """
        if self._modulus is None or self._raw is None or raw >= self._raw:
            return 0.0
        delta = self._modulus - self._raw + raw
        limit = min(self._limit(self._power, elapsed, raw), SLIGHT * self._modulus)
        return self._modulus if 0 <= delta <= limit else 0.0

    def _fell_slightly(self, raw: float) -> bool:
        if self._counts is Counts.BOTH:
            return False
        most = min(SLIGHT * self._peak, self._power * SLIGHT_TIME / _UNIT_SECONDS)
        return 0 < self._peak - raw <= most

    def _is_pace(self, before: float, first: float, elapsed: float) -> bool:
        """Whether a rise beyond the rating is one that an overloaded circuit can have brought about."""
        limit = self._limit(self._power, HOUR, first)
        if elapsed > 0:
            limit = max(limit, self._limit(self._observed() * MARGIN, elapsed, first))
        return 0 < before <= first <= before + limit

    # What becomes of a read

    def _first(self, raw: float, time: float, monotonic: float) -> None:
        # A meter that has just started says 0 for a while; a new one says so for good.
        enough = AGREEING if raw == 0 else FIRST_AGREEING
        if self._agree(raw, time) >= enough:
            self._accept(raw, time, monotonic)

    def _accept(self, raw: float, time: float, monotonic: float, *, anew: bool = False) -> None:
        if raw != self._raw:
            self._changed = monotonic
        if self._raw is None and self._published is not None:
            self._offset = self._published - raw
        self._raw, self._time, self._monotonic = raw, time, monotonic
        self._peak = raw if anew else max(self._peak, raw)
        self._candidates.clear()
        if self._hold:
            self._hold, self._answered = False, None  # The old figure is back: settled for good.
        self._publish(raw + self._offset)

    def _publish(self, total: float) -> None:
        if self._published is None or self._counts is Counts.BOTH:
            self._published = total
        else:
            self._published = max(self._published, total)

    def _agree(self, raw: float, time: float) -> int:
        """Put a read into quarantine and return how many in a row agree now."""
        if self._candidates:
            before_time, before = self._candidates[-1]
            elapsed = max(time - before_time, 0.0)
            rounded = 0 <= before - raw <= 2 * self._slack(raw)
            if not rounded and not self._is_step(before, raw, elapsed, AGREEMENT_POWER):
                self._candidates.clear()
        self._candidates.append((time, raw))
        del self._candidates[:-AGREEING]
        return len(self._candidates)

    def _confirm_step(self, raw: float, time: float, monotonic: float) -> None:
        """A step that is possible but unlikely: believe it as soon as another read agrees."""
        if self._agree(raw, time) >= FIRST_AGREEING:
            self._accept(raw, time, monotonic)

    def _quarantine(self, raw: float, time: float, monotonic: float) -> CounterEvent | None:
        if raw == 0 and self._counts is Counts.UP:
            # Many meters say 0 for "no data yet": believed only once it counts, and nothing is lost till then.
            self._candidates.clear()
            return None
        if self._agree(raw, time) < AGREEING:
            return None
        assert self._raw is not None
        before, (first_time, first) = self._raw, self._candidates[0]
        held = time - first_time
        elapsed = max(self._elapsed(time, monotonic) - held, 0.0)
        if raw < before and self._fell_slightly(raw):
            self._accept(raw, time, monotonic)
            return None
        if rolled := self._rolled_over(first, elapsed):
            self._offset += rolled
            self._accept(raw, time, monotonic, anew=True)
            return self._event(CounterEventKind.ROLLOVER, before, raw, time)
        if self._counts is Counts.BOTH:
            self._accept(raw, time, monotonic)
            return self._event(CounterEventKind.JUMP, before, raw, time)
        if self._is_step(before, first, self._still(monotonic - held, HOUR)):
            # A register that is renewed now and then: nothing is odd about it.
            self._accept(raw, time, monotonic)
            return None
        if self._is_pace(before, first, elapsed):
            self._power = max(self._power, self._observed() * MARGIN)
            self._accept(raw, time, monotonic)
            return self._event(CounterEventKind.JUMP, before, raw, time)
        if raw < before and self._counts is Counts.RESETTABLE:
            self._offset, self._published = 0.0, None
            self._accept(raw, time, monotonic, anew=True)
            return self._event(CounterEventKind.CYCLE, before, raw, time)
        kind = CounterEventKind.LOWER if raw < before else CounterEventKind.HIGHER
        self._ask(kind, first, time)
        self._accept(raw, time, monotonic, anew=True)
        return self._event(kind, before, raw, time)

    def _observed(self) -> float:
        """W at which the reads in quarantine rise."""
        (start, low), (end, high) = self._candidates[0], self._candidates[-1]
        if end <= start:
            return 0.0
        return min((high - low) * _UNIT_SECONDS / (end - start), AGREEMENT_POWER)

    # Questions

    def _ask(self, kind: CounterEventKind, after: float, time: float) -> None:
        assert self._raw is not None
        earlier = self._question
        base = earlier["base"] if earlier else None
        whole = after
        if earlier and kind == earlier["kind"] == CounterEventKind.LOWER:
            whole += earlier["whole"]
        self._question = {
            "kind": kind,
            "before": self._raw,
            "after": after,
            # What the meter showed when it was first read after each fall, for an answer to count.
            "whole": whole,
            "since": time,
            # Where the meter was before it left, for coming back and for undoing.
            "base": base or {"raw": self._raw, "time": self._time, "offset": self._offset},
        }
        self._answered = None
        published = self._published if self._published is not None else self._raw + self._offset
        self._offset = published - after

    def _looks_back(self, raw: float, time: float, monotonic: float) -> bool:
        """Whether the meter shows what it would have shown without the glitch."""
        assert self._question is not None
        assert self._raw is not None
        base = self._question["base"]
        if self._is_step(self._raw, raw, self._elapsed(time, monotonic)):
            return False
        return self._is_step(base["raw"], raw, max(time - base["time"], 0.0))

    def _come_back(
        self, base: Mapping[str, Any], raw: float, time: float, monotonic: float
    ) -> CounterEvent | None:
        assert self._raw is not None
        if self._agree(raw, time) < FIRST_AGREEING:
            return None
        before = self._raw
        self._offset = base["offset"]
        self._question = None
        self._accept(raw, time, monotonic, anew=True)
        return self._event(CounterEventKind.BACK, before, raw, time)

    def question(self) -> CounterQuestion | None:
        """The open question, or the one answered last while it can be undone."""
        source = self._question or self._answered
        if source is None:
            return None
        answer = source.get("answer")
        return CounterQuestion(
            key=self.key,
            kind=CounterEventKind(source["kind"]),
            before=source["before"],
            after=source["after"],
            since=source["since"],
            answer=CounterAnswer(answer) if answer else None,
        )

    def resolve(self, answer: CounterAnswer) -> None:
        """Answer the open question.

        Raises:
            LookupError: no question is open.
            ValueError: a higher figure cannot come from a reset.
        """
        if self._question is None or self._raw is None:
            raise LookupError(self.key)
        question = self._question
        before = {"offset": self._offset, "raw": self._raw, "time": self._time}
        lower = question["kind"] == CounterEventKind.LOWER
        if answer is CounterAnswer.RESET:
            if not lower:
                raise ValueError(answer)
            # All that the meter shows was consumed since it began again.
            self._offset += question["whole"]
        elif answer is CounterAnswer.IGNORE:
            self._offset = question["base"]["offset"]
            if lower:
                self._hold = True
                self._go_to(question["base"])
        self._answered = {
            **question,
            "answer": answer,
            "left": before,
            # Relative, as a counter may roll over before the answer is taken back.
            "shift": self._offset - before["offset"],
        }
        self._question = None
        self._publish(self._raw + self._offset)

    def undo(self) -> None:
        """Take the last answer back: the question is open again. What was published stays.

        Raises:
            LookupError: nothing was answered.
        """
        if self._answered is None:
            raise LookupError(self.key)
        question = dict(self._answered)
        question.pop("answer")
        left = question.pop("left")
        self._offset -= question.pop("shift")
        if self._hold:
            self._go_to(left)
        self._question, self._answered, self._hold = question, None, False

    def settle(self) -> None:
        """The last answer is right for certain: it cannot be taken back any more."""
        self._answered = None

    def _go_to(self, place: Mapping[str, Any]) -> None:
        """Expect the meter where it was at another time."""
        self._raw, self._time, self._monotonic = place["raw"], place["time"], None
        self._peak, self._changed = place["raw"], None
        self._candidates.clear()

    def _event(
        self, kind: CounterEventKind, before: float, after: float, time: float
    ) -> CounterEvent:
        return CounterEvent(key=self.key, kind=kind, before=before, after=after, time=time)

    # Restarts

    def to_dict(self) -> dict[str, Any]:
        """Return all that a restart has to know, ready for JSON."""
        return {
            "raw": self._raw,
            "time": self._time,
            "offset": self._offset,
            "published": self._published,
            "peak": self._peak,
            "power": self._power,
            "question": self._question,
            "answered": self._answered,
            "hold": self._hold,
        }

    def _restore(self, state: Mapping[str, Any]) -> None:
        raw, time = _number(state.get("raw")), _number(state.get("time"))
        published = _number(state.get("published"))
        if published is None:
            return
        if raw is None or time is None:
            if state.get("raw") is None:
                self._published = published
            return
        self._raw, self._time, self._published = raw, time, published
        offset = _number(state.get("offset"))
        self._offset = published - raw if offset is None else offset
        self._power = max(self._power, min(_number(state.get("power")) or 0.0, AGREEMENT_POWER))
        self._question = _question_state(state.get("question"))
        answered = _question_state(state.get("answered"))
        if (
            answered
            and answered.get("answer") in set(CounterAnswer)
            and _is_base(answered.get("left"))
            and _number(answered.get("shift")) is not None
        ):
            self._answered = answered
            self._hold = state.get("hold") is True
        peak = _number(state.get("peak"))
        self._peak = raw if peak is None else max(peak, raw)


def _number(value: object) -> float | None:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    return None


def _is_base(value: object) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(value, Mapping) and all(
        _number(value.get(name)) is not None for name in ("raw", "time", "offset")
    )


def _question_state(value: object) -> dict[str, Any] | None:
    if (
        not isinstance(value, Mapping)
        or value.get("kind") not in set(CounterEventKind)
        or any(_number(value.get(name)) is None for name in ("before", "after", "whole", "since"))
        or not _is_base(value.get("base"))
    ):
        return None
    return dict(value)
