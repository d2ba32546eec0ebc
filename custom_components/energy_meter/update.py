"""Updates: the firmware that comes with the integration, installed on a bridge over its own link."""

from typing import Any, Final, override

from homeassistant.components.update import UpdateDeviceClass, UpdateEntity, UpdateEntityFeature
from homeassistant.core import HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .bridge_runtime import BridgeRuntime
from .const import DOMAIN
from .entity import LineEntity
from .runtime_base import EnergyMeterConfigEntry
from .shipped_firmware import DamagedFirmwareError, ShippedFirmware, shipped_firmware
from .sources.base import SourceError

PARALLEL_UPDATES = 0

FIRMWARE: Final = {"esp32": "esp32", "i2c_hub": "esp32"}
"""{kind of bridge: firmware that fits it}; a hub is the same firmware in another role."""
CAPABILITY: Final = "update"


class BridgeFirmware(LineEntity, UpdateEntity):
    """The firmware of one bridge, beside the one that is shipped."""

    _attr_device_class = UpdateDeviceClass.FIRMWARE
    _attr_supported_features = UpdateEntityFeature.INSTALL | UpdateEntityFeature.PROGRESS
    _attr_translation_key = "firmware"

    def __init__(self, runtime: BridgeRuntime, shipped: ShippedFirmware) -> None:
        """Offer the shipped firmware to this bridge."""
        super().__init__(runtime, "firmware")
        self.bridge = runtime
        self._shipped = shipped
        self._attr_latest_version = shipped.version
        self._attr_in_progress = False

    @override
    async def async_added_to_hass(self) -> None:
        """Follow what the bridge says it runs."""
        await super().async_added_to_hass()
        self.async_on_remove(self.bridge.async_on_hello(self._handle_change))

    @callback
    @override
    def _take(self) -> bool:
        hello = self.bridge.hello
        installed = hello.firmware if hello is not None else None
        available = self.bridge.connected or bool(self._attr_in_progress)
        if (available, installed) == (self._attr_available, self._attr_installed_version):
            return False
        self._attr_available = available
        self._attr_installed_version = installed
        return True

    @override
    async def async_install(self, version: str | None, backup: bool, **kwargs: Any) -> None:
        """Send the firmware and wait until the bridge has come back with it."""
        self._attr_in_progress = True
        try:
            files = await self.hass.async_add_executor_job(self._shipped.read)
            await self.bridge.session.update(self._shipped.version, files, self._show_progress)
        except SourceError as err:
            raise HomeAssistantError(
                translation_domain=DOMAIN,
                translation_key=err.key,
                translation_placeholders={"name": self.bridge.entry.title, **err.placeholders},
            ) from err
        except DamagedFirmwareError as err:
            raise HomeAssistantError(
                translation_domain=DOMAIN,
                translation_key="firmware_damaged",
                translation_placeholders={"file": str(err)},
            ) from err
        finally:
            self._attr_in_progress = False
            self._attr_update_percentage = None
            self._take()
            self.async_write_ha_state()

    @callback
    def _show_progress(self, share: float) -> None:
        percentage = round(100 * share)
        if percentage != self._attr_update_percentage:
            self._attr_update_percentage = percentage
            self.async_write_ha_state()


async def async_setup_entry(
    hass: HomeAssistant,
    entry: EnergyMeterConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Offer firmware as soon as a bridge says that it takes it."""
    runtime = entry.runtime_data
    if not isinstance(runtime, BridgeRuntime):
        return
    shipped = {
        name: firmware
        for name in sorted(set(FIRMWARE.values()))
        if (firmware := await hass.async_add_executor_job(shipped_firmware, name)) is not None
    }
    there: list[BridgeFirmware] = []

    @callback
    def offer() -> None:
        hello = runtime.hello
        if there or hello is None or CAPABILITY not in hello.capabilities:
            return
        if (firmware := shipped.get(FIRMWARE.get(hello.kind or "", ""))) is not None:
            there.append(BridgeFirmware(runtime, firmware))
            async_add_entities(there)

    entry.async_on_unload(runtime.async_on_hello(offer))
