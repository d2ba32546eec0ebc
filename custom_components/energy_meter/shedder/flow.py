"""Setting up load shedding: the entry itself, its limits and its loads."""

from typing import Any

from homeassistant.config_entries import SOURCE_RECONFIGURE, ConfigFlow, ConfigSubentryFlow
from homeassistant.const import CONF_NAME
from homeassistant.core import callback

from ..const import CONF_KIND, KIND_LOAD_SHEDDING, SUBENTRY_LIMIT, SUBENTRY_LOAD
from ..load_shedding import PlanError, Urgency
from .const import (
    CONF_DELAY,
    CONF_ENTITY,
    CONF_FOLLOWS,
    CONF_MEASURE,
    CONF_POWER,
    CONF_POWER_SENSOR,
    CONF_SENSOR,
    CONF_URGENCY,
    CONF_VALUE,
    NUMBER_DOMAINS,
    SCRIPT_DOMAIN,
)
from .forms import dimming_form, flat, limit_form, load_form, script_form, sectioned, settings_form
from .plan_data import limit_of, load_of, settings_of
from .values import measure_of

# The same steps serve flows whose results differ in type only.
type Result = Any


class LoadSheddingSteps(ConfigFlow):
    """The entry itself: how careful to be."""

    async def async_step_load_shedding(self, user_input: dict[str, Any] | None = None) -> Result:
        """Ask, and create the entry; limits and loads are added to it then."""
        if user_input is None:
            return self.async_show_form(step_id="load_shedding", data_schema=settings_form())
        settings_of(user_input)
        return self.async_create_entry(
            title="Load shedding", data={CONF_KIND: KIND_LOAD_SHEDDING, **user_input}
        )

    async def async_step_load_shedding_changed(
        self, user_input: dict[str, Any] | None = None
    ) -> Result:
        """Ask again, for an entry that is there."""
        entry = self._get_reconfigure_entry()
        if user_input is None:
            return self.async_show_form(
                step_id="load_shedding_changed",
                data_schema=self.add_suggested_values_to_schema(settings_form(), entry.data),
            )
        return self.async_update_and_abort(
            entry, data={**entry.data, **user_input}, reason="load_shedding_saved"
        )


class _SubentryFlow(ConfigSubentryFlow):
    """What the flows of limits and loads share."""

    data: dict[str, Any]
    name: str

    @property
    def _changes(self) -> bool:
        return self.source == SOURCE_RECONFIGURE

    @callback
    def _known(self) -> dict[str, Any]:
        """What is set up already, for the form."""
        if not self._changes:
            return {}
        subentry = self._get_reconfigure_subentry()
        return {CONF_NAME: subentry.title, **subentry.data}

    @callback
    def _finish(self) -> Result:
        if self._changes:
            return self.async_update_and_abort(
                self._get_entry(), self._get_reconfigure_subentry(), title=self.name, data=self.data
            )
        return self.async_create_entry(title=self.name, data=self.data)


class LimitSubentryFlow(_SubentryFlow):
    """Add a limit, or change one."""

    async def async_step_user(self, user_input: dict[str, Any] | None = None) -> Result:
        """Ask for everything about a limit."""
        return self._ask("user", user_input)

    async def async_step_reconfigure(self, user_input: dict[str, Any] | None = None) -> Result:
        """Ask for everything about a limit that is there."""
        return self._ask("reconfigure", user_input)

    def _ask(self, step_id: str, user_input: dict[str, Any] | None) -> Result:
        errors: dict[str, str] = {}
        schema = limit_form()
        filled = user_input
        if user_input is None:
            filled = sectioned(self._known(), schema) if self._changes else None
        else:
            errors = self._take(flat(user_input))
            if not errors:
                return self._finish()
        if filled is not None:
            schema = self.add_suggested_values_to_schema(schema, filled)
        return self.async_show_form(step_id=step_id, data_schema=schema, errors=errors)

    def _take(self, fields: dict[str, Any]) -> dict[str, str]:
        """Take over what was filled in, or say what is wrong with it."""
        self.name = fields.pop(CONF_NAME).strip()
        if not self.name:
            return {CONF_NAME: "name_missing"}
        measure = measure_of(self.hass.states.get(fields[CONF_SENSOR]))
        if measure is None and self._changes:
            known = self._get_reconfigure_subentry().data
            measure = known[CONF_MEASURE] if known[CONF_SENSOR] == fields[CONF_SENSOR] else None
        if measure is None:
            return {CONF_SENSOR: "not_power_or_current"}
        if (fields.get(CONF_VALUE) is None) == (fields.get(CONF_FOLLOWS) is None):
            return {CONF_VALUE: "value_or_sensor"}
        if fields.get(CONF_FOLLOWS) == fields[CONF_SENSOR]:
            return {CONF_FOLLOWS: "follows_itself"}
        if fields[CONF_URGENCY] == Urgency.HARD and fields[CONF_DELAY] > 2:
            return {"base": "hard_delay"}
        self.data = {key: value for key, value in fields.items() if value is not None}
        self.data[CONF_MEASURE] = str(measure)
        try:
            limit_of("", self.name, self.data)
        except PlanError:
            return {"base": "invalid"}
        return {}


class LoadSubentryFlow(_SubentryFlow):
    """Add a load, or change one."""

    async def async_step_user(self, user_input: dict[str, Any] | None = None) -> Result:
        """Ask for everything that all loads have."""
        return await self._async_ask("user", user_input)

    async def async_step_reconfigure(self, user_input: dict[str, Any] | None = None) -> Result:
        """Ask for everything that all loads have, of one that is there."""
        return await self._async_ask("reconfigure", user_input)

    async def _async_ask(self, step_id: str, user_input: dict[str, Any] | None) -> Result:
        errors: dict[str, str] = {}
        limits = {
            limit.subentry_id: limit.title
            for limit in self._get_entry().get_subentries_of_type(SUBENTRY_LIMIT)
        }
        schema = load_form(limits)
        filled = user_input
        if user_input is None:
            filled = sectioned(self._known(), schema) if self._changes else None
        else:
            errors = self._take(flat(user_input))
            if not errors:
                return await self._async_rest()
        if filled is not None:
            schema = self.add_suggested_values_to_schema(schema, filled)
        return self.async_show_form(step_id=step_id, data_schema=schema, errors=errors)

    def _take(self, fields: dict[str, Any]) -> dict[str, str]:
        """Take over what was filled in, or say what is wrong with it."""
        self.name = fields.pop(CONF_NAME).strip()
        if not self.name:
            return {CONF_NAME: "name_missing"}
        entity_id: str = fields[CONF_ENTITY]
        own = self._get_reconfigure_subentry().subentry_id if self._changes else None
        for other in self._get_entry().get_subentries_of_type(SUBENTRY_LOAD):
            if other.subentry_id != own and other.data[CONF_ENTITY] == entity_id:
                return {CONF_ENTITY: "load_twice"}
        known = fields.get(CONF_POWER) is not None or fields.get(CONF_POWER_SENSOR) is not None
        if not known and entity_id.partition(".")[0] not in NUMBER_DOMAINS:
            return {CONF_POWER: "power_missing"}
        self.data = {key: value for key, value in fields.items() if value is not None}
        return {}

    async def _async_rest(self) -> Result:
        domain = self.data[CONF_ENTITY].partition(".")[0]
        if domain in NUMBER_DOMAINS:
            return await self.async_step_dimming()
        if domain == SCRIPT_DOMAIN:
            return await self.async_step_script()
        return self._finish()

    async def async_step_dimming(self, user_input: dict[str, Any] | None = None) -> Result:
        """Ask how a load takes more or less."""
        errors: dict[str, str] = {}
        if user_input is not None:
            self.data.update(user_input)
            try:
                load_of("", self.name, self.data)
            except PlanError:
                errors["base"] = "invalid"
            else:
                return self._finish()
        state = self.hass.states.get(self.data[CONF_ENTITY])
        attributes = state.attributes if state else {}
        schema = dimming_form(attributes.get("min", 0), attributes.get("step", 1))
        return self.async_show_form(
            step_id="dimming",
            data_schema=self.add_suggested_values_to_schema(schema, user_input or self._known()),
            errors=errors,
        )

    async def async_step_script(self, user_input: dict[str, Any] | None = None) -> Result:
        """Ask what brings a load back."""
        if user_input is not None:
            self.data.update(user_input)
            return self._finish()
        return self.async_show_form(
            step_id="script",
            data_schema=self.add_suggested_values_to_schema(script_form(), self._known()),
        )


SUBENTRY_FLOWS: dict[str, type[ConfigSubentryFlow]] = {
    SUBENTRY_LIMIT: LimitSubentryFlow,
    SUBENTRY_LOAD: LoadSubentryFlow,
}
