"""An entry that is one person's messenger, as Home Assistant sets it up, uses and removes it."""

from typing import Any, Final

from homeassistant.config_entries import ConfigEntry
from homeassistant.const import Platform
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.aiohttp_client import async_get_clientsession

from ..const import CONF_KEY, DOMAIN, KIND_MESSENGER
from ..coordinator import MeterCoordinator
from ..issues import Issue, async_clear, async_clear_all, async_raise
from .callmebot import PASSING, CallMeBot, CallMeBotError, Recipient

CONF_MESSENGER: Final = "messenger"
CONF_PHONE: Final = "phone"
PLATFORMS: Final = (Platform.NOTIFY,)
FAILURES: Final = 3
"""Messages in a row that did not get through before a repair says so, if it may pass by itself."""


@callback
def make_sender(hass: HomeAssistant, recipient: Recipient) -> CallMeBot:
    """What sends to this recipient over Home Assistant's own connections."""
    return CallMeBot(async_get_clientsession(hass), recipient)


class MessengerRuntime:
    """One recipient, and how sending to it fares."""

    def __init__(self, hass: HomeAssistant, entry: ConfigEntry[Any]) -> None:
        """Take the entry; nothing is sent."""
        self.hass = hass
        self.entry = entry
        self.meters: dict[str, MeterCoordinator] = {}
        """None; for those who look through the meters of all entries."""
        self.recipient = Recipient(
            messenger=entry.data[CONF_MESSENGER],
            phone=entry.data[CONF_PHONE],
            key=entry.data[CONF_KEY],
        )
        self._sender = make_sender(hass, self.recipient)
        self._failures = 0

    async def async_send(self, text: str) -> None:
        """Send, and raise or take back the repair about it.

        Raises:
            CallMeBotError: it was not taken.
        """
        try:
            await self._sender.send(text)
        except CallMeBotError as err:
            self._failures += 1
            if err.reason not in PASSING or self._failures >= FAILURES:
                async_raise(
                    self.hass,
                    Issue.MESSENGER_FAILS,
                    self.entry.entry_id,
                    data={"entry_id": self.entry.entry_id},
                    name=self.entry.title,
                    reason=err.reason.value,
                    said=err.said or "–",
                )
            raise
        self._failures = 0
        async_clear(self.hass, Issue.MESSENGER_FAILS, self.entry.entry_id)


async def async_setup_messenger(hass: HomeAssistant, entry: ConfigEntry[Any]) -> bool:
    """Set a messenger up."""
    entry.runtime_data = MessengerRuntime(hass, entry)
    await hass.config_entries.async_forward_entry_setups(entry, PLATFORMS)
    return True


async def async_unload_messenger(hass: HomeAssistant, entry: ConfigEntry[Any]) -> bool:
    """Take a messenger down."""
    return await hass.config_entries.async_unload_platforms(entry, PLATFORMS)


async def async_remove_messenger(hass: HomeAssistant, entry: ConfigEntry[Any]) -> None:
    """Leave nothing of a messenger."""
    async_clear_all(hass, entry.entry_id)


def messenger_diagnostics(runtime: MessengerRuntime) -> dict[str, Any]:
    """What may be shown of a messenger: neither number nor key."""
    return {"domain": DOMAIN, "kind": KIND_MESSENGER, "messenger": runtime.recipient.messenger}
