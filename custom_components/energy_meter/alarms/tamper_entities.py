"""Whether there are signs of tampering, and the history of them."""

from typing import Any, Final, override

from homeassistant.components.binary_sensor import BinarySensorEntity
from homeassistant.components.binary_sensor.const import BinarySensorDeviceClass
from homeassistant.core import callback

from ..metering.tamper import TamperChange, TamperSign
from .entities import AlarmEntity, HistoryEntity
from .tamper import TamperAlarm, told

EVENT_TAMPER: Final = "tamper"
EVENT_TAMPER_OVER: Final = "tamper_over"


class TamperBinarySensor(AlarmEntity[TamperAlarm], BinarySensorEntity):
    """Whether there are signs of tampering; known also while the meter is silent, for it may have been silenced."""

    _attr_device_class = BinarySensorDeviceClass.TAMPER
    _attr_available = True

    def __init__(self, alarm: TamperAlarm) -> None:
        """Show this alarm."""
        super().__init__(alarm)
        self._signs: frozenset[TamperSign] = frozenset()

    @callback
    @override
    def _take(self) -> bool:
        signs = frozenset(self.alarm.watch.signs)
        if self._attr_is_on is not None and signs == self._signs:
            return False  # The numbers of a sign that lasts move all the time.
        self._signs = signs
        self._attr_is_on = bool(signs)
        self._attr_extra_state_attributes = self.alarm.attributes()
        return True


class TamperEvent(HistoryEntity[TamperAlarm]):
    """The signs that there have been, and when there were none any more."""

    _attr_event_types = [EVENT_TAMPER, EVENT_TAMPER_OVER]

    @callback
    @override
    def _handle_verdict(self, verdict: TamperChange) -> None:
        attributes: dict[str, Any] = dict(told(verdict.evidence))
        self._trigger_event(EVENT_TAMPER if verdict.tampered else EVENT_TAMPER_OVER, attributes)
        self.async_write_ha_state()
