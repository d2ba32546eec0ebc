"""How an alarm stands, its threshold, and its history."""

from typing import Any, Final, override

from homeassistant.components.binary_sensor import BinarySensorEntity
from homeassistant.components.binary_sensor.const import BinarySensorDeviceClass
from homeassistant.components.event import EventEntity
from homeassistant.components.number import NumberEntity, NumberMode
from homeassistant.const import EntityCategory
from homeassistant.core import callback

from ..entity import MeterEntity
from ..metering.limits import RULES, LimitChange, LimitState
from .data import KEY_PREFIX
from .runtime import Alarm, Alarms, attributes_of
from .tamper import TamperAlarm

EVENT_EXCEEDED: Final = "limit_exceeded"
EVENT_CLEARED: Final = "limit_cleared"


class AlarmEntity[A: (Alarm, TamperAlarm)](MeterEntity):
    """An entity of one alarm, on the device of its meter."""

    def __init__(self, alarm: A, key: str) -> None:
        """Belong to an alarm; `key` tells its entities apart."""
        super().__init__(alarm.meter, f"{KEY_PREFIX}_{alarm.key}{key}")
        self.alarm: A = alarm
        self._attr_translation_key = f"{KEY_PREFIX}_{alarm.key}{key}"

    @override
    async def async_added_to_hass(self) -> None:
        """Show from now on."""
        await super().async_added_to_hass()
        self.async_on_remove(self.alarm.async_on_show(self._handle_change))
        self._take()


class AlarmBinarySensor(AlarmEntity[Alarm], BinarySensorEntity):
    """Whether a limit is exceeded."""

    _attr_device_class = BinarySensorDeviceClass.PROBLEM
    _unrecorded_attributes = frozenset({"value"})

    def __init__(self, alarm: Alarm) -> None:
        """Show this alarm."""
        super().__init__(alarm, "")

    @callback
    @override
    def _take(self) -> bool:
        watch = self.alarm.watch
        known = watch.state is not LimitState.UNKNOWN
        shown: tuple[Any, ...] = (known, watch.exceeded)
        attributes = dict(attributes_of(self.alarm))
        # While nothing is wrong the value moves all the time and is the sensor's business.
        if not watch.exceeded:
            attributes.pop("value")
            attributes.pop("quantity", None)
        if shown == (self._attr_available, self._attr_is_on) and attributes == getattr(
            self, "_attr_extra_state_attributes", None
        ):
            return False
        self._attr_available, self._attr_is_on = known, watch.exceeded
        self._attr_extra_state_attributes = attributes
        return True


class AlarmThreshold(AlarmEntity[Alarm], NumberEntity):
    """The threshold of a limit, for dashboards and automations to move."""

    _attr_entity_category = EntityCategory.CONFIG
    _attr_mode = NumberMode.BOX
    _attr_available = True

    def __init__(self, alarm: Alarm) -> None:
        """Offer this alarm's threshold."""
        super().__init__(alarm, "_threshold")
        rule = RULES[alarm.kind]
        self._attr_native_unit_of_measurement = rule.unit
        self._attr_native_min_value = rule.minimum
        self._attr_native_max_value = rule.maximum
        self._attr_native_step = rule.step

    @callback
    @override
    def _take(self) -> bool:
        threshold = self.alarm.watch.limit.threshold
        if threshold == self._attr_native_value:
            return False
        self._attr_native_value = threshold
        return True

    @override
    async def async_set_native_value(self, value: float) -> None:
        """Judge by another threshold from now on."""
        self.alarm.async_set_threshold(value)


class AlarmEvent(AlarmEntity[Alarm], EventEntity):
    """What has been exceeded, and when it was over."""

    _attr_event_types = [EVENT_EXCEEDED, EVENT_CLEARED]
    _attr_available = True

    def __init__(self, alarm: Alarm, alarms: Alarms) -> None:
        """Keep the history of this alarm."""
        super().__init__(alarm, "_history")
        self._alarms = alarms

    @override
    async def async_added_to_hass(self) -> None:
        """Note every verdict from now on."""
        await super().async_added_to_hass()
        self.async_on_remove(
            self._alarms.async_on_change(self.alarm.meter.identity, self._handle_verdict)
        )

    @callback
    @override
    def _take(self) -> bool:
        return False

    @callback
    def _handle_verdict(self, alarm: Alarm, change: LimitChange) -> None:
        if alarm is not self.alarm:
            return
        attributes: dict[str, Any] = {
            "kind": change.kind.value,
            "value": round(change.value, 3),
            "limit": change.threshold,
            "unit": alarm.unit,
        }
        if change.key is not None:
            attributes["quantity"] = change.key
        self._trigger_event(EVENT_EXCEEDED if change.exceeded else EVENT_CLEARED, attributes)
        self.async_write_ha_state()
