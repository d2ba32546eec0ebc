"""An evening at a main fuse of 32 A: oven, hob and car together are too much, so the water heater and the car make room.

What each of them takes is the simulated house's business; this is what is to be known of it, and the clock.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

from custom_components.energy_meter.sources.simulated.pace import Pace

FUSE: Final = 32.0
"""A per phase."""
HEATER: Final = 2_000.0
"""What the water heater takes, W; on the second phase, where oven and hob are too."""
CAR: Final = 10_800.0
"""What the car takes, W; on all three phases."""
FAST: Final = 150.0
"""How much faster a day runs with `--fast`: in less than ten minutes."""
AHEAD: Final = timedelta(hours=1)
"""Of the simulated house's clock, before UTC."""
FIRST_HOUR: Final = 17
"""When a fast day begins: an hour before supper."""


def fast_pace(now: float) -> Pace:
    """A day in some minutes, from a Unix time on: it begins on a Wednesday before supper."""
    wednesday = datetime(2026, 6, 3, FIRST_HOUR, tzinfo=UTC) - AHEAD
    return Pace(since=now, start=wednesday.timestamp(), speed=FAST)


def clock(time: float) -> str:
    """The house's time as its clock shows it."""
    return f"{datetime.fromtimestamp(time, UTC) + AHEAD:%A %H:%M}"
