"""Sensors: every quantity of every meter, and how meters, line and bridge fare."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
import time
from typing import Any, Final, override

from homeassistant.components.sensor import (
    RestoreSensor,
    SensorDeviceClass,
    SensorEntity,
    SensorEntityDescription,
    SensorStateClass,
)
from homeassistant.const import (
    ATTR_UNIT_OF_MEASUREMENT,
    PERCENTAGE,
    SIGNAL_STRENGTH_DECIBELS_MILLIWATT,
    EntityCategory,
    UnitOfInformation,
    UnitOfTime,
)
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback
from homeassistant.helpers.recorder import DATA_INSTANCE, get_instance
from homeassistant.util import dt as dt_util

from .bridge_runtime import BridgeRuntime
from .coordinator import MeterCoordinator
from .entity import LineEntity, MeterEntity
from .i2c_runtime import I2CRuntime
from .metering.change_filter import ChangeFilter
from .model import Counts, Kind, Quantity, Value, Visibility
from .runtime_base import EnergyMeterConfigEntry, EntryRuntime
from .shedder.runtime import ShedderRuntime
from .shedder.sensor import async_add_sensors
from .sources.base import LinkHealth, MeterHealth
from .virtual_meters import async_add_virtual

PARALLEL_UPDATES = 0

COUNTER_DECIMALS: Final = 3
"""A counter is kept to the watt-hour, whatever number of decimals is worth showing."""

CIRCUIT_SHOWN: Final = frozenset({"apparent_power", "reactive_power"})
"""What is on at first for a circuit of a panel, beside what is for any meter."""

_DEVICE_CLASSES: Final[Mapping[Kind, SensorDeviceClass]] = {
    Kind.VOLTAGE: SensorDeviceClass.VOLTAGE,
    Kind.CURRENT: SensorDeviceClass.CURRENT,
    Kind.POWER: SensorDeviceClass.POWER,
    Kind.APPARENT_POWER: SensorDeviceClass.APPARENT_POWER,
    Kind.REACTIVE_POWER: SensorDeviceClass.REACTIVE_POWER,
    Kind.POWER_FACTOR: SensorDeviceClass.POWER_FACTOR,
    Kind.FREQUENCY: SensorDeviceClass.FREQUENCY,
    Kind.ENERGY: SensorDeviceClass.ENERGY,
    Kind.REACTIVE_ENERGY: SensorDeviceClass.REACTIVE_ENERGY,
    Kind.DURATION: SensorDeviceClass.DURATION,
    Kind.TEMPERATURE: SensorDeviceClass.TEMPERATURE,
}
"""Kinds that Home Assistant has a class for; apparent energy, charge, angles and shares have none."""

_COUNTER_CLASSES: Final[Mapping[Counts, SensorStateClass]] = {
    Counts.UP: SensorStateClass.TOTAL_INCREASING,
    Counts.BOTH: SensorStateClass.TOTAL,
    Counts.RESETTABLE: SensorStateClass.TOTAL_INCREASING,
}


def describe(quantity: Quantity, counts: Counts | None) -> SensorEntityDescription:
    """Return how a quantity is presented; `counts` is how this meter's counter moves, if it is one."""
    if counts is not None:
        state_class: SensorStateClass | None = _COUNTER_CLASSES[counts]
    elif quantity.kind is Kind.CODE:
        state_class = None
    else:
        state_class = SensorStateClass.MEASUREMENT
    return SensorEntityDescription(
        key=quantity.key,
        translation_key=quantity.translation_key,
        translation_placeholders=dict(quantity.placeholders),
        device_class=_DEVICE_CLASSES.get(quantity.kind),
        native_unit_of_measurement=quantity.unit,
        state_class=state_class,
        suggested_display_precision=None if quantity.kind is Kind.CODE else quantity.precision,
        entity_category=(
            EntityCategory.DIAGNOSTIC if quantity.visibility is Visibility.DIAGNOSTIC else None
        ),
        entity_registry_enabled_default=quantity.visibility is Visibility.SHOWN,
    )


class QuantitySensor(MeterEntity, RestoreSensor):
    """One measured quantity.

    A counter keeps its last value while the meter is away and over a restart; anything else is
    unavailable as soon as nobody knows it.
    """

    def __init__(self, meter: MeterCoordinator, quantity: Quantity) -> None:
        """Show this quantity of this meter."""
        super().__init__(meter, quantity.key)
        counts = meter.counts(quantity)
        self.entity_description = describe(quantity, counts)
        self._filter: ChangeFilter | None = None
        if meter.shape.circuit:
            self._filter = None if counts is not None else ChangeFilter(quantity.kind)
            if quantity.key in CIRCUIT_SHOWN:
                self._attr_entity_registry_enabled_default = True
        self._keeps = counts is not None
        self._decimals = (
            quantity.precision if counts is None else max(quantity.precision, COUNTER_DECIMALS)
        )

    @override
    async def async_added_to_hass(self) -> None:
        """Take up where it was left, and have the quantity read from now on."""
        await super().async_added_to_hass()
        key = self.entity_description.key
        if self._keeps and (stored := await self.async_get_last_sensor_data()) is not None:
            value = stored.native_value
            if isinstance(value, int | float):
                self.meter.async_restore(key, value)
        if key in self.meter.pipeline.integrated:
            recorded = await self._async_recorded()
            if recorded is not None:
                self.meter.async_recorded(key, recorded)
        self.async_on_remove(self.meter.async_subscribe(key, self._handle_change))
        self._take()

    async def _async_recorded(self) -> float | None:
        """What the recorder has of this entity last, if that is a figure in its own unit."""
        if DATA_INSTANCE not in self.hass.data:
            return None
        from homeassistant.components.recorder.history import get_last_state_changes

        states = await get_instance(self.hass).async_add_executor_job(
            get_last_state_changes, self.hass, 1, self.entity_id
        )
        for state in states.get(self.entity_id, ()):
            unit = state.attributes.get(ATTR_UNIT_OF_MEASUREMENT)
            with suppress(ValueError):
                return float(state.state) if unit == self.native_unit_of_measurement else None
        return None

    @callback
    @override
    def _take(self) -> bool:
        key = self.entity_description.key
        value = self.meter.values.get(key)
        available = self.meter.is_fresh(key) or (self._keeps and value is not None)
        shown = self._rounded(value) if available else None
        if available == self._attr_available:
            if shown == self._attr_native_value:
                return False
            if self._filter is not None and not self._filter.passes(shown, time.monotonic()):
                return False
        elif self._filter is not None:
            self._filter.told(shown, time.monotonic())
        self._attr_available = available
        self._attr_native_value = shown
        return True

    def _rounded(self, value: Value) -> Value:
        return round(value, self._decimals) if isinstance(value, float) else value


@dataclass(frozen=True, kw_only=True)
class MeterHealthDescription(SensorEntityDescription):
    """How one meter fares."""

    value_fn: Callable[[MeterHealth, MeterCoordinator], float | datetime | None]


@dataclass(frozen=True, kw_only=True)
class LineHealthDescription(SensorEntityDescription):
    """How the line fares."""

    value_fn: Callable[[LinkHealth], float | None]


@dataclass(frozen=True, kw_only=True)
class BridgeHealthDescription(SensorEntityDescription):
    """How a bridge fares: what it says itself, and what was counted here."""

    value_fn: Callable[[BridgeRuntime], float | None]
    said: bool = False
    """Whether the bridge says it itself, so that it is not known while that is away."""


def _common(key: str, **more: Any) -> dict[str, Any]:
    """What all health sensors are: diagnostic, and off until somebody looks for a fault."""
    return {
        "key": key,
        "translation_key": key,
        "entity_category": EntityCategory.DIAGNOSTIC,
        "entity_registry_enabled_default": False,
        **more,
    }


def _count(key: str) -> dict[str, Any]:
    return _common(
        key, state_class=SensorStateClass.TOTAL_INCREASING, suggested_display_precision=0
    )


def _seconds(key: str, precision: int) -> dict[str, Any]:
    return _common(
        key,
        device_class=SensorDeviceClass.DURATION,
        native_unit_of_measurement=UnitOfTime.SECONDS,
        state_class=SensorStateClass.MEASUREMENT,
        suggested_display_precision=precision,
    )


def _share(key: str) -> dict[str, Any]:
    return _common(
        key,
        native_unit_of_measurement=PERCENTAGE,
        state_class=SensorStateClass.MEASUREMENT,
        suggested_display_precision=1,
    )


def _percent(share: float | None) -> float | None:
    return None if share is None else round(100 * share, 1)


def _rounded(seconds: float | None, decimals: int) -> float | None:
    return None if seconds is None else round(seconds, decimals)


def _data_age(_health: MeterHealth, meter: MeterCoordinator) -> float | None:
    if meter.last_reading is None:
        return None
    return round((dt_util.utcnow() - meter.last_reading) / timedelta(seconds=1))


METER_HEALTH: Final = (
    MeterHealthDescription(
        **_common("last_reading", device_class=SensorDeviceClass.TIMESTAMP),
        value_fn=lambda _health, meter: (
            meter.last_reading and meter.last_reading.replace(microsecond=0)
        ),
    ),
    MeterHealthDescription(**_seconds("data_age", 0), value_fn=_data_age),
    MeterHealthDescription(
        **_seconds("reading_interval", 1),
        value_fn=lambda health, _meter: _rounded(health.fast_interval, 1),
    ),
    MeterHealthDescription(
        **_seconds("answer_time", 3),
        value_fn=lambda health, _meter: _rounded(health.answer_time, 3),
    ),
    MeterHealthDescription(
        **_share("error_rate"), value_fn=lambda health, _meter: _percent(health.error_rate)
    ),
    MeterHealthDescription(**_count("requests"), value_fn=lambda health, _meter: health.requests),
    MeterHealthDescription(**_count("errors"), value_fn=lambda health, _meter: health.errors),
    MeterHealthDescription(**_count("retries"), value_fn=lambda health, _meter: health.retries),
    MeterHealthDescription(**_count("timeouts"), value_fn=lambda health, _meter: health.timeouts),
)

LINE_HEALTH: Final = (
    LineHealthDescription(**_share("line_load"), value_fn=lambda health: _percent(health.load)),
    LineHealthDescription(**_count("line_requests"), value_fn=lambda health: health.requests),
    LineHealthDescription(**_count("line_errors"), value_fn=lambda health: health.errors),
    LineHealthDescription(**_count("line_retries"), value_fn=lambda health: health.retries),
    LineHealthDescription(**_count("overruns"), value_fn=lambda health: health.overruns),
    LineHealthDescription(**_count("recycled"), value_fn=lambda health: health.recycled),
    LineHealthDescription(
        **_count("foreign_traffic"), value_fn=lambda health: health.foreign_traffic
    ),
)


BRIDGE_METER_HEALTH: Final = tuple(
    each for each in METER_HEALTH if each.key in {"last_reading", "data_age", "reading_interval"}
)
"""What makes sense for a meter that nobody asks: it says everything by itself."""

BUS_HEALTH: Final = tuple(each for each in LINE_HEALTH if each.key != "foreign_traffic")
BUS_METER_HEALTH: Final = tuple(each for each in METER_HEALTH if each.key != "answer_time")
"""What makes sense for monitors on an I²C bus, which are asked as meters on a line are."""

BRIDGE_HEALTH: Final = (
    BridgeHealthDescription(
        **_common(
            "signal_strength",
            device_class=SensorDeviceClass.SIGNAL_STRENGTH,
            native_unit_of_measurement=SIGNAL_STRENGTH_DECIBELS_MILLIWATT,
            state_class=SensorStateClass.MEASUREMENT,
            suggested_display_precision=0,
        ),
        value_fn=lambda runtime: runtime.bridge_health.rssi,
        said=True,
    ),
    BridgeHealthDescription(
        **_seconds("uptime", 0),
        value_fn=lambda runtime: runtime.bridge_health.uptime,
        said=True,
    ),
    BridgeHealthDescription(
        **_common(
            "free_memory",
            device_class=SensorDeviceClass.DATA_SIZE,
            native_unit_of_measurement=UnitOfInformation.BYTES,
            state_class=SensorStateClass.MEASUREMENT,
            suggested_display_precision=0,
        ),
        value_fn=lambda runtime: runtime.bridge_health.free_memory,
        said=True,
    ),
    BridgeHealthDescription(
        **_common(
            "buffered_readings",
            state_class=SensorStateClass.MEASUREMENT,
            suggested_display_precision=0,
        ),
        value_fn=lambda runtime: runtime.bridge_health.buffered,
        said=True,
    ),
    BridgeHealthDescription(
        **_count("dropped_readings"),
        value_fn=lambda runtime: runtime.bridge_health.dropped,
        said=True,
    ),
    BridgeHealthDescription(
        **_count("sensor_line_errors"),
        value_fn=lambda runtime: runtime.bridge_health.errors,
        said=True,
    ),
    BridgeHealthDescription(
        **_count("lost_readings"), value_fn=lambda runtime: runtime.session.counters.lost
    ),
    BridgeHealthDescription(
        **_count("repeated_readings"), value_fn=lambda runtime: runtime.session.counters.repeated
    ),
    BridgeHealthDescription(
        **_count("bad_lines"), value_fn=lambda runtime: runtime.session.counters.bad
    ),
    BridgeHealthDescription(
        **_count("refused_values"), value_fn=lambda runtime: runtime.session.counters.refused
    ),
)


class MeterHealthSensor(MeterEntity, SensorEntity):
    """How one meter fares; looked at now and then, not with every reading."""

    entity_description: MeterHealthDescription
    _attr_available = True

    def __init__(self, meter: MeterCoordinator, description: MeterHealthDescription) -> None:
        """Show this figure of this meter."""
        super().__init__(meter, description.key)
        self.entity_description = description

    @override
    async def async_added_to_hass(self) -> None:
        """Take part in the line's regular look at its health."""
        await super().async_added_to_hass()
        self.async_on_remove(self.meter.async_on_health(self._handle_change))
        self._take()

    @callback
    @override
    def _take(self) -> bool:
        value = self.entity_description.value_fn(self.meter.health, self.meter)
        if value == self._attr_native_value:
            return False
        self._attr_native_value = value
        return True


class LineHealthSensor(LineEntity, SensorEntity):
    """How the line fares."""

    entity_description: LineHealthDescription

    def __init__(self, runtime: EntryRuntime, description: LineHealthDescription) -> None:
        """Show this figure of this line."""
        super().__init__(runtime, description.key)
        self.entity_description = description

    @callback
    @override
    def _take(self) -> bool:
        value = self.entity_description.value_fn(self.runtime.health)
        if value == self._attr_native_value:
            return False
        self._attr_native_value = value
        return True


class BridgeHealthSensor(LineEntity, SensorEntity):
    """How a bridge fares."""

    entity_description: BridgeHealthDescription

    def __init__(self, runtime: BridgeRuntime, description: BridgeHealthDescription) -> None:
        """Show this figure of this bridge."""
        super().__init__(runtime, description.key)
        self.bridge = runtime
        self.entity_description = description

    @callback
    @override
    def _take(self) -> bool:
        available = self.bridge.connected or not self.entity_description.said
        value = self.entity_description.value_fn(self.bridge) if available else None
        if (available, value) == (self._attr_available, self._attr_native_value):
            return False
        self._attr_available = available
        self._attr_native_value = value
        return True


async def async_setup_entry(
    hass: HomeAssistant,
    entry: EnergyMeterConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add the sensors of the line or the bridge, and those of every meter that it has or will have."""
    runtime = entry.runtime_data
    if isinstance(runtime, ShedderRuntime):
        async_add_sensors(runtime, async_add_entities)
        return
    meter_health: tuple[MeterHealthDescription, ...] = METER_HEALTH
    if isinstance(runtime, BridgeRuntime):
        async_add_virtual(hass, runtime, async_add_entities)
    if isinstance(runtime, I2CRuntime):
        meter_health = BUS_METER_HEALTH
        async_add_entities(LineHealthSensor(runtime, each) for each in BUS_HEALTH)
    elif isinstance(runtime, BridgeRuntime):
        meter_health = BRIDGE_METER_HEALTH
        async_add_entities(BridgeHealthSensor(runtime, each) for each in BRIDGE_HEALTH)
    else:
        async_add_entities(LineHealthSensor(runtime, each) for each in LINE_HEALTH)

    @callback
    def add_meter(meter: MeterCoordinator) -> None:
        async_add_entities(
            [
                *(QuantitySensor(meter, quantity) for quantity in meter.quantities),
                *(MeterHealthSensor(meter, description) for description in meter_health),
            ],
            config_subentry_id=meter.subentry_id,
        )

    runtime.async_on_meter(add_meter)
