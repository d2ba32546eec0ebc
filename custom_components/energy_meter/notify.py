"""Notify entities: a person's messenger."""

from typing import override

from homeassistant.components.notify import NotifyEntity
from homeassistant.components.notify.const import NotifyEntityFeature
from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers.device_registry import DeviceEntryType, DeviceInfo
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .const import DOMAIN
from .notifier.callmebot import CallMeBotError
from .notifier.entry import MessengerRuntime

PARALLEL_UPDATES = 0


class MessengerEntity(NotifyEntity):
    """Writes to one person."""

    _attr_has_entity_name = True
    _attr_name = None
    _attr_supported_features = NotifyEntityFeature.TITLE

    def __init__(self, runtime: MessengerRuntime) -> None:
        """Write through this runtime."""
        self._runtime = runtime
        entry_id = runtime.entry.entry_id
        self._attr_unique_id = entry_id
        self._attr_device_info = DeviceInfo(
            identifiers={(DOMAIN, entry_id)},
            name=runtime.entry.title,
            entry_type=DeviceEntryType.SERVICE,
        )

    @override
    async def async_send_message(self, message: str, title: str | None = None) -> None:
        """Send; the title comes first, in bold as messengers write it."""
        try:
            await self._runtime.async_send(f"*{title}*\n{message}" if title else message)
        except CallMeBotError as err:
            raise HomeAssistantError(
                translation_domain=DOMAIN,
                translation_key=f"messenger_{err.reason.value}",
                translation_placeholders={"name": self._runtime.entry.title, "said": err.said},
            ) from None


async def async_setup_entry(
    hass: HomeAssistant,
    entry: ConfigEntry[MessengerRuntime],
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add the one entity of a messenger."""
    async_add_entities([MessengerEntity(entry.runtime_data)])
