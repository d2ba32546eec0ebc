"""Which loads go off, and how far: no more than needed, by phase, in the user's order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .plan import Limit, Load, Plan

NOTHING = 1e-6
"""Less than this is nothing, in any unit."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A load that may go off now, and what it takes, W."""

    load: Load
    watts: float
    level: float | None = None
    """Where a dimmable load stands."""


@dataclass(frozen=True, slots=True)
class Pick:
    """A load that is to go off or down, and what that saves, W."""

    load: Load
    saves: float
    level: float | None = None
    """What a dimmable load is to be set to."""


def pick(
    plan: Plan, excess: Mapping[Limit, float], offers: Sequence[Offer], most: int
) -> list[Pick]:
    """Choose so that no limit stays exceeded, and no load goes off that could have stayed on.

    Args:
        plan: for who loads what.
        excess: by how much each limit is exceeded, in its own unit.
        offers: the loads that may go off, in the order in which they do.
        most: how many loads may be chosen; what is left is for the next time.

    Returns:
        The choice, in order. Where all offers together do not suffice, those that help.
    """
    by_load = {offer.load.id: offer for offer in offers}
    chosen: list[Pick] = []
    left = dict(excess)
    for offer in offers:
        if all(amount <= NOTHING for amount in left.values()):
            break
        found = _take(plan, offer, left)
        if found is not None:
            chosen.append(found)
            left = _less(plan, left, found)
    # The most important first: what the others achieve without it, it need not do.
    for candidate in reversed(chosen[:]):
        without = dict(excess)
        for other in chosen:
            if other is not candidate:
                without = _less(plan, without, other)
        smaller = _take(plan, by_load[candidate.load.id], without)
        place = chosen.index(candidate)
        if smaller is None:
            del chosen[place]
        elif smaller.saves < candidate.saves:
            chosen[place] = smaller
    return chosen[:most]


def _take(plan: Plan, offer: Offer, left: Mapping[Limit, float]) -> Pick | None:
    """What one load can do about what is left; None: nothing."""
    needed = 0.0
    for limit, amount in left.items():
        per_watt = plan.effect(offer.load, limit, 1.0)
        if amount > NOTHING and per_watt > 0:
            needed = max(needed, amount / per_watt)
    if needed <= 0 or offer.watts <= NOTHING:
        return None
    dimming = offer.load.dimming
    if dimming is None:
        return Pick(offer.load, offer.watts)
    assert offer.level is not None
    level = min(dimming.below((offer.watts - needed) / dimming.watts), offer.level)
    saves = offer.watts - dimming.power(level)
    if level >= offer.level or saves <= NOTHING:
        return None
    return Pick(offer.load, saves, level)


def _less(plan: Plan, left: Mapping[Limit, float], chosen: Pick) -> dict[Limit, float]:
    return {
        limit: amount - plan.effect(chosen.load, limit, chosen.saves)
        for limit, amount in left.items()
    }


@dataclass(frozen=True, slots=True)
class Want:
    """A load that would come back now if there is room: what it needs, W."""

    load: Load
    watts: float
    level: float | None = None
    """Where a dimmable load stands."""
    wish: float | None = None
    """Where it would be set to."""


def fit(plan: Plan, rooms: Mapping[Limit, float | None], want: Want) -> Pick | None:
    """How far a load may come back into these rooms, with the margin left; None: not at all.

    Args:
        plan: for who loads what, and the margin.
        rooms: what may flow in addition at each limit, in its own unit; None: not known.
        want: the load.
    """
    watts = float("inf")
    for limit, room in rooms.items():
        per_watt = plan.effect(want.load, limit, 1.0)
        if per_watt <= 0:
            continue
        if room is None:
            return None
        watts = min(watts, (room - plan.in_unit(limit, plan.settings.margin)) / per_watt)
    if want.watts <= watts + NOTHING:
        return Pick(want.load, -want.watts, want.wish)
    dimming = want.load.dimming
    if dimming is None or want.level is None or want.wish is None or watts <= NOTHING:
        return None
    now = dimming.power(want.level)
    reachable = (now + watts) / dimming.watts
    if reachable < dimming.minimum:
        return None
    level = min(dimming.below(reachable), want.wish)
    if level <= want.level:
        return None
    return Pick(want.load, now - dimming.power(level), level)


def taken(
    plan: Plan, rooms: Mapping[Limit, float | None], load: Load, watts: float
) -> dict[Limit, float | None]:
    """The rooms that are left when a load takes `watts` of them."""
    return {
        limit: None if room is None else room - plan.effect(load, limit, watts)
        for limit, room in rooms.items()
    }
