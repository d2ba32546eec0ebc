"""Consumption reports and the comparison with the usual, over a real recorder's statistics."""

from datetime import datetime, timedelta
from typing import Any

from freezegun.api import FrozenDateTimeFactory
from homeassistant.components.recorder.core import Recorder
from homeassistant.components.recorder.models import StatisticData, StatisticMetaData
from homeassistant.components.recorder.models.statistics import StatisticMeanType
from homeassistant.components.recorder.statistics import async_import_statistics
from homeassistant.core import HomeAssistant
from homeassistant.util import dt as dt_util
import pytest
from pytest_homeassistant_custom_component.common import async_fire_time_changed
from pytest_homeassistant_custom_component.components.recorder.common import (
    async_wait_recording_done,
)

from .conftest import Messenger, Use

OVEN = "sensor.oven_energy"
PUMP = "sensor.pump_energy"


@pytest.fixture(autouse=True)
async def _recorder(recorder_mock: Recorder, hass: HomeAssistant) -> None:
    await hass.config.async_set_time_zone("Europe/Berlin")
    hass.states.async_set(OVEN, "1", {"friendly_name": "Oven", "device_class": "energy"})
    hass.states.async_set(PUMP, "1", {"friendly_name": "Pump", "device_class": "energy"})


async def count(hass: HomeAssistant, sensor: str, start: datetime, hours: int, **kwh: Any) -> None:
    """Have the sensor count `kwh["each"]` an hour, and `kwh["last"]` in the last one."""
    rows: list[StatisticData] = []
    total = 100.0
    for hour in range(hours):
        total += kwh.get("last", kwh["each"]) if hour == hours - 1 else kwh["each"]
        rows.append({"start": start + timedelta(hours=hour), "state": total, "sum": total})
    metadata: StatisticMetaData = {
        "has_sum": True,
        "mean_type": StatisticMeanType.NONE,
        "name": None,
        "source": "recorder",
        "statistic_id": sensor,
        "unit_class": "energy",
        "unit_of_measurement": "kWh",
    }
    async_import_statistics(hass, metadata, rows)
    await async_wait_recording_done(hass)


async def reach(hass: HomeAssistant, freezer: FrozenDateTimeFactory, moment: datetime) -> None:
    freezer.move_to(moment)
    async_fire_time_changed(hass, moment)
    await hass.async_block_till_done()


def local(text: str) -> datetime:
    found = dt_util.parse_datetime(text)
    assert found is not None
    return found.replace(tzinfo=dt_util.get_default_time_zone())


async def test_every_morning_yesterday_is_told_beside_the_day_before(
    hass: HomeAssistant, messenger: Messenger, use_blueprint: Use, freezer: FrozenDateTimeFactory
) -> None:
    freezer.move_to(local("2026-05-13 06:00:00"))
    start = local("2026-05-11 00:00:00")
    await count(hass, OVEN, start - timedelta(hours=1), 25, each=0.25)
    await count(hass, PUMP, start - timedelta(hours=1), 49, each=0.5)
    await use_blueprint(
        "consumption_report",
        counters=[OVEN, PUMP],
        price=0.3,
        notifiers=["notify.messenger"],
    )
    await reach(hass, freezer, local("2026-05-13 07:30:00"))
    (said,) = messenger.said
    assert said.split("\n") == [
        "Yesterday",
        "Oven: 0.00 kWh (before 6.00)",
        "Pump: 12.00 kWh (before 12.00)",
        "Together: 12.00 kWh (before 18.00)",
        "Cost: 3.60",
    ]


@pytest.mark.parametrize(
    ("period", "moment", "start", "hours", "first"),
    [
        # The night of 29 March 2026 has 23 hours in Berlin.
        ("week", "2026-03-30 07:30:00", "2026-03-16 00:00:00", 14 * 24 - 1, "Last week\nOven: 167.00 kWh (before 168.00)"),
        ("month", "2026-05-01 07:30:00", "2026-03-01 00:00:00", 61 * 24 - 1, "Last month\nOven: 720.00 kWh (before 743.00)"),
    ],
)  # fmt: skip
async def test_weeks_and_months_follow_the_calendar(
    hass: HomeAssistant,
    messenger: Messenger,
    use_blueprint: Use,
    freezer: FrozenDateTimeFactory,
    *,
    period: str,
    moment: str,
    start: str,
    hours: int,
    first: str,
) -> None:
    at = local(moment)
    freezer.move_to(at - timedelta(hours=1))
    await count(hass, OVEN, dt_util.as_utc(local(start)) - timedelta(hours=1), hours + 1, each=1.0)
    await use_blueprint(
        "consumption_report", counters=[OVEN], period=period, notifiers=["notify.messenger"]
    )
    await reach(hass, freezer, at)
    assert messenger.said == [first]


async def test_on_other_days_a_weekly_report_is_silent(
    hass: HomeAssistant, messenger: Messenger, use_blueprint: Use, freezer: FrozenDateTimeFactory
) -> None:
    freezer.move_to(local("2026-03-31 06:00:00"))
    await use_blueprint(
        "consumption_report", counters=[OVEN], period="week", notifiers=["notify.messenger"]
    )
    await reach(hass, freezer, local("2026-03-31 07:30:00"))
    assert messenger.said == []


@pytest.mark.parametrize(
    ("last", "said"),
    [
        (0.9, []),
        (1.4, ["Oven: 1.40 kWh in the last hour, usually 0.50"]),
        (0.5, []),
    ],
)
async def test_an_hour_with_much_more_than_usual_is_told(
    hass: HomeAssistant,
    messenger: Messenger,
    use_blueprint: Use,
    freezer: FrozenDateTimeFactory,
    *,
    last: float,
    said: list[str],
) -> None:
    now = local("2026-05-20 15:00:00")
    freezer.move_to(now)
    hours = 10 * 24
    await count(hass, OVEN, now - timedelta(hours=hours), hours, each=0.5, last=last)
    await use_blueprint(
        "high_consumption", counters=[OVEN], factor=2, least=0.3, notifiers=["notify.messenger"]
    )
    await reach(hass, freezer, now + timedelta(minutes=15, seconds=1))
    assert messenger.said == said


async def test_without_a_history_nothing_is_unusual(
    hass: HomeAssistant, messenger: Messenger, use_blueprint: Use, freezer: FrozenDateTimeFactory
) -> None:
    now = local("2026-05-20 15:00:00")
    freezer.move_to(now)
    await count(hass, OVEN, now - timedelta(hours=30), 30, each=0.01, last=5.0)
    await use_blueprint("high_consumption", counters=[OVEN, PUMP], notifiers=["notify.messenger"])
    await reach(hass, freezer, now + timedelta(minutes=15, seconds=1))
    assert messenger.said == []
