"""What a user is told about a hub of many circuits: repairs for its wires, notices of circuits that come."""

from collections.abc import Iterable, Mapping
from typing import Final

from homeassistant.components import persistent_notification
from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant, callback

from .const import DOMAIN
from .flows.phrases import Phrases
from .issues import Issue, async_clear, async_raise

_ISSUES: Final[Mapping[str, Issue]] = {
    "address_shared": Issue.I2C_ADDRESS_SHARED,
    "address_hidden": Issue.I2C_HIDDEN,
    "id_twice": Issue.I2C_ID_TWICE,
    "monitor_version": Issue.I2C_MONITOR_VERSION,
    "bus_held": Issue.I2C_BUS_HELD,
    "bus_gone": Issue.I2C_BUS_GONE,
}
"""{what a hub calls it: what a user is told}."""
_OF_THE_BUS: Final = frozenset({"bus_held", "bus_gone"})
"""Those that are of the whole bus: in place of places a hub says in its own words what it has seen, for its log."""


class HubWatch:
    """Looks after one hub."""

    def __init__(self, hass: HomeAssistant, entry: ConfigEntry) -> None:
        """Begin with nothing wrong."""
        self.hass = hass
        self.entry = entry
        self._shown: dict[Issue, str] = {}

    @callback
    def show(self, problems: Mapping[str, Iterable[str]], hub: str) -> None:
        """Raise what is wrong now, and take back what is not any more.

        Args:
            problems: {word: places}; words that nobody here knows are left out.
            hub: what the bus is called.
        """
        wanted = {
            issue: hub if problem in _OF_THE_BUS else ", ".join(problems[problem]) or hub
            for problem, issue in _ISSUES.items()
            if problem in problems
        }
        subject = self.entry.entry_id
        for issue in self._shown.keys() - wanted.keys():
            async_clear(self.hass, issue, subject)
        for issue, places in wanted.items():
            if self._shown.get(issue) != places:
                async_raise(
                    self.hass,
                    issue,
                    subject,
                    data={"entry_id": subject},
                    places=places,
                    name=self.entry.title,
                )
        self._shown = wanted

    @callback
    def look_again(self) -> None:
        """Raise again what is still wrong at the next look."""
        self._shown = {}

    async def async_tell_new(self, meter_ids: list[str]) -> None:
        """Say that monitors have come that nobody knew."""
        shown = ", ".join(meter_id.upper() for meter_id in meter_ids)
        text = "i2c_new_text" if len(meter_ids) == 1 else "i2c_new_several_text"
        await self._async_tell(text, "i2c_new_title", meter_ids[0], meter=shown)

    async def async_tell_moved(self, meter_id: str, name: str, before: str) -> None:
        """Say that a circuit of another hub hangs on this one now."""
        await self._async_tell(
            "i2c_moved_text", "i2c_moved_title", meter_id, meter=name, before=before
        )

    async def _async_tell(self, text: str, title: str, about: str, **values: str) -> None:
        phrases = await Phrases.load(self.hass)
        persistent_notification.async_create(
            self.hass,
            phrases(text, name=self.entry.title, **values),
            phrases(title, name=self.entry.title),
            f"{DOMAIN}_{self.entry.entry_id}_{about}",
        )
