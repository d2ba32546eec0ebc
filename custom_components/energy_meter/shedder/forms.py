"""The forms of load shedding."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from homeassistant.const import CONF_NAME, UnitOfElectricPotential, UnitOfPower, UnitOfTime
from homeassistant.data_entry_flow import section
from homeassistant.helpers.selector import (
    BooleanSelector,
    EntitySelector,
    EntitySelectorConfig,
    NumberSelector,
    NumberSelectorConfig,
    NumberSelectorMode,
    SelectOptionDict,
    SelectSelector,
    SelectSelectorConfig,
    SelectSelectorMode,
    TextSelector,
)
import probatio

from ..load_shedding import Phase, Urgency
from .const import (
    CONF_BACK_SCRIPT,
    CONF_DELAY,
    CONF_ENTITY,
    CONF_FOLLOWS,
    CONF_FRESHNESS,
    CONF_HOLD,
    CONF_INVERT,
    CONF_LIMITS,
    CONF_MARGIN,
    CONF_MIN_OFF,
    CONF_MIN_ON,
    CONF_MINIMUM,
    CONF_ORDER,
    CONF_PAUSE,
    CONF_PER_HOUR,
    CONF_PER_PASS,
    CONF_PHASE,
    CONF_POWER,
    CONF_POWER_SENSOR,
    CONF_PROTECTED,
    CONF_REACTION,
    CONF_RESTORABLE,
    CONF_RESTORE_DELAY,
    CONF_SENSOR,
    CONF_STATE_ENTITY,
    CONF_STEP,
    CONF_URGENCY,
    CONF_VALUE,
    CONF_VOLTAGE,
    CONF_WATTS,
    LOAD_DOMAINS,
    PHASE_ALL,
    PHASE_SINGLE,
    SECTION_MORE,
)

_FOLLOWED: Final = ("sensor", "number", "input_number")


def _number(
    least: float, most: float, unit: str | None = None, step: float = 1.0
) -> NumberSelector:
    return NumberSelector(
        NumberSelectorConfig(
            min=least,
            max=most,
            step=step,
            mode=NumberSelectorMode.BOX,
            **({} if unit is None else {"unit_of_measurement": unit}),
        )
    )


_SECONDS: Final = UnitOfTime.SECONDS


def _select(options: Iterable[str], key: str) -> SelectSelector:
    return SelectSelector(
        SelectSelectorConfig(
            options=list(options), translation_key=key, mode=SelectSelectorMode.DROPDOWN
        )
    )


def settings_form() -> probatio.Schema:
    """How careful to be."""
    return probatio.Schema(
        {
            probatio.Required(CONF_MARGIN, default=300): _number(0, 100_000, UnitOfPower.WATT),
            probatio.Required(CONF_RESTORE_DELAY, default=120): _number(5, 3_600, _SECONDS),
            probatio.Required(CONF_HOLD, default=3_600): _number(0, 86_400, _SECONDS),
            probatio.Required(CONF_PER_PASS, default=3): _number(1, 50),
            probatio.Required(CONF_PER_HOUR, default=30): _number(2, 1_000),
            probatio.Required(CONF_VOLTAGE, default=230): _number(
                50, 1_000, UnitOfElectricPotential.VOLT
            ),
        }
    )


def limit_form() -> probatio.Schema:
    """One limit of the supply."""
    return probatio.Schema(
        {
            probatio.Required(CONF_NAME): TextSelector(),
            probatio.Required(CONF_SENSOR): EntitySelector(EntitySelectorConfig(domain="sensor")),
            probatio.Required(CONF_PHASE, default=PHASE_ALL): _select(
                (PHASE_ALL, *Phase), "limit_phase"
            ),
            probatio.Required(CONF_URGENCY, default=Urgency.HARD.value): _select(
                Urgency, "urgency"
            ),
            probatio.Optional(CONF_VALUE): _number(0.1, 1_000_000, step=0.1),
            probatio.Optional(CONF_FOLLOWS): EntitySelector(
                EntitySelectorConfig(domain=list(_FOLLOWED))
            ),
            probatio.Required(SECTION_MORE): section(
                probatio.Schema(
                    {
                        probatio.Required(CONF_DELAY, default=0): _number(0, 3_600, _SECONDS, 0.1),
                        probatio.Required(CONF_FRESHNESS, default=60): _number(2, 3_600, _SECONDS),
                        probatio.Required(CONF_INVERT, default=False): BooleanSelector(),
                    }
                ),
                {"collapsed": True},
            ),
        }
    )


def load_form(limits: Mapping[str, str]) -> probatio.Schema:
    """One load; `limits` are the names of the limits by their ids."""
    more: dict[Any, Any] = {
        probatio.Required(CONF_MIN_ON, default=0): _number(0, 86_400, _SECONDS),
        probatio.Required(CONF_MIN_OFF, default=60): _number(0, 86_400, _SECONDS),
        probatio.Required(CONF_REACTION, default=1): _number(0, 60, _SECONDS, 0.1),
        probatio.Optional(CONF_LIMITS): SelectSelector(
            SelectSelectorConfig(
                options=[
                    SelectOptionDict(value=limit_id, label=name)
                    for limit_id, name in limits.items()
                ],
                multiple=True,
                mode=SelectSelectorMode.LIST,
            )
        ),
    }
    return probatio.Schema(
        {
            probatio.Required(CONF_NAME): TextSelector(),
            probatio.Required(CONF_ENTITY): EntitySelector(
                EntitySelectorConfig(domain=list(LOAD_DOMAINS))
            ),
            probatio.Required(CONF_ORDER, default=10): _number(1, 1_000),
            probatio.Required(CONF_PHASE, default=PHASE_SINGLE): _select(
                (PHASE_SINGLE, *Phase, PHASE_ALL), "load_phase"
            ),
            probatio.Optional(CONF_POWER): _number(1, 1_000_000, UnitOfPower.WATT),
            probatio.Optional(CONF_POWER_SENSOR): EntitySelector(
                EntitySelectorConfig(domain="sensor", device_class="power")
            ),
            probatio.Required(CONF_RESTORABLE, default=True): BooleanSelector(),
            probatio.Required(CONF_PROTECTED, default=False): BooleanSelector(),
            probatio.Required(SECTION_MORE): section(probatio.Schema(more), {"collapsed": True}),
        }
    )


def dimming_form(minimum: float, step: float) -> probatio.Schema:
    """How a load takes more or less; proposed is what its number entity says."""
    return probatio.Schema(
        {
            probatio.Required(CONF_WATTS): _number(0.001, 100_000, UnitOfPower.WATT, 0.001),
            probatio.Required(CONF_MINIMUM, default=minimum): _number(0, 1_000_000, step=0.001),
            probatio.Required(CONF_STEP, default=step): _number(0.001, 1_000_000, step=0.001),
            probatio.Required(CONF_PAUSE, default=False): BooleanSelector(),
        }
    )


def script_form() -> probatio.Schema:
    """What brings a load back that a script has taken away."""
    return probatio.Schema(
        {
            probatio.Optional(CONF_BACK_SCRIPT): EntitySelector(
                EntitySelectorConfig(domain="script")
            ),
            probatio.Optional(CONF_STATE_ENTITY): EntitySelector(
                EntitySelectorConfig(domain=["switch", "input_boolean", "binary_sensor", "light"])
            ),
        }
    )


def flat(user_input: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a form without its section."""
    fields = dict(user_input)
    fields.update(fields.pop(SECTION_MORE, {}))
    return fields


def sectioned(data: Mapping[str, Any], schema: probatio.Schema) -> dict[str, Any]:
    """Stored data as a form with a section has it."""
    top = {str(key) for key in schema.schema}
    more = {key: value for key, value in data.items() if key not in top}
    return {key: value for key, value in data.items() if key in top} | {SECTION_MORE: more}
