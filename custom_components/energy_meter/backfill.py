"""The hours that were missed are put right in the long-term statistics, once their readings have arrived.

While a bridge is away its totals stand still, and the recorder writes that down hour by hour, or nothing at all
while Home Assistant is not running. When the kept readings arrive, the totals catch up within one hour. The rows of the
hours before are then brought to what the totals stood at when each of them ended.

A row's sum differs from its state by a constant of the statistic. So the sum that a row should have follows from the
total alone: putting an hour right twice changes nothing, and the rows that the recorder writes afterwards, which go on
from its own five-minute sums, need no change. An hour is touched only when the recorder has done with it, as a row that is there
before the recorder compiles the hour would make it lose that hour for all entities.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
import logging
import math
import time
from typing import Final

from homeassistant.components.sensor import DOMAIN as SENSOR_DOMAIN
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.recorder import DATA_INSTANCE, get_instance, session_scope
from homeassistant.util import dt as dt_util

from .const import DOMAIN
from .coordinator import MeterCoordinator
from .metering.missed import HOUR, LATE, MissedHours
from .metering.pipeline import GAP_INTERVALS, LONGEST_GAP
from .model import QUANTITIES, Counts

_LOGGER = logging.getLogger(__name__)

QUIET: Final = 10.0
"""Seconds without a late reading after which they count as having arrived."""
COMPILED: Final = 55 * 60
"""Seconds from the start of an hour to that of the last five minutes that the recorder compiles of it."""
HOPELESS: Final = 3 * HOUR
"""Seconds after which an entity that the recorder knows nothing of is given up."""
DECIMALS: Final = 3
"""To which a counter is shown, and so recorded: see `sensor`."""
TOLERANCE: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Row:
    """One hour of a statistic, in the statistic's own unit."""

    start: int
    state: float
    sum: float


def put_right(hours: Mapping[int, float], rows: Iterable[Row]) -> dict[int, Row]:
    """Return the rows that these hours should have.

    Args:
        hours: {start of the hour, Unix seconds: total when it ended, in the statistic's unit}.
        rows: what there is: at least those of the hours, the last before and the first after them.

    Returns:
        {start of the hour: its row}; empty if the statistic has no row at all yet.
    """
    known = sorted(rows, key=lambda row: row.start)
    right: dict[int, Row] = {}
    for start, total in hours.items():
        before = [row for row in known if row.start <= start]
        reference = before[-1] if before else (known[0] if known else None)
        if reference is not None:
            right[start] = Row(start, total, total + reference.sum - reference.state)
    return right


class Backfill:
    """Watches one meter for late readings, and has the hours put right that they belong to."""

    def __init__(self, hass: HomeAssistant, meter: MeterCoordinator) -> None:
        """Take up what was not put right before a restart."""
        self.hass = hass
        self.meter = meter
        interval = meter.shape.interval or 0.0
        self.missed = MissedHours(
            longest_gap=max(LONGEST_GAP, GAP_INTERVALS * interval), state=meter.record.missed
        )
        self._last_late = -math.inf
        self._before: dict[str, float] = {}
        meter.on_progress = self._progress

    @callback
    def refresh_record(self) -> None:
        """Bring what is kept over a restart up to date."""
        self.meter.record.missed = self.missed.to_dict()

    @callback
    def _progress(self, measured: datetime) -> None:
        arrived = dt_util.utcnow()
        if (arrived - measured).total_seconds() >= LATE:
            self._last_late = time.monotonic()
        totals: dict[str, float] = {}
        for key, value in self.meter.values.items():
            counts = self.meter.shape.moves(QUANTITIES[key])
            if counts is None or value is None:
                continue
            totals[key] = value
            if counts is not Counts.BOTH and value < self._before.get(key, value):
                self.missed.forget(key)
        self._before = totals
        self.missed.take(measured.timestamp(), totals, arrived=arrived.timestamp())

    async def async_put_right(self) -> None:
        """Put right what can be by now; what cannot yet is left for the next time."""
        if not self.missed.hours or time.monotonic() - self._last_late < QUIET:
            return
        if DATA_INSTANCE not in self.hass.data:
            self.missed.hours.clear()  # Nobody keeps history.
            return
        registry = er.async_get(self.hass)
        for key, hours in tuple(self.missed.hours.items()):
            entity_id = registry.async_get_entity_id(
                SENSOR_DOMAIN, DOMAIN, f"{self.meter.identity}_{key}"
            )
            if entity_id is None:
                self.missed.forget(key)
                continue
            settled = await self._async_put_right(entity_id, QUANTITIES[key].unit, dict(hours))
            self.missed.settle(key, settled)

    async def _async_put_right(
        self, entity_id: str, unit: str | None, hours: dict[int, float]
    ) -> set[int]:
        """Import the rows that are not right yet; return the hours that need nothing more."""
        from homeassistant.components.recorder.models import StatisticData
        from homeassistant.components.recorder.statistics import (
            STATISTIC_UNIT_TO_UNIT_CONVERTER,
            async_import_statistics,
            get_metadata,
        )

        recorder = get_instance(self.hass)
        found = await recorder.async_add_executor_job(
            lambda: get_metadata(self.hass, statistic_ids={entity_id})
        )
        if entity_id not in found:
            oldest = dt_util.utcnow().timestamp() - HOPELESS
            return {hour for hour in hours if hour < oldest}
        metadata_id, metadata = found[entity_id]
        theirs = metadata["unit_of_measurement"]
        if theirs != unit:
            converter = STATISTIC_UNIT_TO_UNIT_CONVERTER.get(theirs)
            if converter is None or unit not in converter.VALID_UNITS:
                return set(hours)
            hours = {
                hour: converter.convert(round(total, DECIMALS), unit, theirs)
                for hour, total in hours.items()
            }
        else:
            hours = {hour: round(total, DECIMALS) for hour, total in hours.items()}
        compiled, rows = await recorder.async_add_executor_job(
            _look_up, self.hass, metadata_id, min(hours), max(hours)
        )
        there = {row.start: row for row in rows}
        due = {hour: total for hour, total in hours.items() if hour + COMPILED <= compiled}
        right = put_right(due, rows)
        settled = {hour for hour, row in right.items() if _same(there.get(hour), row)}
        wrong = [row for hour, row in right.items() if hour not in settled]
        if wrong:
            _LOGGER.info("Putting %s hours of %s right", len(wrong), entity_id)
            async_import_statistics(
                self.hass,
                metadata,
                [
                    StatisticData(
                        start=datetime.fromtimestamp(row.start, UTC), state=row.state, sum=row.sum
                    )
                    for row in wrong
                ],
            )
        return settled


def _same(one: Row | None, other: Row) -> bool:
    return (
        one is not None
        and abs(one.state - other.state) <= TOLERANCE
        and abs(one.sum - other.sum) <= TOLERANCE
    )


def _look_up(
    hass: HomeAssistant, metadata_id: int, first: int, last: int
) -> tuple[float, list[Row]]:
    """When the last compiled five minutes began, and the rows about the hours; blocks."""
    from homeassistant.components.recorder.db_schema import Statistics, StatisticsRuns
    from sqlalchemy import func

    with session_scope(hass=hass, read_only=True) as session:
        run: datetime | None = session.query(func.max(StatisticsRuns.start)).scalar()
        compiled = -math.inf if run is None else run.replace(tzinfo=UTC).timestamp()
        mine = session.query(Statistics.start_ts, Statistics.state, Statistics.sum).filter(
            Statistics.metadata_id == metadata_id, Statistics.sum.is_not(None)
        )
        asked = mine.filter(Statistics.start_ts >= first, Statistics.start_ts <= last).all()
        before = mine.filter(Statistics.start_ts < first).order_by(Statistics.start_ts.desc())
        after = mine.filter(Statistics.start_ts > last).order_by(Statistics.start_ts)
        rows = [*before.limit(1).all(), *asked, *after.limit(1).all()]
        return compiled, [
            Row(int(start), float(state), float(total))
            for start, state, total in rows
            if state is not None
        ]
