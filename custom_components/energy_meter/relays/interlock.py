"""When a relay may be switched, and what is kept of how it was; nothing in here knows Home Assistant.

A relay that was switched off stays off for a while: a compressor that starts against pressure, or contacts that are
switched in quick succession, do not last. It is not switched off while something is on that must not lose power; what
is not known to be off counts as on.
"""

from collections.abc import Mapping
from dataclasses import dataclass
import math
from typing import Any, Final, Self

BY_METER: Final = "meter"
"""Who has switched a relay that nobody here has: a button, a timer or a protection of its own."""
IDLE_POWER: Final = 10.0
"""W up to which a load whose power is measured counts as off."""
CONFIRM_FROM: Final = 1.0
"""Seconds after which the second time is no slip of the same finger."""
CONFIRM_UNTIL: Final = 15.0
"""Seconds up to which it is the second time."""
_OFF_STATES: Final = frozenset({"off", "idle", "standby"})
_UNKNOWN_STATES: Final = frozenset({"unknown", "unavailable"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Interlock:
    """What the user has asked for."""

    minimum_off: float = 0.0
    """Seconds that the relay stays off at least."""
    must_be_off: tuple[str, ...] = ()
    """Entities that have to be off before it may be switched off."""
    confirm: bool = False
    """Whether a person has to say twice that it is to be switched."""

    def wait(self, record: RelayRecord, now: float) -> float:
        """Seconds until the relay may be switched on; `now` is Unix time."""
        if record.on is not False or record.since is None:
            return 0.0
        # Whatever becomes of the clock, nobody waits for longer than he has asked for.
        return min(max(record.since + self.minimum_off - now, 0.0), self.minimum_off)


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayRecord:
    """How a relay stands, who has switched it, and why."""

    on: bool | None = None
    """None until it was read for the first time."""
    changed_by: str | None = None
    """A person's or an automation's name, or `BY_METER`; None if it has stood so since it is known."""
    reason: str | None = None
    since: float | None = None
    """Unix time; None if it has stood so since it is known."""
    held: bool = False
    """Whether the supply was disconnected: only its reconnection brings it back."""

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "on": self.on,
            "changed_by": self.changed_by,
            "reason": self.reason,
            "since": self.since,
            "held": self.held,
        }

    @classmethod
    def from_dict(cls, kept: object) -> Self:
        """What `to_dict` gave; broken parts are left out."""
        if not isinstance(kept, Mapping):
            return cls()
        on, who, reason, since = (kept.get(key) for key in ("on", "changed_by", "reason", "since"))
        number = isinstance(since, int | float) and math.isfinite(since)
        return cls(
            on=on if isinstance(on, bool) else None,
            changed_by=who if isinstance(who, str) else None,
            reason=reason if isinstance(reason, str) else None,
            since=float(since) if number and since is not None else None,
            held=kept.get("held") is True and on is False,
        )


class Confirmation:
    """Whether a person means it: the same wish again, soon, but not at once."""

    def __init__(self) -> None:
        """Begin with nothing asked for."""
        self._wish: tuple[bool, str] | None = None
        self._since = 0.0

    def take(self, wish: tuple[bool, str], now: float) -> bool:
        """Take a wish, (on, who); return whether it confirms the last one. `now` is monotonic, s."""
        age = now - self._since
        if wish != self._wish or age > CONFIRM_UNTIL:
            self._wish, self._since = wish, now
            return False
        if age < CONFIRM_FROM:
            return False
        self._wish = None
        return True


def is_on(state: str | None, *, power: bool) -> bool | None:
    """Whether a load is on; None if that is not known.

    Args:
        state: of its entity; None if there is no such entity.
        power: whether the state is its power, W.
    """
    if state is None or state in _UNKNOWN_STATES:
        return None
    if not power:
        return state not in _OFF_STATES
    try:
        watts = float(state)
    except ValueError:
        return None
    return abs(watts) > IDLE_POWER if math.isfinite(watts) else None
