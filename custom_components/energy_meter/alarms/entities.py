"""How an alarm stands, its threshold, and its history."""

from typing import Any, ClassVar, Final, override

from homeassistant.components.binary_sensor import BinarySensorEntity
from homeassistant.components.binary_sensor.const import BinarySensorDeviceClass
from homeassistant.components.event import EventEntity
from homeassistant.components.number import NumberEntity, NumberMode
from homeassistant.const import EntityCategory
from homeassistant.core import callback

from ..entity import MeterEntity
from ..metering.limits import RULES, LimitChange, LimitState
from .data import KEY_PREFIX
from .runtime import Alarm, attributes_of
from .tamper import TamperAlarm

EVENT_EXCEEDED: Final = "limit_exceeded"
EVENT_CLEARED: Final = "limit_cleared"


class AlarmEntity[A: (Alarm, TamperAlarm)](MeterEntity):
    """An entity of one alarm, on the device of its meter."""

    suffix: ClassVar[str] = ""
    """Tells an alarm's entities apart."""

    def __init__(self, alarm: A) -> None:
        """Belong to an alarm."""
        key = f"{KEY_PREFIX}_{alarm.key}{self.suffix}"
        super().__init__(alarm.meter, key)
        self.alarm: A = alarm
        self._attr_translation_key = key

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
    suffix = "_threshold"
    _attr_available = True

    def __init__(self, alarm: Alarm) -> None:
        """Offer this alarm's threshold."""
        super().__init__(alarm)
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


class HistoryEntity[A: (Alarm, TamperAlarm)](AlarmEntity[A], EventEntity):
    """The verdicts of an alarm, as events."""

    _attr_available = True
    suffix = "_history"

    @override
    async def async_added_to_hass(self) -> None:
        """Note every verdict from now on, and what was said before this entity was there."""
        await super().async_added_to_hass()
        # Not before the entity has a state: a first verdict is to be seen as a change.
        self.async_on_remove(self.hass.loop.call_soon(self._listen).cancel)

    @callback
    def _listen(self) -> None:
        self.async_on_remove(self.alarm.verdicts.listen(self._handle_verdict))

    @callback
    @override
    def _take(self) -> bool:
        return False

    def _handle_verdict(self, verdict: Any) -> None:
        raise NotImplementedError


class AlarmEvent(HistoryEntity[Alarm]):
    """What has been exceeded, and when it was over."""

    _attr_event_types = [EVENT_EXCEEDED, EVENT_CLEARED]

    @callback
    @override
    def _handle_verdict(self, verdict: LimitChange) -> None:
        attributes: dict[str, Any] = {
            "kind": verdict.kind.value,
            "value": round(verdict.value, 3),
            "limit": verdict.threshold,
            "unit": self.alarm.unit,
        }
        if verdict.key is not None:
            attributes["quantity"] = verdict.key
        self._trigger_event(EVENT_EXCEEDED if verdict.exceeded else EVENT_CLEARED, attributes)
        self.async_write_ha_state()
