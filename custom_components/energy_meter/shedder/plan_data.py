"""The plan as the configuration has it."""

from collections.abc import Mapping
from typing import Any

from homeassistant.config_entries import ConfigEntry, ConfigSubentry

from ..const import SUBENTRY_LIMIT, SUBENTRY_LOAD
from ..load_shedding import Dimming, Limit, Load, Measure, Phase, Plan, Settings, Urgency
from .const import (
    BOUND_FRESHNESS,
    CONF_DELAY,
    CONF_ENTITY,
    CONF_FOLLOWS,
    CONF_FRESHNESS,
    CONF_HOLD,
    CONF_LIMITS,
    CONF_MARGIN,
    CONF_MEASURE,
    CONF_MIN_OFF,
    CONF_MIN_ON,
    CONF_MINIMUM,
    CONF_ORDER,
    CONF_PAUSE,
    CONF_PER_HOUR,
    CONF_PER_PASS,
    CONF_PHASE,
    CONF_POWER,
    CONF_PROTECTED,
    CONF_REACTION,
    CONF_RESTORABLE,
    CONF_RESTORE_DELAY,
    CONF_STEP,
    CONF_URGENCY,
    CONF_VALUE,
    CONF_VOLTAGE,
    CONF_WATTS,
    NUMBER_DOMAINS,
    PHASE_ALL,
    PHASE_SINGLE,
)


def settings_of(data: Mapping[str, Any]) -> Settings:
    """The settings of an entry."""
    defaults = Settings()
    return Settings(
        margin=float(data.get(CONF_MARGIN, defaults.margin)),
        restore_delay=float(data.get(CONF_RESTORE_DELAY, defaults.restore_delay)),
        per_pass=int(data.get(CONF_PER_PASS, defaults.per_pass)),
        per_hour=int(data.get(CONF_PER_HOUR, defaults.per_hour)),
        hold=float(data.get(CONF_HOLD, defaults.hold)),
        voltage=float(data.get(CONF_VOLTAGE, defaults.voltage)),
    )


def limit_of(limit_id: str, name: str, data: Mapping[str, Any]) -> Limit:
    """The limit of a subentry."""
    follows: str | None = data.get(CONF_FOLLOWS)
    sensor = follows is not None and follows.startswith("sensor.")
    phase = data.get(CONF_PHASE, PHASE_ALL)
    return Limit(
        id=limit_id,
        name=name,
        measure=Measure(data[CONF_MEASURE]),
        value=None if follows is not None else float(data[CONF_VALUE]),
        phase=None if phase == PHASE_ALL else Phase(phase),
        urgency=Urgency(data[CONF_URGENCY]),
        delay=float(data.get(CONF_DELAY, 0)),
        freshness=float(data.get(CONF_FRESHNESS, 60)),
        bound_freshness=BOUND_FRESHNESS if sensor else None,
    )


def load_of(load_id: str, name: str, data: Mapping[str, Any]) -> Load:
    """The load of a subentry."""
    power = data.get(CONF_POWER)
    dimming = None
    if data[CONF_ENTITY].partition(".")[0] in NUMBER_DOMAINS:
        dimming = Dimming(
            minimum=float(data[CONF_MINIMUM]),
            step=float(data[CONF_STEP]),
            watts=float(data[CONF_WATTS]),
            off=0.0 if data.get(CONF_PAUSE) else None,
        )
    return Load(
        id=load_id,
        name=name,
        order=int(data[CONF_ORDER]),
        power=None if power is None else float(power),
        phases=phases_of(data.get(CONF_PHASE, PHASE_SINGLE)),
        limits=frozenset(data.get(CONF_LIMITS, ())),
        min_on=float(data.get(CONF_MIN_ON, 0)),
        min_off=float(data.get(CONF_MIN_OFF, 0)),
        restorable=bool(data.get(CONF_RESTORABLE, True)),
        protected=bool(data.get(CONF_PROTECTED, False)),
        dimming=dimming,
        reaction=float(data.get(CONF_REACTION, 1)),
    )


def phases_of(choice: str) -> frozenset[Phase]:
    """The conductors that a choice means."""
    if choice == PHASE_SINGLE:
        return frozenset()
    return frozenset(Phase) if choice == PHASE_ALL else frozenset({Phase(choice)})


def plan_of(entry: ConfigEntry) -> Plan:
    """Everything that an entry says; loads behind limits that are gone count towards those that are left."""
    limits = tuple(
        limit_of(one.subentry_id, one.title, one.data)
        for one in entry.get_subentries_of_type(SUBENTRY_LIMIT)
    )
    known = {limit.id for limit in limits}
    return Plan(
        limits,
        tuple(
            load_of(
                one.subentry_id,
                one.title,
                {**one.data, CONF_LIMITS: [each for each in _limits(one) if each in known]},
            )
            for one in entry.get_subentries_of_type(SUBENTRY_LOAD)
        ),
        settings_of(entry.data),
    )


def _limits(subentry: ConfigSubentry) -> list[str]:
    return list(subentry.data.get(CONF_LIMITS, ()))
