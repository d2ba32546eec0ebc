"""What is wrong with a bridge and the sensors on it, as repairs that come and go with their cause."""

from collections.abc import Iterable
from datetime import datetime, timedelta
import logging
from typing import Final

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant, callback
from homeassistant.util import dt as dt_util

from .coordinator import SILENCE, MeterCoordinator
from .issues import Issue, IssueData, async_clear, async_raise
from .metering.sensor_watch import SensorTrouble, SensorWatch
from .model import Reading
from .sources.bridge.protocol import VERSION

_LOGGER = logging.getLogger(__name__)

LASTING: Final = timedelta(minutes=30)
"""How long trouble counts as going on after it was last seen; it is told at most every ten minutes."""
KEY_TROUBLES: Final = frozenset({"key_refused", "key_needed"})
"""Those that a new pairing key mends."""
ROLLED_BACK: Final = "rolled_back"
"""The event of a bridge that went back to its old firmware."""


class BridgeWatch:
    """Looks after one bridge."""

    def __init__(self, hass: HomeAssistant, entry: ConfigEntry) -> None:
        """Begin with nothing wrong."""
        self.hass = hass
        self.entry = entry
        self.subject = entry.entry_id
        self._data: IssueData = {"entry_id": entry.entry_id}
        self._since = dt_util.utcnow()
        self._told: set[str] = set()
        """Troubles that are in the log already."""
        self._refused = True
        """Whether what came last was refused; at first it is not known what was raised before a restart."""
        self._clock_at: datetime | None = None
        self._sensors: dict[str, SensorWatch] = {}
        """By identity of the meter."""

    # What is seen

    @callback
    def take_understood(self) -> None:
        """The right bridge is there and is understood."""
        self._told.clear()
        if self._refused:
            self._refused = False
            for issue in (Issue.BRIDGE_TOO_OLD, Issue.BRIDGE_TOO_NEW, Issue.WRONG_BRIDGE):
                async_clear(self.hass, issue, self.subject)

    @callback
    def take_reading(self, meter: MeterCoordinator, reading: Reading, flags: Iterable[str]) -> None:
        """Look at a present reading."""
        self.take_understood()
        watch = self._sensors.setdefault(meter.identity, SensorWatch())
        watch.look(reading.time.timestamp(), reading.values, flags)

    @callback
    def take_trouble(self, key: str, detail: str) -> None:
        """Raise what only the user can put right, and log all of it once until the bridge is there again."""
        level = logging.DEBUG if key in self._told else logging.WARNING
        self._told.add(key)
        _LOGGER.log(level, "%s: %s (%s)", self.entry.title, key, detail)
        if key in KEY_TROUBLES:
            self.entry.async_start_reauth(self.hass)
        elif key == "version":
            newer = detail.isdecimal() and int(detail) > VERSION
            self._refused = True
            issue = Issue.BRIDGE_TOO_NEW if newer else Issue.BRIDGE_TOO_OLD
            async_raise(
                self.hass,
                issue,
                self.subject,
                data=self._data,
                name=self.entry.title,
                theirs=detail,
                ours=str(VERSION),
            )
        elif key == "wrong_bridge":
            self._refused = True
            expected = self.entry.unique_id or "–"
            async_raise(
                self.hass,
                Issue.WRONG_BRIDGE,
                self.subject,
                data={**self._data, "found": detail},
                name=self.entry.title,
                expected=expected,
                found=detail,
            )
        elif key == "clock":
            self._clock_at = dt_util.utcnow()
            async_raise(
                self.hass,
                Issue.BRIDGE_CLOCK,
                self.subject,
                data=self._data,
                name=self.entry.title,
            )

    @callback
    def take_rolled_back(self, firmware: str | None) -> None:
        """The bridge did not come up with new firmware."""
        async_raise(
            self.hass,
            Issue.BRIDGE_ROLLED_BACK,
            self.subject,
            data=self._data,
            name=self.entry.title,
            firmware=firmware or "–",
        )

    # What becomes of it

    @callback
    def review(
        self, now: datetime, *, connected: bool, settled: bool, meters: Iterable[MeterCoordinator]
    ) -> None:
        """Raise and take back what is only seen over time; looked at twice a minute.

        Args:
            now: the time.
            connected: whether the link is up.
            settled: whether it has been for long enough that every meter should have said something.
            meters: those of the bridge.
        """
        known = list(meters)
        readings = [meter.last_reading for meter in known if meter.last_reading is not None]
        last = max(readings, default=self._since)
        silent = not connected and now - max(last, self._since) >= SILENCE
        if silent:
            since = dt_util.as_local(last)
            async_raise(
                self.hass,
                Issue.BRIDGE_SILENT,
                self.subject,
                data=self._data,
                name=self.entry.title,
                since=f"{since:%Y-%m-%d %H:%M}",
            )
        elif connected:
            async_clear(self.hass, Issue.BRIDGE_SILENT, self.subject)
        if self._clock_at is not None and now - self._clock_at > LASTING:
            self._clock_at = None
            async_clear(self.hass, Issue.BRIDGE_CLOCK, self.subject)
        for meter in known:
            meter.async_review(now, alone=settled)
            self._review_sensor(meter)

    def _review_sensor(self, meter: MeterCoordinator) -> None:
        watch = self._sensors.get(meter.identity)
        found = watch.found if watch is not None else frozenset()
        for trouble, issue in (
            (SensorTrouble.CLIPPING, Issue.SENSOR_CLIPPING),
            (SensorTrouble.STUCK, Issue.SENSOR_STUCK),
        ):
            if trouble in found and issue.value not in meter.record.declined:
                still = watch.unmoved if watch is not None else ()
                current = meter.values.get(still[0] if still else "current")
                shown = "–" if current is None else f"{current:.2f} A"
                async_raise(self.hass, issue, meter.identity, name=meter.name, current=shown)
            else:
                async_clear(self.hass, issue, meter.identity)

    @callback
    def look_again(self, meter: MeterCoordinator | None = None) -> None:
        """The user has put something right at a meter, or at the bridge: what was seen before counts no more."""
        if meter is not None:
            self._sensors.pop(meter.identity, None)
            return
        self._since = dt_util.utcnow()
        self._clock_at = None
