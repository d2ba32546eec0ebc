"""What the simulated meters would have recorded before the demo was started."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from homeassistant.components.recorder.db_schema import Statistics, StatisticsShortTerm
from homeassistant.components.recorder.models import (
    StatisticData,
    StatisticMeanType,
    StatisticMetaData,
)
from homeassistant.components.recorder.statistics import STATISTIC_UNIT_TO_UNIT_CONVERTER
from homeassistant.components.sensor import SensorStateClass
from homeassistant.core import HomeAssistant
from homeassistant.helpers.recorder import get_instance

from custom_components.energy_meter.model import QUANTITIES
from custom_components.energy_meter.sources.simulated.meter import SimulatedMeter

HOUR = timedelta(hours=1)
FIVE_MINUTES = timedelta(minutes=5)
SAMPLES = 6
"""Looks at a measurement in each period, for its mean and extremes."""


@dataclass(frozen=True)
class Shown:
    """A sensor of the demo and where its values come from."""

    entity_id: str
    unit: str | None
    state_class: str
    meter: SimulatedMeter
    key: str

    @property
    def counts(self) -> bool:
        """Whether it is a counter."""
        return self.state_class != SensorStateClass.MEASUREMENT


def import_history(hass: HomeAssistant, sensors: Iterable[Shown], days: int) -> None:
    """Fill long-term and short-term statistics up to now; blocking.

    The short-term ones let the recorder go on counting where the history ends.
    """
    now = datetime.now(UTC)
    hour = now.replace(minute=0, second=0, microsecond=0)
    slot = now.replace(minute=now.minute // 5 * 5, second=0, microsecond=0)
    recorder = get_instance(hass)
    for sensor in sensors:
        if sensor.counts and sensor.meter.value(sensor.key, 0) is None:
            continue  # The integration counts itself: there is no counter to have a history.
        metadata = StatisticMetaData(
            mean_type=StatisticMeanType.NONE if sensor.counts else StatisticMeanType.ARITHMETIC,
            has_sum=sensor.counts,
            name=None,
            source="recorder",
            statistic_id=sensor.entity_id,
            unit_class=_unit_class(sensor.unit),
            unit_of_measurement=sensor.unit,
        )
        start = hour - timedelta(days=days)
        recent = start if QUANTITIES[sensor.key].base == "power" else slot - timedelta(days=1)
        for first, last, step, table in (
            (start, hour, HOUR, Statistics),
            (max(start, recent), slot, FIVE_MINUTES, StatisticsShortTerm),
        ):
            rows = _periods(sensor, start, first, last, step)
            recorder.async_import_statistics(metadata, list(rows), table)


def _unit_class(unit: str | None) -> str | None:
    converter = STATISTIC_UNIT_TO_UNIT_CONVERTER.get(unit)
    return converter.UNIT_CLASS if converter else None


def _periods(
    sensor: Shown, origin: datetime, first: datetime, last: datetime, step: timedelta
) -> Iterator[StatisticData]:
    """The statistics of every period from `first` to `last`; sums count from `origin`."""
    zero = sensor.meter.value(sensor.key, origin.timestamp()) if sensor.counts else None
    start = first
    while start < last:
        end = start + step
        if zero is not None:
            state = sensor.meter.value(sensor.key, end.timestamp()) or 0.0
            yield StatisticData(start=start, state=state, sum=state - zero)
        else:
            times = (start.timestamp() + step.total_seconds() * n / SAMPLES for n in range(SAMPLES))
            values = [sensor.meter.exact(sensor.key, time) or 0.0 for time in times]
            yield StatisticData(
                start=start, mean=sum(values) / SAMPLES, min=min(values), max=max(values)
            )
        start = end
