"""The kinds of entities that can be loads: how each shows that it is on, and how it is switched."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Final, override

from homeassistant.components.climate.const import ATTR_HVAC_MODES
from homeassistant.components.water_heater import ATTR_OPERATION_LIST
from homeassistant.components.water_heater.const import WaterHeaterEntityFeature
from homeassistant.const import (
    ATTR_ENTITY_ID,
    ATTR_SUPPORTED_FEATURES,
    SERVICE_TURN_OFF,
    SERVICE_TURN_ON,
    STATE_OFF,
    STATE_ON,
    STATE_UNAVAILABLE,
    STATE_UNKNOWN,
)
from homeassistant.core import HomeAssistant, State

from ..load_shedding import AWAY, Act, Measure, Observation
from .const import (
    CONF_BACK_SCRIPT,
    CONF_ENTITY,
    CONF_POWER_SENSOR,
    CONF_STATE_ENTITY,
    NUMBER_DOMAINS,
    SCRIPT_DOMAIN,
)
from .values import number_of, value_of

type Command = tuple[str, str, dict[str, Any]]
"""Domain, action and data of a service call."""

_GONE: Final = (STATE_UNAVAILABLE, STATE_UNKNOWN)


class LoadDevice(ABC):
    """An entity that can be a load."""

    def __init__(self, hass: HomeAssistant, data: Mapping[str, Any]) -> None:
        """Take what the load's subentry says."""
        self.hass = hass
        self.entity_id: str = data[CONF_ENTITY]
        self.power_sensor: str | None = data.get(CONF_POWER_SENSOR)
        self.believed = True
        """Whether it is on, if nothing shows it."""

    @property
    def entities(self) -> frozenset[str]:
        """Whose changes of state concern it."""
        return frozenset({self.entity_id} | ({self.power_sensor} if self.power_sensor else set()))

    def observe(self) -> Observation:
        """How it is found now."""
        state = self.hass.states.get(self.entity_id)
        if state is None or state.state in _GONE:
            return AWAY
        return self._seen(state)

    @abstractmethod
    def _seen(self, state: State) -> Observation:
        """How it is found, if it is there."""

    @abstractmethod
    def command(self, act: Act) -> Command | None:
        """What carries an act out; None: nothing does."""

    def done(self, act: Act) -> None:
        """An act was carried out as far as Home Assistant knows."""
        self.believed = act.on

    def _power(self) -> float | None:
        if self.power_sensor is None:
            return None
        return value_of(self.hass.states.get(self.power_sensor), Measure.POWER)

    def _call(self, domain: str, action: str, **data: Any) -> Command:
        return domain, action, {ATTR_ENTITY_ID: self.entity_id, **data}

    def _on_off(self, domain: str, on: bool) -> Command:
        return self._call(domain, SERVICE_TURN_ON if on else SERVICE_TURN_OFF)


class SwitchDevice(LoadDevice):
    """On and off, and nothing else."""

    @override
    def _seen(self, state: State) -> Observation:
        return Observation(
            available=True,
            on=state.state == STATE_ON,
            power=self._power(),
            since=state.last_changed.timestamp(),
        )

    @override
    def command(self, act: Act) -> Command:
        return self._on_off(self.entity_id.partition(".")[0], act.on)


class _ModeDevice(LoadDevice):
    """Off is one of its modes; it comes back in the one that it had."""

    @override
    def _seen(self, state: State) -> Observation:
        on = state.state != STATE_OFF
        return Observation(
            available=True,
            on=on,
            power=self._power(),
            mode=state.state if on else None,
            since=state.last_changed.timestamp(),
        )


class ClimateDevice(_ModeDevice):
    """A heating or an air conditioner."""

    @override
    def command(self, act: Act) -> Command:
        state = self.hass.states.get(self.entity_id)
        modes = state.attributes.get(ATTR_HVAC_MODES, ()) if state else ()
        mode = (act.mode if act.on else STATE_OFF) or ""
        if mode in modes:
            return self._call("climate", "set_hvac_mode", hvac_mode=mode)
        return self._on_off("climate", act.on)


class WaterHeaterDevice(_ModeDevice):
    """As `ClimateDevice`, in its own words."""

    @override
    def command(self, act: Act) -> Command:
        state = self.hass.states.get(self.entity_id)
        attributes = state.attributes if state else {}
        features = attributes.get(ATTR_SUPPORTED_FEATURES, 0)
        mode = (act.mode if act.on else STATE_OFF) or ""
        if mode in (attributes.get(ATTR_OPERATION_LIST) or ()):
            return self._call("water_heater", "set_operation_mode", operation_mode=mode)
        if features & WaterHeaterEntityFeature.ON_OFF or act.on:
            return self._on_off("water_heater", act.on)
        return self._call("water_heater", "set_operation_mode", operation_mode=STATE_OFF)


class NumberDevice(LoadDevice):
    """Something that takes more or less."""

    @override
    def _seen(self, state: State) -> Observation:
        level = number_of(state)
        if level is None:
            return AWAY
        return Observation(
            available=True,
            on=level > 0,
            level=level,
            power=self._power(),
            since=state.last_changed.timestamp(),
        )

    @override
    def command(self, act: Act) -> Command | None:
        if act.level is None:
            return None
        return self._call(self.entity_id.partition(".")[0], "set_value", value=act.level)


class ScriptDevice(LoadDevice):
    """Two scripts, one for off and one for back; where nothing shows how it stands, it is believed."""

    def __init__(self, hass: HomeAssistant, data: Mapping[str, Any]) -> None:
        """Take what the load's subentry says."""
        super().__init__(hass, data)
        self._back: str | None = data.get(CONF_BACK_SCRIPT)
        self._state: str | None = data.get(CONF_STATE_ENTITY)

    @property
    @override
    def entities(self) -> frozenset[str]:
        return super().entities | ({self._state} if self._state else set())

    @override
    def _seen(self, state: State) -> Observation:
        on, since = self.believed, None
        if self._state is not None:
            shown = self.hass.states.get(self._state)
            if shown is None or shown.state in _GONE:
                return AWAY
            on, since = shown.state == STATE_ON, shown.last_changed.timestamp()
        return Observation(available=True, on=on, power=self._power(), since=since)

    @override
    def command(self, act: Act) -> Command | None:
        script = self._back if act.on else self.entity_id
        return None if script is None else ("script", "turn_on", {ATTR_ENTITY_ID: script})


_KINDS: Final[Mapping[str, type[LoadDevice]]] = {
    "climate": ClimateDevice,
    "water_heater": WaterHeaterDevice,
    SCRIPT_DOMAIN: ScriptDevice,
    **dict.fromkeys(NUMBER_DOMAINS, NumberDevice),
}


def device_of(hass: HomeAssistant, data: Mapping[str, Any]) -> LoadDevice:
    """The load that a subentry is about."""
    return _KINDS.get(data[CONF_ENTITY].partition(".")[0], SwitchDevice)(hass, data)
