"""Set up lines and their meters; the steps are in `flows`."""

from typing import override

from homeassistant.config_entries import (
    SOURCE_RECONFIGURE,
    ConfigEntry,
    ConfigFlow,
    ConfigSubentryFlow,
)
from homeassistant.core import callback

from .const import DOMAIN, SUBENTRY_METER
from .flows.base import Result
from .flows.new_line import NewLineSteps
from .flows.reconfigure import ReconfigureLineSteps
from .flows.subentry import MeterSubentryFlow
from .flows.trouble import Trouble


class EnergyMeterConfigFlow(NewLineSteps, ReconfigureLineSteps, ConfigFlow, domain=DOMAIN):
    """A line: new with its meters, or moved with them."""

    VERSION = 1
    MINOR_VERSION = 1

    @classmethod
    @callback
    @override
    def async_get_supported_subentry_types(
        cls, config_entry: ConfigEntry
    ) -> dict[str, type[ConfigSubentryFlow]]:
        """Meters are added to a line."""
        return {SUBENTRY_METER: MeterSubentryFlow}

    @property
    @override
    def entry(self) -> ConfigEntry | None:
        """The line that is being moved, if one is."""
        return self._get_reconfigure_entry() if self.source == SOURCE_RECONFIGURE else None

    @override
    async def async_line_chosen(self, *, anyway: bool) -> Result | Trouble:
        """Go on with a new line, or move the entry to it."""
        if self.entry is None:
            return await self.async_line_found()
        return await self.async_line_moved(self.entry, anyway=anyway)
