"""The forms of the flows: schemas, and how their input becomes flat fields."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from homeassistant.const import (
    CONF_DEVICE,
    CONF_HOST,
    CONF_NAME,
    CONF_PORT,
    CONF_PROTOCOL,
    CONF_VERIFY_SSL,
    UnitOfElectricCurrent,
    UnitOfTime,
)
from homeassistant.data_entry_flow import section
from homeassistant.helpers.selector import (
    AreaSelector,
    BooleanSelector,
    NumberSelector,
    NumberSelectorConfig,
    NumberSelectorMode,
    SelectOptionDict,
    SelectSelector,
    SelectSelectorConfig,
    SelectSelectorMode,
    SerialPortSelector,
    TextSelector,
)
import probatio

from ..const import (
    CONF_AREA,
    CONF_BASE_ADDRESS,
    CONF_BAUDRATE,
    CONF_BYTESIZE,
    CONF_COUNTER_INTERVAL,
    CONF_ENERGY_DASHBOARD,
    CONF_FAST_INTERVAL,
    CONF_INSIDE,
    CONF_INVERT,
    CONF_PARITY,
    CONF_PRODUCTION,
    CONF_PROFILE,
    CONF_RATED_CURRENT,
    CONF_ROLE,
    CONF_SLOW_INTERVAL,
    CONF_STOPBITS,
    CONF_UNIT_ID,
    CONF_VARIANT,
    CONF_WORD_ORDER,
    PRODUCTION_EXPORT,
    PRODUCTION_IMPORT,
    ROLES,
)
from ..sources.modbus.link import (
    BAUDRATES,
    BYTESIZES,
    DEFAULT_BAUDRATE,
    PARITIES,
    STOPBITS,
    TLS_FILES,
    SerialSettings,
    Transport,
)
from ..sources.modbus.profile import Profile

SECTION_ADVANCED: Final = "advanced"
SECTION_LINE: Final = "line"

FIELD_METERS: Final = "meters"
FIELD_SEARCH_MORE: Final = "search_more"
FIELD_ANYWAY: Final = "anyway"

# What a choice stands for where a form cannot say None.
AS_PROFILE: Final = "profile"

NETWORK_TRANSPORTS: Final = (
    Transport.TCP,
    Transport.RTU_OVER_TCP,
    Transport.UDP,
    Transport.TLS,
)


def flat(user_input: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a form without its sections."""
    fields: dict[str, Any] = {}
    for key, value in user_input.items():
        if key in (SECTION_ADVANCED, SECTION_LINE):
            fields |= value
        else:
            fields[key] = value
    return fields


def sectioned(fields: Mapping[str, Any], schema: probatio.Schema) -> dict[str, Any]:
    """Flat fields in the shape of a form, to prefill it; fields that the form lacks are left out."""
    shaped: dict[str, Any] = {}
    for key, value in schema.schema.items():
        if isinstance(value, section):
            shaped[str(key)] = sectioned(fields, value.schema)
        elif fields.get(str(key)) is not None:
            shaped[str(key)] = fields[str(key)]
    return shaped


def serial_form(*, with_settings: bool, anyway: bool) -> probatio.Schema:
    """A serial port; the line settings only where nothing else finds them out."""
    fields: dict[Any, Any] = {probatio.Required(CONF_DEVICE): SerialPortSelector()}
    if with_settings:
        fields[probatio.Required(SECTION_LINE)] = _line_section(SerialSettings())
    return probatio.Schema(fields | _anyway_field(anyway))


def network_form(*, anyway: bool) -> probatio.Schema:
    """A host and how Modbus is spoken there; without a port it is the protocol's usual one."""
    fields: dict[Any, Any] = {
        probatio.Required(CONF_HOST): TextSelector(),
        probatio.Required(CONF_PROTOCOL, default=Transport.TCP.value): choice(
            [transport.value for transport in NETWORK_TRANSPORTS],
            CONF_PROTOCOL,
            SelectSelectorMode.LIST,
        ),
        probatio.Optional(CONF_PORT): whole_number(1, 65535),
        probatio.Required(SECTION_ADVANCED): section(
            probatio.Schema(
                {
                    probatio.Required(CONF_BAUDRATE, default=str(DEFAULT_BAUDRATE)): choice(
                        [str(baudrate) for baudrate in BAUDRATES], custom=True
                    ),
                    probatio.Required(CONF_VERIFY_SSL, default=True): BooleanSelector(),
                    **{probatio.Optional(field): TextSelector() for field in TLS_FILES},
                }
            ),
            {"collapsed": True},
        ),
    }
    return probatio.Schema(fields | _anyway_field(anyway))


def found_form(
    options: Iterable[SelectOptionDict], ticked: Iterable[str], *, more: bool
) -> probatio.Schema:
    """The meters that a search found; `more` offers to try the settings not tried yet."""
    choices = list(options)
    fields: dict[Any, Any] = {
        probatio.Optional(FIELD_METERS, default=list(ticked)): SelectSelector(
            SelectSelectorConfig(options=choices, multiple=True, mode=SelectSelectorMode.LIST)
        )
    }
    if more:
        fields[probatio.Optional(FIELD_SEARCH_MORE, default=False)] = BooleanSelector()
    return probatio.Schema(fields)


def model_form(models: Iterable[SelectOptionDict]) -> probatio.Schema:
    """One model out of all; what is typed may also be a model's name, see `models.resolve`."""
    return probatio.Schema({probatio.Required(CONF_PROFILE): model_picker(models)})


def address_form(settings: SerialSettings | None, *, anyway: bool) -> probatio.Schema:
    """Where a known meter answers: its unit id and, where they are free, the line settings."""
    fields: dict[Any, Any] = {probatio.Required(CONF_UNIT_ID, default=1): whole_number(1, 247)}
    if settings is not None:
        fields[probatio.Required(SECTION_LINE)] = _line_section(settings)
    return probatio.Schema(fields | _anyway_field(anyway))


def meter_form(
    models: Iterable[SelectOptionDict],
    profile: Profile | None,
    *,
    with_address: bool = False,
    anyway: bool = False,
) -> probatio.Schema:
    """Everything about one meter; what depends on the model follows `profile`."""
    fields: dict[Any, Any] = {
        probatio.Required(CONF_NAME): TextSelector(),
        probatio.Required(CONF_PROFILE): model_picker(models),
    }
    if with_address:
        fields[probatio.Required(CONF_UNIT_ID)] = whole_number(1, 247)
    fields |= {
        probatio.Required(CONF_ROLE): choice(list(ROLES), CONF_ROLE),
        probatio.Optional(CONF_AREA): AreaSelector(),
        probatio.Optional(CONF_RATED_CURRENT): number(
            0.1, 10_000, UnitOfElectricCurrent.AMPERE, step="any"
        ),
        probatio.Required(SECTION_ADVANCED): section(
            probatio.Schema(_advanced_fields(profile)), {"collapsed": True}
        ),
    }
    return probatio.Schema(fields | _anyway_field(anyway))


def inside_form(meters: Iterable[SelectOptionDict]) -> probatio.Schema:
    """Which other meter measures a device's consumption too; empty for none."""
    return probatio.Schema(
        {
            probatio.Optional(CONF_INSIDE): SelectSelector(
                SelectSelectorConfig(options=list(meters), mode=SelectSelectorMode.DROPDOWN)
            )
        }
    )


def production_form(likely: str) -> probatio.Schema:
    """Which counter of a solar or battery meter counts what comes out."""
    return probatio.Schema(
        {
            probatio.Required(CONF_PRODUCTION, default=likely): choice(
                [PRODUCTION_IMPORT, PRODUCTION_EXPORT], CONF_PRODUCTION, SelectSelectorMode.LIST
            )
        }
    )


def summary_form() -> probatio.Schema:
    """Whether the Energy dashboard is to be filled in."""
    return probatio.Schema(
        {probatio.Required(CONF_ENERGY_DASHBOARD, default=True): BooleanSelector()}
    )


def model_picker(models: Iterable[SelectOptionDict]) -> SelectSelector:
    """A picker that can be searched; the frontend searches only where free text is allowed too."""
    return SelectSelector(
        SelectSelectorConfig(
            options=list(models), mode=SelectSelectorMode.DROPDOWN, custom_value=True
        )
    )


def _anyway_field(anyway: bool) -> dict[Any, Any]:
    """Go on although the try failed; offered only once it has."""
    return {probatio.Optional(FIELD_ANYWAY, default=False): BooleanSelector()} if anyway else {}


def _advanced_fields(profile: Profile | None) -> dict[Any, Any]:
    fields: dict[Any, Any] = {
        probatio.Required(key): number(0, 3600, UnitOfTime.SECONDS, step="any")
        for key in (CONF_FAST_INTERVAL, CONF_COUNTER_INTERVAL, CONF_SLOW_INTERVAL)
    }
    fields[probatio.Required(CONF_INVERT, default=False)] = BooleanSelector()
    fields[probatio.Required(CONF_WORD_ORDER, default=AS_PROFILE)] = choice(
        [AS_PROFILE, "big", "little"], CONF_WORD_ORDER
    )
    if profile is not None and profile.variants:
        fields[probatio.Required(CONF_VARIANT, default=AS_PROFILE)] = SelectSelector(
            SelectSelectorConfig(
                options=[
                    SelectOptionDict(value=AS_PROFILE, label=profile.name),
                    *(
                        SelectOptionDict(value=variant.key, label=variant.description)
                        for variant in profile.variants
                    ),
                ],
                mode=SelectSelectorMode.DROPDOWN,
            )
        )
    if profile is not None and profile.relocatable:
        fields[probatio.Optional(CONF_BASE_ADDRESS)] = whole_number(0, 65535)
    return fields


def _line_section(settings: SerialSettings) -> section:
    return section(
        probatio.Schema(
            {
                probatio.Required(CONF_BAUDRATE, default=str(settings.baudrate)): choice(
                    [str(baudrate) for baudrate in BAUDRATES], custom=True
                ),
                probatio.Required(CONF_PARITY, default=settings.parity.lower()): choice(
                    [parity.lower() for parity in PARITIES], CONF_PARITY
                ),
                probatio.Required(CONF_STOPBITS, default=str(settings.stopbits)): choice(
                    [str(stopbits) for stopbits in STOPBITS]
                ),
                probatio.Required(CONF_BYTESIZE, default=str(settings.bytesize)): choice(
                    [str(bytesize) for bytesize in BYTESIZES]
                ),
            }
        ),
        {"collapsed": False},
    )


def choice(
    options: list[str],
    translation_key: str | None = None,
    mode: SelectSelectorMode = SelectSelectorMode.DROPDOWN,
    *,
    custom: bool = False,
) -> SelectSelector:
    """A choice of one; the options' texts are those of a selector in the translations, if given."""
    config = SelectSelectorConfig(options=options, mode=mode, custom_value=custom)
    if translation_key is not None:
        config["translation_key"] = translation_key
    return SelectSelector(config)


def number(
    minimum: float, maximum: float, unit: str | None = None, *, step: float | str = 1
) -> NumberSelector:
    """A number to type."""
    config = NumberSelectorConfig(min=minimum, max=maximum, mode=NumberSelectorMode.BOX)
    config["step"] = step  # type: ignore[typeddict-item]
    if unit is not None:
        config["unit_of_measurement"] = unit
    return NumberSelector(config)


def whole_number(minimum: int, maximum: int) -> probatio.All[Any]:
    """A whole number to type, as an integer."""
    return probatio.All(number(minimum, maximum), probatio.Coerce(int))
