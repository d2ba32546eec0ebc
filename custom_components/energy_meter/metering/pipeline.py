"""One meter's readings on their way to what is shown: guard, derive, integrate."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
import math
from typing import Any, Final

from ..model import QUANTITIES, Counts, Kind, Reading, Value
from .continuity import Continuity
from .derive import applicable, derive
from .events import CounterAnswer, CounterEvent, CounterQuestion
from .guard import CounterGuard
from .integrate import EnergyIntegrator
from .orientation import turned
from .plausibility import Evidence, Watch, possible

NOMINAL_VOLTAGE: Final = 240.0
"""V; with the rated current it gives what a circuit can carry."""
DEFAULT_POWER: Final = 100_000.0
"""W per phase, for a circuit whose rating nobody has said."""
LONGEST_GAP: Final = 120.0
"""Seconds between two power readings above which nothing is integrated, at the least."""
GAP_INTERVALS: Final = 5
"""Likewise, in power intervals."""
DEFAULT_DIGIT: Final = 0.01
_GUARDED: Final = {Kind.ENERGY, Kind.REACTIVE_ENERGY, Kind.APPARENT_ENERGY, Kind.CHARGE}
INTEGRATED: Final = ("energy_import", "energy_export")
_COUNTERS_OF_POWER: Final = (
    *INTEGRATED,
    "energy_total",
    "energy_net",
    "energy_import_resettable",
    "energy_total_resettable",
    "energy_import_t1",
    "energy_total_t1",
    "energy_import_ch1",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What one reading amounts to."""

    values: Mapping[str, Value]
    """Quantities to show: measured, derived and integrated; None is "not available"."""
    events: tuple[CounterEvent, ...] = ()
    refused: tuple[str, ...] = ()
    """Quantities whose value could not be and was dropped."""


class MeterPipeline:
    """Turns one meter's readings into true values.

    Args:
        measured: the quantities that the meter delivers.
        phases: 1 or 3.
        rated_current: of the circuit's breaker or transformer, A per phase; None if nobody said.
        invert: whether the current transformers are the wrong way round.
        only_import: whether the meter's role says that power cannot be negative.
        power_interval: seconds between two readings of power, for the gap rule.
        counts: how counters move where the meter differs from the vocabulary.
        resolution: each counter's digit in its unit.
        modulus: each counter's figure at which it starts again from zero, where known.
        assumed_power_factor: what the user says of a load whose power factor is not measured.
        late: whether readings of a silence may still arrive after it; then a silence alone is no gap.
        state: what `to_dict` gave before a restart; broken parts are ignored.
    """

    def __init__(
        self,
        measured: Iterable[str],
        *,
        phases: int,
        rated_current: float | None = None,
        invert: bool = False,
        only_import: bool = False,
        power_interval: float = 5.0,
        counts: Mapping[str, Counts] | None = None,
        resolution: Mapping[str, float] | None = None,
        modulus: Mapping[str, float] | None = None,
        assumed_power_factor: float | None = None,
        late: bool = False,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        """Begin with nothing known, or where `state` ended."""
        self._measured = frozenset(key for key in measured if key in QUANTITIES)
        self._invert = invert
        self._late = late
        self._rated = None if rated_current is None else rated_current * NOMINAL_VOLTAGE * phases
        self._latest: dict[str, tuple[float, float]] = {}
        self._doubtful: set[str] = set()
        """Quantities whose last value was refused."""
        self._rules = applicable(
            self._measured, phases=phases, assumed_power_factor=assumed_power_factor
        )
        derived = [rule.gives for rule in self._rules]
        self._watch = Watch(only_import=only_import)
        self._power_since_counter: dict[str, tuple[float | None, float, float]] = {}
        state = _carried_over(state if isinstance(state, Mapping) else {}, self._measured)
        self._guards = self._make_guards(
            phases, counts or {}, resolution or {}, modulus or {}, _mapping(state.get("guards"))
        )
        self._continuity = Continuity(state.get("continuity"))
        known = self._measured.union(derived)
        self._integrator: EnergyIntegrator | None = None
        if "power" in known and known.isdisjoint(_COUNTERS_OF_POWER):
            self._integrator = EnergyIntegrator(
                longest_gap=max(LONGEST_GAP, GAP_INTERVALS * power_interval),
                state=_mapping(state.get("integrator")),
            )
        integrated = INTEGRATED if self._integrator else ()
        self.provided: tuple[str, ...] = tuple(
            key for key in QUANTITIES if key in known or key in integrated
        )
        """All quantities that `process` can give, in the vocabulary's order."""
        self.measured = self._measured
        self.derived = frozenset(derived)
        self.integrated = frozenset(integrated)

    def _make_guards(
        self,
        phases: int,
        counts: Mapping[str, Counts],
        resolution: Mapping[str, float],
        modulus: Mapping[str, float],
        states: Mapping[str, Any],
    ) -> dict[str, CounterGuard]:
        max_power = self._rated or DEFAULT_POWER * phases
        guards: dict[str, CounterGuard] = {}
        for key in sorted(self._measured):
            quantity = QUANTITIES[key]
            if quantity.counts is None or quantity.kind not in _GUARDED:
                continue
            ampere_hours = quantity.kind is Kind.CHARGE
            guards[key] = CounterGuard(
                key,
                counts=counts.get(key, quantity.counts),
                # An ampere hour counter rises by A·h where the others rise by W·h/1000.
                max_power=max_power * 1000 / NOMINAL_VOLTAGE if ampere_hours else max_power,
                digit=resolution.get(key, DEFAULT_DIGIT),
                modulus=modulus.get(key),
                state=_mapping(states.get(key)) or None,
            )
        return guards

    def process(self, reading: Reading) -> Measurement:
        """Take one reading and return what it amounts to; never raises on odd values."""
        source: Mapping[str, Value] = {
            key: value for key, value in reading.values.items() if key in self._measured
        }
        if reading.start is not None:
            source = self._continued(source, reading.start)
        if self._invert:
            source = turned(source, self._measured)
        time, monotonic = reading.time.timestamp(), reading.monotonic
        values: dict[str, Value] = {}
        refused: list[str] = []
        events: list[CounterEvent] = []
        counters: list[tuple[str, float]] = []
        for key, value in source.items():
            if value is None:
                values[key] = None
                self._latest.pop(key, None)
            elif not math.isfinite(value) or not possible(QUANTITIES[key], value, self._rated):
                refused.append(key)
                if key in self._doubtful and key not in self._guards:
                    values[key] = None  # Once is a disturbance; what lasts must not pass for fresh.
                    self._latest.pop(key, None)
                self._doubtful.add(key)
            else:
                self._doubtful.discard(key)
                if key in self._guards:
                    counters.append((key, value))
                else:
                    values[key] = value
                    self._latest[key] = (value, monotonic)
        # Power first: the counters are checked against its integral up to this very instant.
        self._follow_power(monotonic)
        for key, value in counters:
            guard = self._guards[key]
            event = guard.check(value, time=time, monotonic=monotonic, expected=self._expected(key))
            if event is not None:
                events.append(event)
            if not guard.waiting:
                self._power_since_counter.pop(key, None)
            if guard.published is not None:
                values[key] = guard.published
                self._latest[key] = (guard.published, monotonic)
        for key in _lost_totals(source, values, self._guards):
            values[key] = self._guards[key].published
        self._add_derived(values)
        self._integrate(values, time, monotonic)
        self._watch.look({key: latest for key, (latest, _) in self._latest.items()})
        return Measurement(values=values, events=tuple(events), refused=tuple(refused))

    def _continued(self, source: Mapping[str, Value], start: int) -> dict[str, Value]:
        """The values of a meter that says which start of its own they are of, its counters going on over starts."""
        return {
            key: self._continuity.take(key, start, float(value))
            if value is not None
            and QUANTITIES[key].counts is not None
            and QUANTITIES[key].kind in _GUARDED
            and math.isfinite(value)
            else value
            for key, value in source.items()
        }

    def _follow_power(self, monotonic: float) -> None:
        """Integrate power since each counter's last good read, kWh."""
        power = self._latest.get("power")
        for key in ("energy_import", "energy_export"):
            if key not in self._guards:
                continue
            if power is None or power[1] != monotonic:
                continue
            directed = max(power[0] if key == "energy_import" else -power[0], 0.0)
            since = self._power_since_counter.get(key)
            if since is None:
                self._power_since_counter[key] = (None, directed, monotonic)
                continue
            energy, before, start = since
            elapsed = monotonic - start
            step = math.inf if elapsed > LONGEST_GAP else (before + directed) / 2 * elapsed
            self._power_since_counter[key] = ((energy or 0.0) + step, directed, monotonic)

    def _expected(self, key: str) -> float | None:
        since = self._power_since_counter.get(key)
        if since is None or since[0] is None or math.isinf(since[0]):
            return None
        return since[0] / 3.6e6

    def _add_derived(self, values: dict[str, Value]) -> None:
        for rule in self._rules:
            if any(key in values and values[key] is None for key in rule.needs):
                values[rule.gives] = None
                self._latest.pop(rule.gives, None)
        fresh = {key for key, value in values.items() if value is not None}
        monotonic = max((self._latest[key][1] for key in fresh if key in self._latest), default=0.0)
        for key, value in derive(self._rules, self._latest, fresh).items():
            values[key] = value
            if value is None:
                self._latest.pop(key, None)
            else:
                self._latest[key] = (value, monotonic)

    def _integrate(self, values: dict[str, Value], time: float, monotonic: float) -> None:
        power = values.get("power")
        if self._integrator is None or power is None:
            return
        self._integrator.add(power, time=time, monotonic=monotonic)
        values["energy_import"] = self._integrator.energy_import
        values["energy_export"] = self._integrator.energy_export

    def silent(self) -> None:
        """The meter fell silent: what was known is no longer of this instant."""
        totals = {key for key in self._latest if key in self._guards}
        self._latest = {key: self._latest[key] for key in totals}
        self._power_since_counter.clear()
        if self._integrator is not None and not self._late:
            self._integrator.interrupt()

    @property
    def totals(self) -> dict[str, float]:
        """Every lifetime total as last published; good while a meter is away and after a restart."""
        totals = {
            key: guard.published
            for key, guard in self._guards.items()
            if guard.published is not None
        }
        known = {key: (value, 0.0) for key, value in totals.items()}
        derived = derive(self._rules, known, set(totals))
        totals |= {key: value for key, value in derived.items() if value is not None}
        if self._integrator is not None:
            totals["energy_import"] = self._integrator.energy_import
            totals["energy_export"] = self._integrator.energy_export
        return totals

    @property
    def waiting(self) -> bool:
        """Whether a counter read is in quarantine, so that reading the counters again soon would help."""
        return any(guard.waiting for guard in self._guards.values())

    def evidence(self) -> tuple[Evidence, ...]:
        """Signs that something is wired the wrong way."""
        return self._watch.evidence()

    def questions(self) -> tuple[CounterQuestion, ...]:
        """Open questions about counters, and answered ones that can still be undone."""
        asked = (guard.question() for guard in self._guards.values())
        return tuple(question for question in asked if question is not None)

    def resolve(self, key: str, answer: CounterAnswer) -> float | None:
        """Answer the open question about a counter and return the total to show from now on.

        Raises:
            LookupError: no question about this quantity is open.
            ValueError: the answer does not fit the question.
        """
        guard = self._guards[key]
        guard.resolve(answer)
        return guard.published

    def undo(self, key: str) -> None:
        """Take the last answer about a counter back; its question is open again.

        Raises:
            LookupError: nothing about this quantity was answered.
        """
        self._guards[key].undo()

    def settle(self, key: str) -> None:
        """The last answer about a counter is right for certain; it cannot be taken back any more."""
        self._guards[key].settle()

    def to_dict(self) -> dict[str, Any]:
        """Return all that a restart has to know, ready for JSON."""
        return {
            "guards": {key: guard.to_dict() for key, guard in self._guards.items()},
            "integrator": self._integrator.to_dict() if self._integrator else None,
            "continuity": self._continuity.to_dict(),
        }


def _carried_over(state: Mapping[str, Any], measured: frozenset[str]) -> Mapping[str, Any]:
    """Let a total go on where a counter takes the integrator's place, or the other way round."""
    guards, integrator = _mapping(state.get("guards")), _mapping(state.get("integrator"))
    counted = {key: total for key in INTEGRATED if (total := _published(guards.get(key)))}
    if integrator:
        summed = EnergyIntegrator(longest_gap=LONGEST_GAP, state=integrator)
        totals = {"energy_import": summed.energy_import, "energy_export": summed.energy_export}
        return {
            **state,
            "guards": {
                **{key: {"published": total} for key, total in totals.items() if key in measured},
                **guards,
            },
        }
    if counted and measured.isdisjoint(INTEGRATED):
        return {**state, "integrator": EnergyIntegrator.state_at(**counted)}
    return state


def _published(guard: object) -> float | None:
    published = _mapping(guard).get("published")
    return float(published) if isinstance(published, (int, float)) else None


def _lost_totals(
    source: Mapping[str, Value], values: Mapping[str, Value], guards: Mapping[str, CounterGuard]
) -> list[str]:
    """Counters that the meter marks as not available keep their total."""
    return [
        key
        for key, value in source.items()
        if value is None
        and key in guards
        and values.get(key) is None
        and guards[key].published is not None
    ]


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
