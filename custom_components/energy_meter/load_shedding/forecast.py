"""What the controller is doing, why, and what comes next: worked out for those who look, never acted upon."""

from dataclasses import replace
from typing import Final

from .choice import pick
from .controller import Controller
from .gauge import Gauge
from .memory import HOUR
from .outlook import REASONS, Blocker, Next, Outlook, Reason, Status
from .plan import Urgency

type Step = tuple[Next, str | None, float | None]
"""What will be done, with which load, and when if that is known."""

_NOTHING: Final[Step] = (Next.NONE, None, None)


def outlook(controller: Controller, now: float) -> Outlook:
    """The whole picture at this time."""
    found = _outlook(controller, now)
    shed = sorted(
        (state.shed.at, load.order, load.id)
        for load in controller.plan.loads
        if (state := controller.memory.load(load.id)).shed is not None
    )
    return replace(found, shed=tuple(load_id for _at, _order, load_id in shed))


def _seen(
    status: Status, reason: Reason, limit: str | None = None, then: Step = _NOTHING
) -> Outlook:
    return Outlook(
        status=status,
        reason=reason,
        limit=limit,
        next=then[0],
        next_load=then[1],
        next_at=then[2],
    )


def _outlook(controller: Controller, now: float) -> Outlook:
    gauges = controller.gauges.values()
    any_shed = any(state.shed is not None for state in controller.memory.loads.values())
    if not controller.memory.enabled:
        if any_shed:
            return _seen(Status.SUSPENDED, Reason.RELEASING, None, _next_on(controller, now))
        return _seen(Status.SUSPENDED, Reason.SWITCHED_OFF)
    if not gauges:
        return _seen(Status.SUSPENDED, Reason.NO_LIMITS)
    if not controller.plan.loads:
        return _seen(Status.SUSPENDED, Reason.NO_LOADS)
    fresh = [gauge for gauge in gauges if gauge.fresh(now)]
    if not fresh:
        return _seen(Status.SUSPENDED, Reason.STALE, next(iter(controller.gauges)))
    over = [gauge for gauge in fresh if gauge.over(now)]
    if over:
        return _outlook_over(controller, over, any_shed, now)
    if any_shed:
        return _outlook_recovering(controller, now)
    near = max(fresh, key=lambda gauge: use(gauge, now))
    if use(near, now) >= controller.plan.settings.near:
        return _seen(Status.WARNING, Reason.NEAR_LIMIT, near.limit.id)
    return _seen(Status.NORMAL, Reason.OK)


def _outlook_over(controller: Controller, over: list[Gauge], any_shed: bool, now: float) -> Outlook:
    worst = max(over, key=lambda gauge: (gauge.limit.urgency is Urgency.HARD, use(gauge, now)))
    limit_id = worst.limit.id
    stops = {gauge.limit.id: controller.stopped_until(gauge.limit.id, now) for gauge in over}
    then = _next_off(controller, worst, now)
    if all(until is not None for until in stops.values()):
        return _seen(Status.SUSPENDED, Reason.FUTILE, limit_id, (*then[:2], stops[limit_id]))
    if controller.memory.recent(now) >= controller.plan.settings.per_hour:
        then = (*then[:2], controller.memory.switched[0] + HOUR)
        return _seen(Status.SUSPENDED, Reason.CAP_REACHED, limit_id, then)
    if controller.unseen(worst) > 0:
        return _seen(Status.SHEDDING, Reason.WAITING_EFFECT, limit_id)
    status = Status.SHEDDING if any_shed else Status.WARNING
    if then[0] is Next.NONE:
        return _seen(status, Reason.NOTHING_LEFT, limit_id)
    due = worst.due(now)
    waits = due is not None and due > now
    reason = Reason.WAITING_DELAY if waits else Reason.OVER_LIMIT
    return _seen(status, reason, limit_id, then)


def _outlook_recovering(controller: Controller, now: float) -> Outlook:
    then = _next_on(controller, now)
    if controller.plan.settings.per_hour - controller.memory.recent(now) < 2:
        return _seen(Status.RECOVERING, Reason.CAP_REACHED, None, then)
    if then[1] is None:
        return _seen(Status.RECOVERING, Reason.WAITING_PERSON, None, then)
    blocker, _until = controller.why_off(then[1], now)
    reason = Reason.WAITING_TURN if blocker is None else REASONS[blocker]
    return _seen(Status.RECOVERING, reason, None, then)


def _next_off(controller: Controller, gauge: Gauge, now: float) -> Step:
    excess = {gauge.limit: -(gauge.headroom(now) or 0.0)}
    picks = pick(controller.plan, excess, controller.offers(now), 1)
    if not picks:
        return _NOTHING
    return Next.SHED, picks[0].load.id, max(gauge.due(now) or now, now)


def _next_on(controller: Controller, now: float) -> Step:
    """The load that comes back next as far as can be told."""
    first: Step = _NOTHING
    rooms = controller.rooms(now)
    for load in reversed(controller.plan.ordered):
        if controller.memory.load(load.id).shed is None:
            continue
        blocker, until = controller.why_off(load.id, now, rooms)
        if blocker is Blocker.TURN:
            return Next.RESTORE, load.id, now
        if until is not None and (first[2] is None or until < first[2]):
            first = (Next.RESTORE, load.id, until)
        elif first[1] is None and blocker is not Blocker.NOT_RESTORABLE:
            first = (Next.RESTORE, load.id, None)
    return first


def use(gauge: Gauge, now: float) -> float:
    """The part of a limit that is used; 0 if that is not known."""
    bound, headroom = gauge.bound(now), gauge.headroom(now)
    if bound is None or headroom is None:
        return 0.0
    return (bound - headroom) / max(bound, 1.0)
