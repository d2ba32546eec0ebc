"""What follows from a choice: which registers a shown quantity needs, what turning a meter over means."""

from collections.abc import Iterable, Mapping
from typing import Any

from .derive import applicable
from .orientation import turned
from .pipeline import INTEGRATED


def needed(
    wanted: Iterable[str],
    measured: frozenset[str],
    *,
    phases: int,
    invert: bool = False,
    assumed_power_factor: float | None = None,
) -> frozenset[str]:
    """Return the measured quantities from which all of `wanted` follow.

    Args:
        wanted: quantities to show: measured, derived or integrated ones.
        measured: what the meter delivers.
        phases: 1 or 3.
        invert: whether the meter's directions are exchanged on the way.
        assumed_power_factor: what the user says of a load whose power factor is not measured.
    """
    sources: dict[str, set[str]] = {}
    for rule in applicable(measured, phases=phases, assumed_power_factor=assumed_power_factor):
        sources.setdefault(rule.gives, set()).update(rule.needs)
    found: set[str] = set()
    seen: set[str] = set()
    pending = list(wanted)
    while pending:
        key = pending.pop()
        if key in seen:
            continue
        seen.add(key)
        if key in measured:
            found.add(_opposite(key, measured) if invert else key)
        elif key in sources:
            pending += sources[key]
        elif key in INTEGRATED:
            pending.append("power")
    return frozenset(found)


def turned_state(state: Mapping[str, Any], measured: frozenset[str]) -> dict[str, Any]:
    """Return a pipeline's state for going on with the directions exchanged.

    What was shown stays and goes on from there: history cannot be turned, and a total that took over the
    other direction's figure would step.

    Args:
        state: as `MeterPipeline.to_dict` gave it.
        measured: what the meter delivers.
    """
    guards = state.get("guards")
    if not isinstance(guards, Mapping):
        return dict(state)
    exchanged: dict[str, Any] = {}
    for key, guard in guards.items():
        source = guards.get(_opposite(key, measured), guard)
        sign = -1.0 if turned({key: 1.0}, measured).get(key) == -1.0 else 1.0
        published = guard.get("published")
        if published is None:
            continue
        if source is guard and sign == 1.0:
            exchanged[key] = guard
            continue
        # A counter that has never been believed has shown nothing but zero.
        raw = sign * (source.get("raw") or 0.0)
        exchanged[key] = {
            "raw": raw,
            "time": source.get("time") or guard["time"],
            "offset": published - raw,
            "published": published,
            "peak": raw,
            "power": guard.get("power"),
        }
    return {**state, "guards": exchanged}


def _opposite(key: str, measured: frozenset[str]) -> str:
    return next(iter(turned({key: None}, measured)))
