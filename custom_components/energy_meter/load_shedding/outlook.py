"""What the controller is doing, why, and what it will do next, for those who look at it."""

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """How it stands altogether."""

    NORMAL = "normal"
    WARNING = "warning"
    SHEDDING = "shedding"
    RECOVERING = "recovering"
    SUSPENDED = "suspended"


class Reason(StrEnum):
    """Why it stands so."""

    OK = "ok"
    NEAR_LIMIT = "near_limit"
    WAITING_DELAY = "waiting_delay"
    """Over a limit, but not for long enough."""
    OVER_LIMIT = "over_limit"
    NOTHING_LEFT = "nothing_left"
    WAITING_EFFECT = "waiting_effect"
    """Something was switched off and the meter has not shown it yet."""
    WAITING_ROOM = "waiting_room"
    WAITING_TIME = "waiting_time"
    """A load has to stay off for some time yet."""
    WAITING_TURN = "waiting_turn"
    """A more important load comes first."""
    WAITING_DEVICE = "waiting_device"
    """A load cannot be reached, or has not done yet what it was told."""
    WAITING_SENSOR = "waiting_sensor"
    """There is no reading to tell whether there is room."""
    WAITING_PERSON = "waiting_person"
    """What is off may not come back by itself."""
    CAP_REACHED = "cap_reached"
    FUTILE = "futile"
    STALE = "stale"
    NO_LIMITS = "no_limits"
    NO_LOADS = "no_loads"
    RELEASING = "releasing"
    """Switched off, and giving back what it took."""
    SWITCHED_OFF = "switched_off"


class Next(StrEnum):
    """What will be done next."""

    NONE = "none"
    SHED = "shed"
    RESTORE = "restore"


class Blocker(StrEnum):
    """Why a load is not switched now."""

    PROTECTED = "protected"
    OFFLINE = "offline"
    OFF = "off"
    AT_MINIMUM = "at_minimum"
    IN_FLIGHT = "in_flight"
    HELD = "held"
    NO_REACTION = "no_reaction"
    MIN_ON = "min_on"
    IDLE = "idle"
    UNKNOWN_POWER = "unknown_power"
    NOT_SHED = "not_shed"
    NOT_RESTORABLE = "not_restorable"
    KEPT = "kept"
    MIN_OFF = "min_off"
    WAIT = "wait"
    ROOM = "room"
    NO_READING = "no_reading"
    TURN = "turn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """The whole picture at one instant."""

    status: Status
    reason: Reason
    limit: str | None = None
    """Id of the limit that it is about."""
    shed: tuple[str, ...] = ()
    """Ids of the loads that are off because of us, in the order in which they went."""
    next: Next = Next.NONE
    next_load: str | None = None
    next_at: float | None = None
    """Unix time; None: when there is room."""


REASONS = {
    Blocker.OFFLINE: Reason.WAITING_DEVICE,
    Blocker.IN_FLIGHT: Reason.WAITING_DEVICE,
    Blocker.NO_REACTION: Reason.WAITING_DEVICE,
    Blocker.NOT_RESTORABLE: Reason.WAITING_PERSON,
    Blocker.KEPT: Reason.WAITING_TIME,
    Blocker.MIN_OFF: Reason.WAITING_TIME,
    Blocker.WAIT: Reason.WAITING_TIME,
    Blocker.ROOM: Reason.WAITING_ROOM,
    Blocker.NO_READING: Reason.WAITING_SENSOR,
    Blocker.TURN: Reason.WAITING_TURN,
}
"""What a blocker of a load that is to come back is for the whole."""
