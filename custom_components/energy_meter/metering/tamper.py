"""Signs that somebody has tampered with a meter, each with the evidence that it rests on.

What a meter or node says itself (its cover is open, a magnet is near, its own counter of reversed energy rose) is told
as such. The rest is inferred from its values and labelled so: current where there is no voltage, power that turned
round, a counter that stepped back, a silence during which there was power. Inferred signs are chosen so that wiring,
restarts and broken links do not look like them: nothing is concluded from what has not been seen to be right before.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
import math
from typing import Any, Final

from ..model import Value
from .derive import PHASES
from .events import CounterEvent, CounterEventKind

HOLD: Final = 3600.0
"""Seconds that a sign stands after it was seen last; the history keeps it for good."""
LIVE: Final = 50.0
"""V from which on there was mains at an input; batteries and shunts are below."""
DEAD: Final = 10.0
"""V below which there is none."""
LEAST_CURRENT: Final = 0.5
"""A that no noise of an open transformer reaches."""
LEAST_SHARE: Final = 0.02
"""The same as a share of the circuit's rating, for large transformers."""
LEAST_POWER: Final = 50.0
"""W in either direction that count as a direction at all."""
LEAST_REVERSED: Final = 0.1
"""kWh on the counter of reversed energy."""
LEAST_UNSEEN: Final = 0.01
"""kWh that were counted while a meter was silent."""
NO_VOLTAGE_DELAY: Final = 10.0
"""Seconds of current without voltage; voltage and current need not be read at the same instant."""
DIRECTION_DELAY: Final = 60.0
"""Seconds in one direction, before it is believed; motors that brake feed back for less."""
GAP: Final = 300.0
"""Seconds of silence with power on."""
LONGEST_STEP: Final = 30.0
"""Seconds that count at most between two looks: what nobody has watched is no evidence."""
_PHASES: Final = tuple(f"_{phase}" for phase in PHASES)


class TamperSign(StrEnum):
    """What was seen."""

    COVER = "cover_open"
    MAGNET = "magnet"
    REVERSED_ENERGY = "reversed_energy"
    CURRENT_WITHOUT_VOLTAGE = "current_without_voltage"
    REVERSAL = "reversal"
    COUNTER_BACK = "counter_back"
    GAP = "gap_with_power"


class TamperSource(StrEnum):
    """Who says so."""

    METER = "meter"
    """The meter or node itself."""
    INFERRED = "inferred"
    """It follows from the meter's values."""


METER_SIGNS: Final = frozenset({TamperSign.COVER, TamperSign.MAGNET, TamperSign.REVERSED_ENERGY})
MAGNET_EVENT: Final = "magnet"
COVER_OPEN_EVENT: Final = "cover_open"
COVER_CLOSED_EVENT: Final = "cover_closed"
TAMPER_EVENTS: Final = frozenset({MAGNET_EVENT, COVER_OPEN_EVENT, COVER_CLOSED_EVENT})
"""Events of the bridge protocol that say something here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TamperEvidence:
    """A sign and the numbers that it rests on."""

    sign: TamperSign
    since: float
    """Unix time at which it was seen first."""
    seen: float
    """Unix time at which it was seen last."""
    details: Mapping[str, float | str] = field(default_factory=dict)
    """V, A, W, kWh, seconds, or the name of a phase or counter."""

    @property
    def source(self) -> TamperSource:
        """Who says so."""
        return TamperSource.METER if self.sign in METER_SIGNS else TamperSource.INFERRED


@dataclass(frozen=True, slots=True, kw_only=True)
class TamperChange:
    """A new sign, or the end of all of them."""

    tampered: bool
    evidence: TamperEvidence
    """The new sign, or the one that stood longest."""


@dataclass(slots=True)
class _Gap:
    """A silence that goes on, or one whose end is looked at."""

    start: float
    """Unix time."""
    energy: float | None
    """kWh on the counter before it."""
    at: float
    """Monotonic time of the last look."""
    watched: float = 0.0
    """Seconds of it that were watched."""
    powered: float = 0.0
    """Seconds of it, without a break, in which neighbours had power."""
    over: bool = False


class TamperWatch:
    """One meter's signs over time.

    Args:
        one_way: whether power only ever flows in here; a reversal means nothing elsewhere.
        rated_current: of the circuit, A.
        state: what `to_dict` gave before a restart; broken parts are ignored.
    """

    def __init__(
        self,
        *,
        one_way: bool = False,
        rated_current: float | None = None,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        """Begin without a sign, or with those from before a restart."""
        self.one_way = one_way
        self.signs: dict[TamperSign, TamperEvidence] = {}
        """Those that stand."""
        self._least_current = max(LEAST_CURRENT, LEAST_SHARE * (rated_current or 0.0))
        self._live: set[str] = set()
        """Inputs that have shown mains voltage."""
        self._forward: dict[str, float] = {}
        """{input: W when it last flowed in}, of those that have for long enough."""
        self._pending: dict[tuple[str, str], float] = {}
        """{(what, input): monotonic time since when}."""
        self._reversed_from: float | None = None
        """kWh on the counter of reversed energy up to which nothing is to be told."""
        self._present = False
        self._energy: float | None = None
        self._gap: _Gap | None = None
        self._restore(state if isinstance(state, Mapping) else {})

    @property
    def tampered(self) -> bool:
        """Whether any sign stands."""
        return bool(self.signs)

    # What is seen

    def look(
        self, values: Mapping[str, Value], *, time: float, monotonic: float
    ) -> tuple[TamperChange, ...]:
        """Judge a meter's present values; only values that are fresh may be passed.

        Args:
            values: {quantity: value}; `energy_export` only where the meter counts it itself.
            time: Unix time.
            monotonic: seconds.
        """
        judged = (
            *(self._without_voltage(values, each, time, monotonic) for each in _inputs(values)),
            *(self._reversal(values, each, time, monotonic) for each in ("", *_PHASES)),
            self._reversed_energy(values, time),
        )
        found = [each for each in judged if each is not None]
        return self._settle(found, time)

    def take_event(self, event: str, *, time: float, now: float) -> tuple[TamperChange, ...]:
        """Take what the meter or node says itself; other events than `TAMPER_EVENTS` say nothing.

        Args:
            event: as the bridge protocol calls it.
            time: Unix time at which it happened; it may have been told late.
            now: Unix time.
        """
        at = min(time, now)
        if event == COVER_CLOSED_EVENT:
            cover = self.signs.get(TamperSign.COVER)
            if cover is not None and "closed" not in cover.details:
                details = {**cover.details, "closed": at}
                self.signs[TamperSign.COVER] = replace(
                    cover, seen=max(at, cover.since), details=details
                )
            return self._settle((), now)
        sign = {MAGNET_EVENT: TamperSign.MAGNET, COVER_OPEN_EVENT: TamperSign.COVER}.get(event)
        if sign is None:
            return self._settle((), now)
        return self._settle((TamperEvidence(sign=sign, since=at, seen=at),), now)

    def take_counter(self, event: CounterEvent, *, now: float) -> tuple[TamperChange, ...]:
        """Take what was seen of a counter: one that stepped back, or that is back at its old figure."""
        if event.kind is CounterEventKind.BACK:
            known = self.signs.get(TamperSign.COUNTER_BACK)
            if known is not None and known.details.get("counter") == event.key:
                # It was the link or the meter's display, not its counter.
                return self._end(TamperSign.COUNTER_BACK)
        if event.kind is not CounterEventKind.LOWER:
            return self._settle((), now)
        details: dict[str, float | str] = {
            "counter": event.key,
            "before": event.before,
            "after": event.after,
        }
        at = min(event.time, now)
        evidence = TamperEvidence(sign=TamperSign.COUNTER_BACK, since=at, seen=at, details=details)
        return self._settle((evidence,), now)

    def look_around(
        self,
        *,
        answering: bool,
        linked: bool,
        neighbours: int,
        energy: float | None,
        time: float,
        monotonic: float,
    ) -> tuple[TamperChange, ...]:
        """Judge a silence; to be called every few seconds, and when the meter begins or ends to answer.

        Args:
            answering: whether the meter answers.
            linked: whether what it hangs on is connected; a silence without it is ours.
            neighbours: how many other meters there have mains voltage at this moment.
            energy: kWh on the meter's own counter if that is fresh, else None.
            time: Unix time.
            monotonic: seconds.
        """
        if not linked:
            self._gap, self._present = None, False
            return self._settle((), time)
        found = self._follow_gap(answering, neighbours, energy, time, monotonic)
        if answering:
            self._present = True
            self._energy = energy if energy is not None else self._energy
        return self._settle(() if found is None else (found,), time)

    def forget_direction(self) -> None:
        """Power was turned round in the settings: which way it flowed before says nothing any more."""
        self._forward.clear()
        self._reversed_from = None
        self._pending.clear()

    # How it is judged

    def _lasts(self, what: str, suffix: str, holds: bool, delay: float, monotonic: float) -> bool:
        """Whether something has held for so long; it begins anew when it does not."""
        if not holds:
            self._pending.pop((what, suffix), None)
            return False
        return monotonic - self._pending.setdefault((what, suffix), monotonic) >= delay

    def _without_voltage(
        self, values: Mapping[str, Value], suffix: str, time: float, monotonic: float
    ) -> TamperEvidence | None:
        voltage, current = _number(values, f"voltage{suffix}"), _number(values, f"current{suffix}")
        if voltage is not None and voltage >= LIVE:
            self._live.add(suffix)
        holds = (
            voltage is not None
            and current is not None
            and suffix in self._live
            and voltage < DEAD
            and abs(current) >= self._least_current
        )
        if not self._lasts("dead", suffix, holds, NO_VOLTAGE_DELAY, monotonic):
            return None
        assert voltage is not None and current is not None
        details: dict[str, float | str] = {"voltage": voltage, "current": current, **_phase(suffix)}
        return TamperEvidence(
            sign=TamperSign.CURRENT_WITHOUT_VOLTAGE, since=time, seen=time, details=details
        )

    def _reversal(
        self, values: Mapping[str, Value], suffix: str, time: float, monotonic: float
    ) -> TamperEvidence | None:
        power = _number(values, f"power{suffix}")
        if not self.one_way or power is None:
            return None
        forward = power >= LEAST_POWER
        if self._lasts("forward", suffix, forward, DIRECTION_DELAY, monotonic) or (
            forward and suffix in self._forward
        ):
            self._forward[suffix] = power
        holds = power <= -LEAST_POWER and suffix in self._forward
        if not self._lasts("reverse", suffix, holds, DIRECTION_DELAY, monotonic):
            return None
        details: dict[str, float | str] = {
            "before": self._forward[suffix],
            "after": power,
            **_phase(suffix),
        }
        return TamperEvidence(sign=TamperSign.REVERSAL, since=time, seen=time, details=details)

    def _reversed_energy(self, values: Mapping[str, Value], time: float) -> TamperEvidence | None:
        counted = _number(values, "energy_export")
        if not self.one_way or counted is None:
            return None
        before = self._reversed_from
        if before is None or not self._forward or counted < before:
            # A meter that counts backwards from the start is wired so; a repair says that.
            self._reversed_from = counted
            return None
        if counted - before < LEAST_REVERSED:
            return None
        self._reversed_from = counted
        details = {"before": before, "after": counted}
        return TamperEvidence(
            sign=TamperSign.REVERSED_ENERGY, since=time, seen=time, details=details
        )

    def _follow_gap(
        self,
        answering: bool,
        neighbours: int,
        energy: float | None,
        time: float,
        monotonic: float,
    ) -> TamperEvidence | None:
        if self._gap is None:
            if not answering and self._present:
                self._present = False
                self._gap = _Gap(start=time, energy=self._energy, at=monotonic)
            return None
        gap = self._gap
        step = min(max(monotonic - gap.at, 0.0), LONGEST_STEP)
        gap.at = monotonic
        if not answering:
            if gap.over:  # It came back for too short to say what it has counted.
                gap.over = False
            gap.watched += step
            gap.powered = gap.powered + step if neighbours > 0 else 0.0
            if gap.powered < GAP:
                return None
            return self._gap_evidence(gap, time, {"neighbours": neighbours})
        gap.over = True
        if energy is None and gap.energy is not None:
            return None  # Its counter is read less often than the rest.
        self._gap = None
        if gap.watched < GAP or energy is None or gap.energy is None:
            return None
        unseen = energy - gap.energy
        if unseen < LEAST_UNSEEN:
            return None
        return self._gap_evidence(gap, time, {"energy": round(unseen, 6)})

    @staticmethod
    def _gap_evidence(gap: _Gap, time: float, more: Mapping[str, float]) -> TamperEvidence:
        details = {"seconds": round(gap.watched), **more}
        return TamperEvidence(
            sign=TamperSign.GAP, since=min(gap.start, time), seen=time, details=details
        )

    def _settle(self, found: Iterable[TamperEvidence], now: float) -> tuple[TamperChange, ...]:
        """Add what was found and drop what is over."""
        before = self._longest()
        changes: list[TamperChange] = []
        for new in found:
            known = self.signs.get(new.sign)
            if known is None:
                changes.append(TamperChange(tampered=True, evidence=new))
                self.signs[new.sign] = new
            else:
                self.signs[new.sign] = replace(
                    new, since=min(known.since, new.since), seen=max(known.seen, new.seen)
                )
        for sign, evidence in tuple(self.signs.items()):
            if evidence.seen > now:  # The clock was set back.
                self.signs[sign] = replace(evidence, seen=now, since=min(evidence.since, now))
            if _expires(evidence) and now - evidence.seen >= HOLD:
                # What is told late may be over already, and is told all the same.
                del self.signs[sign]
        if before is not None and not self.signs and not changes:
            changes.append(TamperChange(tampered=False, evidence=before))
        return tuple(changes)

    def _end(self, sign: TamperSign) -> tuple[TamperChange, ...]:
        evidence = self.signs.pop(sign)
        return () if self.signs else (TamperChange(tampered=False, evidence=evidence),)

    def _longest(self) -> TamperEvidence | None:
        return min(self.signs.values(), key=lambda each: each.since, default=None)

    # Over a restart

    def to_dict(self) -> dict[str, Any]:
        """What a restart has to know, ready for JSON."""
        return {
            "signs": {
                sign.value: {
                    "since": evidence.since,
                    "seen": evidence.seen,
                    "details": dict(evidence.details),
                }
                for sign, evidence in self.signs.items()
            },
            "live": sorted(self._live),
        }

    def _restore(self, state: Mapping[str, Any]) -> None:
        live = state.get("live")
        if isinstance(live, list):
            self._live = {each for each in ("", *_PHASES) if each in live}
        signs = state.get("signs")
        for name, kept in signs.items() if isinstance(signs, Mapping) else ():
            if name not in TamperSign or not isinstance(kept, Mapping):
                continue
            since, seen, details = kept.get("since"), kept.get("seen"), kept.get("details")
            if not isinstance(since, int | float) or not isinstance(seen, int | float):
                continue
            sign = TamperSign(name)
            self.signs[sign] = TamperEvidence(
                sign=sign,
                since=float(since),
                seen=float(seen),
                details=dict(details) if isinstance(details, Mapping) else {},
            )


def _expires(evidence: TamperEvidence) -> bool:
    """Whether a sign passes by itself: an open cover stays open until it is said to be closed."""
    return evidence.sign is not TamperSign.COVER or "closed" in evidence.details


def _inputs(values: Mapping[str, Value]) -> tuple[str, ...]:
    """The phases where there are any; what is an average of them proves nothing."""
    phases = tuple(
        phase for phase in _PHASES if f"voltage{phase}" in values or f"current{phase}" in values
    )
    return phases or ("",)


def _number(values: Mapping[str, Value], key: str) -> float | None:
    value = values.get(key)
    return float(value) if value is not None and math.isfinite(value) else None


def _phase(suffix: str) -> dict[str, str]:
    return {"phase": suffix[1:].upper()} if suffix else {}


def watched_for_tamper(measured: Iterable[str]) -> tuple[str, ...]:
    """Which of a meter's own quantities are looked at."""
    wanted = {
        f"{base}{suffix}" for base in ("voltage", "current", "power") for suffix in ("", *_PHASES)
    } | {"energy_import", "energy_total", "energy_export"}
    return tuple(key for key in measured if key in wanted)
