"""Hours whose readings arrived after they were over: what the totals stood at when each of them ended.

A total that catches up shows all of it in the hour in which it does so. Here is kept where it belongs, until
whoever keeps history has put it right. Between two readings a total is taken as a straight line; over a gap
in which nothing is known it stands still.
"""

from collections.abc import Iterable, Mapping
import math
from typing import Any, Final, TypeGuard

HOUR: Final = 3600
LATE: Final = 10.0
"""Seconds between a reading and its arrival that are no delay worth putting history right for."""
MOST: Final = 24 * 45
"""Hours that are kept: more than a bridge's readings may be old."""


class MissedHours:
    """Collects the totals of one meter at the ends of hours that late readings belong to.

    Args:
        longest_gap: seconds between two readings above which nothing is assumed about the time between.
        state: what `to_dict` gave before a restart; broken parts are ignored.
    """

    def __init__(self, *, longest_gap: float, state: Mapping[str, Any] | None = None) -> None:
        """Begin with nothing missed, or where `state` ended."""
        self._longest_gap = longest_gap
        self._time: float | None = None
        self._totals: dict[str, float] = {}
        self._arrived = -math.inf
        self.hours: dict[str, dict[int, float]] = {}
        """{key: {start of the hour, Unix seconds: total when it ended}}."""
        self._restore(state or {})

    def take(self, time: float, totals: Mapping[str, float], *, arrived: float) -> None:
        """Take what the totals stand at after a reading.

        Args:
            time: of the reading, Unix seconds.
            totals: {key: total}, those that only rise or rise and fall with what is measured.
            arrived: when the reading was taken in here, Unix seconds; later than `time` if it was kept elsewhere.
        """
        before, since, came = self._totals, self._time, self._arrived
        if since is not None and time < since:
            return
        self._time, self._totals, self._arrived = time, dict(totals), arrived
        if since is None or came - since < LATE:
            return  # What was known when an hour ended was recorded in it.
        first, last = (math.floor(instant) // HOUR * HOUR for instant in (since, time))
        for start in range(max(first, last - MOST * HOUR), last, HOUR):
            end = start + HOUR
            if came <= end:
                continue
            share = (end - since) / (time - since) if time - since <= self._longest_gap else 0.0
            for key, total in totals.items():
                if key in before:
                    at_the_end = before[key] + (total - before[key]) * share
                    self.hours.setdefault(key, {})[start] = at_the_end

    def forget(self, key: str) -> None:
        """Nothing can be said about a counter's past hours any more: it began anew."""
        self.hours.pop(key, None)

    def settle(self, key: str, hours: Iterable[int]) -> None:
        """These hours have been put right."""
        kept = self.hours.get(key, {})
        for hour in hours:
            kept.pop(hour, None)
        if not kept:
            self.hours.pop(key, None)

    def to_dict(self) -> dict[str, Any]:
        """Return all that a restart has to know, ready for JSON."""
        return {
            "time": self._time,
            "totals": dict(self._totals),
            "arrived": self._arrived if math.isfinite(self._arrived) else None,
            "hours": {
                key: {str(hour): total for hour, total in hours.items()}
                for key, hours in self.hours.items()
            },
        }

    def _restore(self, state: Mapping[str, Any]) -> None:
        time, totals, hours = state.get("time"), state.get("totals"), state.get("hours")
        if isinstance(time, (int, float)) and isinstance(totals, Mapping):
            self._time = float(time)
            self._totals = {
                str(key): float(each) for key, each in totals.items() if _is_number(each)
            }
            if _is_number(arrived := state.get("arrived")):
                self._arrived = float(arrived)
        for key, kept in hours.items() if isinstance(hours, Mapping) else ():
            if isinstance(kept, Mapping):
                known = {
                    int(hour): float(total)
                    for hour, total in kept.items()
                    if str(hour).isdigit() and _is_number(total)
                }
                if known:
                    self.hours[str(key)] = known


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
