"""Images: the last waveform that was captured of a circuit."""

from datetime import datetime
from typing import override

from homeassistant.components.image import ImageEntity
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.device_registry import DeviceInfo
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback
from homeassistant.util import dt as dt_util

from .bridge_runtime import BridgeRuntime
from .const import DOMAIN
from .coordinator import MeterCoordinator
from .metering.waveform import Waveform
from .runtime_base import EnergyMeterConfigEntry
from .waveform_svg import draw

PARALLEL_UPDATES = 0


class WaveformImage(ImageEntity):
    """One or two cycles of voltage and current, as they were when last asked for."""

    _attr_has_entity_name = True
    _attr_should_poll = False
    _attr_content_type = "image/svg+xml"
    _attr_translation_key = "waveform"

    def __init__(
        self, hass: HomeAssistant, runtime: BridgeRuntime, meter: MeterCoordinator
    ) -> None:
        """Show the captures of this meter."""
        super().__init__(hass)
        self._runtime = runtime
        self._meter = meter
        self._picture: bytes | None = None
        self._attr_unique_id = f"{meter.identity}_waveform"
        self._attr_device_info = DeviceInfo(identifiers={(DOMAIN, meter.identity)})

    @override
    async def async_added_to_hass(self) -> None:
        """Follow the captures, and go with the meter."""
        await super().async_added_to_hass()
        self._meter.entities.add(self)
        self.async_on_remove(lambda: self._meter.entities.discard(self))
        self.async_on_remove(self._runtime.async_on_capture(self._meter.identity, self._take))

    @callback
    def _take(self, wave: Waveform, taken: datetime) -> None:
        self._picture = draw(wave, self._meter.name).encode()
        self._attr_image_last_updated = taken
        self.async_write_ha_state()

    @override
    async def async_image(self) -> bytes | None:
        """The picture; none before the first capture, which is then taken."""
        if self._picture is None:
            wave = await self._runtime.async_capture(self._meter, 2)
            self._picture = draw(wave, self._meter.name).encode()
            self._attr_image_last_updated = dt_util.utcnow()
        return self._picture


async def async_setup_entry(
    hass: HomeAssistant,
    entry: EnergyMeterConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add an image for every meter that can capture."""
    runtime = entry.runtime_data
    if not isinstance(runtime, BridgeRuntime):
        return

    @callback
    def add_meter(meter: MeterCoordinator) -> None:
        if meter.shape.waveform:
            async_add_entities(
                [WaveformImage(hass, runtime, meter)], config_subentry_id=meter.subentry_id
            )

    runtime.async_on_meter(add_meter)
