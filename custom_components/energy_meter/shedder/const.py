"""What an entry of load shedding and its subentries are made of; powers in W, currents in A, times in s."""

from typing import Final

from ..const import DOMAIN

# The entry itself.
CONF_MARGIN: Final = "margin"
CONF_RESTORE_DELAY: Final = "restore_delay"
CONF_PER_PASS: Final = "per_pass"
CONF_PER_HOUR: Final = "per_hour"
CONF_HOLD: Final = "hold"
CONF_VOLTAGE: Final = "voltage"

# A limit.
CONF_SENSOR: Final = "sensor"
CONF_MEASURE: Final = "measure"
"""`power` or `current`, from the sensor's unit when it was chosen."""
CONF_URGENCY: Final = "urgency"
CONF_VALUE: Final = "value"
CONF_FOLLOWS: Final = "follows"
"""The entity whose value is the limit, instead of a value of its own."""
CONF_PHASE: Final = "phase"
CONF_DELAY: Final = "delay"
CONF_FRESHNESS: Final = "freshness"
CONF_INVERT: Final = "invert"

# A load.
CONF_ENTITY: Final = "entity"
CONF_ORDER: Final = "order"
CONF_POWER: Final = "power"
CONF_POWER_SENSOR: Final = "power_sensor"
CONF_LIMITS: Final = "limits"
CONF_MIN_ON: Final = "min_on"
CONF_MIN_OFF: Final = "min_off"
CONF_RESTORABLE: Final = "restorable"
CONF_PROTECTED: Final = "protected"
CONF_REACTION: Final = "reaction"
CONF_MINIMUM: Final = "minimum"
CONF_STEP: Final = "step"
CONF_WATTS: Final = "watts_per_unit"
CONF_PAUSE: Final = "pause"
"""Whether a dimmable load may be set to 0."""
CONF_BACK_SCRIPT: Final = "back_script"
CONF_STATE_ENTITY: Final = "state_entity"

PHASE_ALL: Final = "all"
PHASE_SINGLE: Final = "single"
SECTION_MORE: Final = "more"

NUMBER_DOMAINS: Final = ("number", "input_number")
SWITCH_DOMAINS: Final = ("switch", "light", "input_boolean")
SCRIPT_DOMAIN: Final = "script"
LOAD_DOMAINS: Final = (
    *SWITCH_DOMAINS,
    "climate",
    "water_heater",
    *NUMBER_DOMAINS,
    SCRIPT_DOMAIN,
)

BOUND_FRESHNESS: Final = 3_600.0
"""Seconds that the value of a followed sensor counts; what somebody sets by hand counts for ever."""

EVENT_SHEDDING: Final = f"{DOMAIN}_load_shedding"
"""Fired with each entry of the log; stands in the logbook as a sentence."""
SHED_LOADS: Final = "shed_loads"
"""Key of the sensor that counts the loads that are off."""
