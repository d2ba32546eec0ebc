"""Setting an alarm: on which meter, what is watched, and from where on it counts; or one on tampering."""

from collections.abc import Iterator, Mapping
from typing import Any, override

from homeassistant.helpers.selector import (
    BooleanSelector,
    NumberSelector,
    NumberSelectorConfig,
    NumberSelectorMode,
    SelectSelector,
    SelectSelectorConfig,
    SelectSelectorMode,
)
import probatio as vol

from ..blueprint_links import import_links
from ..const import CONF_IDENTITY, CONF_RATED_CURRENT, CONF_ROLE, ROLE_DEVICE
from ..coordinator import MeterCoordinator
from ..flows.base import Result
from ..flows.choose import ChoosingSubentryFlow
from ..metering.limits import RULES, Limit, LimitKind, possible_kinds, suggestion
from .data import (
    CONF_DELAY_OFF,
    CONF_DELAY_ON,
    CONF_HYSTERESIS,
    CONF_LIMIT_KIND,
    CONF_ONE_WAY,
    CONF_THRESHOLD,
    KIND_TAMPER,
    SUBENTRY_ALARM,
    alarm_id,
    data_of,
    limit_of,
    tamper_data_of,
)

LONGEST_DELAY = 86_400


class AlarmSubentryFlow(ChoosingSubentryFlow[MeterCoordinator]):
    """A new alarm, or another threshold for one that is set."""

    field = CONF_IDENTITY
    nothing = "no_meters"

    def __init__(self) -> None:
        """Begin with nothing chosen."""
        super().__init__()
        self._kind = LimitKind.OVER_POWER

    @override
    def _things(self) -> Mapping[str, MeterCoordinator]:
        return {meter.identity: meter for meter in self._get_entry().runtime_data.meters.values()}

    @override
    def _label(self, thing: MeterCoordinator) -> str:
        return thing.name

    @override
    async def _async_go_on(self) -> Result:
        return await self.async_step_kind()

    async def async_step_kind(self, user_input: dict[str, Any] | None = None) -> Result:
        """Ask what is to be watched, out of what the meter shows and is not watched yet."""
        if user_input is not None and user_input[CONF_LIMIT_KIND] == KIND_TAMPER:
            return await self.async_step_tamper()
        if user_input is not None:
            self._kind = LimitKind(user_input[CONF_LIMIT_KIND])
            return await self.async_step_limit()
        kinds = list(self._free_kinds())
        if not kinds:
            return self.async_abort(reason="all_set", description_placeholders={"name": self._name})
        selector = SelectSelector(
            SelectSelectorConfig(
                options=kinds,
                translation_key=CONF_LIMIT_KIND,
                mode=SelectSelectorMode.LIST,
            )
        )
        return self.async_show_form(
            step_id="kind",
            data_schema=vol.Schema({vol.Required(CONF_LIMIT_KIND): selector}),
            description_placeholders={"name": self._name},
        )

    async def async_step_limit(self, user_input: dict[str, Any] | None = None) -> Result:
        """Ask for threshold, hysteresis and delays; all are filled in sensibly."""
        assert self._chosen is not None
        if user_input is not None:
            identity = self._chosen.identity
            limit = limit_of({CONF_LIMIT_KIND: self._kind, **user_input})
            title = self._title()
            return self.async_create_entry(
                title=title,
                data=data_of(identity, limit),
                unique_id=alarm_id(identity, self._kind),
            )
        return self._show("limit", self._suggested())

    async def async_step_reconfigure(self, user_input: dict[str, Any] | None = None) -> Result:
        """Ask for another threshold, hysteresis or delay."""
        subentry = self._get_reconfigure_subentry()
        if subentry.data[CONF_LIMIT_KIND] == KIND_TAMPER:
            return await self.async_step_change_tamper()
        limit = limit_of(subentry.data)
        self._kind = limit.kind
        if user_input is not None:
            changed = limit_of({CONF_LIMIT_KIND: self._kind, **user_input})
            return self.async_update_and_abort(
                self._get_entry(),
                subentry,
                data=data_of(subentry.data[CONF_IDENTITY], changed),
            )
        return self._show("reconfigure", limit, name=subentry.title)

    async def async_step_tamper(self, user_input: dict[str, Any] | None = None) -> Result:
        """Ask the one thing that only the user knows: whether power may flow out here."""
        assert self._chosen is not None
        identity = self._chosen.identity
        if user_input is not None:
            return self.async_create_entry(
                title=f"{self._name}: tampering",
                data=tamper_data_of(identity, one_way=user_input[CONF_ONE_WAY]),
                unique_id=alarm_id(identity, KIND_TAMPER),
            )
        one_way = self._chosen.subentry.data.get(CONF_ROLE) == ROLE_DEVICE
        return self._show_tamper("tamper", one_way, self._name)

    async def async_step_change_tamper(self, user_input: dict[str, Any] | None = None) -> Result:
        """Ask it again."""
        subentry = self._get_reconfigure_subentry()
        if user_input is not None:
            return self.async_update_and_abort(
                self._get_entry(),
                subentry,
                data=tamper_data_of(subentry.data[CONF_IDENTITY], one_way=user_input[CONF_ONE_WAY]),
            )
        return self._show_tamper("change_tamper", subentry.data[CONF_ONE_WAY], subentry.title)

    def _show_tamper(self, step: str, one_way: bool, name: str) -> Result:
        schema = vol.Schema({vol.Required(CONF_ONE_WAY, default=one_way): BooleanSelector()})
        return self.async_show_form(
            step_id=step, data_schema=schema, description_placeholders={"name": name}
        )

    def _show(self, step: str, limit: Limit, name: str | None = None) -> Result:
        rule = RULES[limit.kind]
        schema = vol.Schema(
            {
                vol.Required(CONF_THRESHOLD, default=limit.threshold): _number(
                    rule.minimum, rule.maximum, rule.step, rule.unit
                ),
                vol.Required(CONF_HYSTERESIS, default=limit.hysteresis): _number(
                    0, rule.maximum, "any", rule.unit
                ),
                vol.Required(CONF_DELAY_ON, default=limit.delay_on): _number(
                    0, LONGEST_DELAY, 1, "s"
                ),
                vol.Required(CONF_DELAY_OFF, default=limit.delay_off): _number(
                    0, LONGEST_DELAY, 1, "s"
                ),
            }
        )
        return self.async_show_form(
            step_id=step,
            data_schema=schema,
            description_placeholders={"name": name or self._name, **import_links()},
        )

    @property
    def _name(self) -> str:
        return self._chosen.name if self._chosen is not None else ""

    def _title(self) -> str:
        """The meter's name and what is watched, in English: subentries have no translated titles."""
        return f"{self._name}: {self._kind.value.replace('_', ' ')}"

    def _free_kinds(self) -> Iterator[str]:
        assert self._chosen is not None
        taken = {
            subentry.unique_id
            for subentry in self._get_entry().get_subentries_of_type(SUBENTRY_ALARM)
        }
        meter = self._chosen
        for kind in (
            *possible_kinds(meter.pipeline.provided, phases=meter.shape.phases),
            KIND_TAMPER,
        ):
            if alarm_id(meter.identity, kind) not in taken:
                yield str(kind)

    def _suggested(self) -> Limit:
        meter = self._chosen
        assert meter is not None

        def fresh(*keys: str) -> float | None:
            return next(
                (
                    value
                    for key in keys
                    if meter.is_fresh(key) and (value := meter.values.get(key)) is not None
                ),
                None,
            )

        rated: float | None = meter.subentry.data.get(CONF_RATED_CURRENT)
        return Limit.suggested(
            self._kind,
            suggestion(
                self._kind,
                rated_current=rated,
                phases=meter.shape.phases,
                voltage=fresh("voltage_l1", "voltage"),
                frequency=fresh("frequency"),
            ),
        )


def _number(minimum: float, maximum: float, step: Any, unit: str | None) -> NumberSelector:
    config = NumberSelectorConfig(min=minimum, max=maximum, step=step, mode=NumberSelectorMode.BOX)
    if unit is not None:
        config["unit_of_measurement"] = unit
    return NumberSelector(config)
