"""What a run shows: refresh intervals, wrong and old values, what stayed on show too long."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

from .near_end import Published
from .setting import Setting

_NOTICED_WITHIN = 1.0
"""Seconds in which a client has to notice that a value has missed two of its rounds."""

type Series = dict[tuple[int, str], list[float]]
"""Times of publication per unit and quantity."""


def series(published: Published, since: float, until: float) -> Series:
    """Return when each value was published in a stretch of time."""
    times: Series = defaultdict(list)
    for time, unit, key, _ in published.values:
        if since <= time <= until:
            times[unit, key].append(time)
    return times


def mean_interval(
    published: Published,
    setting: Setting,
    since: float,
    until: float,
    *,
    keys: Iterable[str] | None = None,
    units: Iterable[int] | None = None,
) -> float:
    """Return the mean time between two publications of one value, seconds.

    A value that came less than twice counts with the whole stretch of time, and is flattered by it.
    """
    times = series(published, since, until)
    intervals = []
    for unit in units or setting.units:
        for key in keys or setting.keys:
            one = times.get((unit, key), [])
            intervals.append((one[-1] - one[0]) / (len(one) - 1) if len(one) > 1 else until - since)
    return fmean(intervals)


def most_rounds(
    published: Published, setting: Setting, since: float, until: float, *, pace: str
) -> int:
    """Return how many times `pace` was published at most between two values of another quantity of its meter."""
    times = series(published, since, until)
    most = 0
    for unit in setting.units:
        beats = times.get((unit, pace), [])
        for key in setting.keys:
            if key != pace:
                edges = [bisect_left(beats, time) for time in times.get((unit, key), [])]
                gaps = [after - before for before, after in pairwise(edges)]
                most = max(most, *gaps, len(beats) if not gaps else 0)
    return most


@dataclass(slots=True)
class Honesty:
    """Whether what was published was true."""

    values: int
    wrong: int
    """Values that the meter never had: of another register, another meter or no meter at all."""
    old: int
    """Values that the meter had, but more than two rounds ago."""
    kept: int
    """Times that a value was on show for more than two rounds without being taken back."""
    missed: int
    """Rounds in which a value was not published."""


def honesty(
    published: Published, setting: Setting, since: float, until: float, round_time: float
) -> Honesty:
    """Judge everything published in a stretch of time.

    Args:
        published: what the client said.
        setting: what the meters measure.
        since: beginning, monotonic.
        until: end, monotonic.
        round_time: seconds between two readings of a value as configured.
    """
    truth = setting.truth
    limit = 2 * round_time
    wrong = old = 0
    count = 0
    for time, unit, key, value in published.values:
        if not since <= time <= until:
            continue
        count += 1
        age = truth.age(unit, key, value, time)
        if age is None:
            wrong += 1
        elif age > limit:
            old += 1
    taken: dict[tuple[int, str], list[float]] = defaultdict(list)
    for time, unit, keys in published.taken_back:
        for key in setting.keys if keys is None else keys:
            taken[unit, key].append(time)
    kept = missed = 0
    for name, times in series(published, since, until).items():
        for before, after in pairwise([*times, until]):
            missed += max(0, round((after - before) / round_time) - 1)
            if after - before > limit + _NOTICED_WITHIN and not any(
                before <= moment <= before + limit + _NOTICED_WITHIN for moment in taken[name]
            ):
                kept += 1
    return Honesty(count, wrong, old, kept, missed)
