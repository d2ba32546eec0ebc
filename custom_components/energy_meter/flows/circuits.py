"""The options of a bridge: name, rate and place many of its circuits in one table, with a preview."""

from types import MappingProxyType
from typing import Any, Final

from homeassistant.config_entries import ConfigEntry, ConfigSubentry, OptionsFlow
from homeassistant.core import callback
from homeassistant.helpers.selector import TextSelector, TextSelectorConfig
import probatio

from ..circuit_table import Change, Circuit, Problem, TableError, read_table, write_table
from ..const import (
    CONF_IDENTITY,
    CONF_INSIDE,
    CONF_METER,
    CONF_PHASE,
    CONF_RATED_CURRENT,
    CONF_ROLE,
    ROLE_NONE,
    SUBENTRY_BRIDGE_METER,
)
from .base import Result
from .phrases import Phrases

FIELD_TABLE: Final = "table"
SHOWN_PROBLEMS: Final = 20


class CircuitsFlow(OptionsFlow):
    """Show the table, check what was filled in, show what would change, change it."""

    _text: str | None = None
    _changes: list[Change]
    phrases: Phrases

    async def async_step_init(self, user_input: dict[str, Any] | None = None) -> Result:
        """Show the table, or what is wrong with it."""
        self.phrases = await Phrases.load(self.hass)
        present = circuits_of(self.config_entry)
        if not present:
            return self.async_abort(reason="no_circuits")
        problems = ""
        errors: dict[str, str] = {}
        if user_input is not None:
            self._text = user_input[FIELD_TABLE]
            try:
                self._changes = read_table(self._text, present)
            except TableError as err:
                errors["base"] = "table_problems"
                problems = self._problems_text(err.problems)
            else:
                if not self._changes:
                    return self.async_abort(reason="nothing_changed")
                return await self.async_step_preview()
        schema = probatio.Schema(
            {
                probatio.Required(FIELD_TABLE): TextSelector(TextSelectorConfig(multiline=True)),
            }
        )
        filled = {FIELD_TABLE: self._text if self._text is not None else write_table(present)}
        return self.async_show_form(
            step_id="init",
            data_schema=self.add_suggested_values_to_schema(schema, filled),
            errors=errors,
            description_placeholders={"problems": problems},
        )

    async def async_step_preview(self, user_input: dict[str, Any] | None = None) -> Result:
        """Show what would change; change it when that is confirmed."""
        if user_input is None:
            return self.async_show_form(
                step_id="preview",
                data_schema=probatio.Schema({}),
                description_placeholders={
                    "count": str(len(self._changes)),
                    "changes": self._changes_text(),
                },
                last_step=True,
            )
        self._apply()
        return self.async_create_entry(data=dict(self.config_entry.options))

    def _problems_text(self, problems: tuple[Problem, ...]) -> str:
        lines = []
        for problem in problems[:SHOWN_PROBLEMS]:
            text = self.phrases(problem.key, **problem.values)
            lines.append(
                self.phrases("table_line", line=problem.line, text=text) if problem.line else text
            )
        return "\n".join(f"- {line}" for line in lines)

    def _changes_text(self) -> str:
        names = {each.id: each.name for each in circuits_of(self.config_entry)}
        names |= {change.after.id: change.after.name for change in self._changes}
        return "\n".join(
            f"- **{change.before.name}**: {', '.join(self._said(change, names))}"
            for change in self._changes
        )

    def _said(self, change: Change, names: dict[str, str]) -> list[str]:
        before, after = change.before, change.after
        said = []
        if before.name != after.name:
            said.append(f"→ **{after.name}**")
        if before.rating != after.rating:
            said.append("– A" if after.rating is None else f"{after.rating:g} A")
        if before.phase != after.phase:
            said.append((after.phase or "–").upper())
        if before.role != after.role:
            said.append(self.phrases.role(after.role))
        if before.inside != after.inside:
            outer = names.get(after.inside, "–") if after.inside else "–"
            said.append(self.phrases("table_inside", name=outer))
        return said

    @callback
    def _apply(self) -> None:
        entry = self.config_entry
        subentries = {one.data[CONF_METER]: one for one in _meters(entry)}
        identities = {meter: one.data[CONF_IDENTITY] for meter, one in subentries.items()}
        for change in self._changes:
            subentry = subentries.get(change.after.id)
            if subentry is None:
                continue  # Removed while the table was being filled in.
            after = change.after
            data = dict(subentry.data)
            for key, value in (
                (CONF_RATED_CURRENT, after.rating),
                (CONF_PHASE, after.phase),
                (CONF_ROLE, after.role),
                (CONF_INSIDE, identities.get(after.inside) if after.inside else None),
            ):
                if value is None:
                    data.pop(key, None)
                else:
                    data[key] = value
            self.hass.config_entries.async_update_subentry(
                entry, subentry, title=after.name, data=MappingProxyType(data)
            )


def _meters(entry: ConfigEntry) -> list[ConfigSubentry]:
    return list(entry.get_subentries_of_type(SUBENTRY_BRIDGE_METER))


@callback
def circuits_of(entry: ConfigEntry) -> list[Circuit]:
    """The meters of a bridge as rows of the table, by where they hang."""
    by_identity = {one.data[CONF_IDENTITY]: one.data[CONF_METER] for one in _meters(entry)}
    runtime = getattr(entry, "runtime_data", None)
    hello = getattr(runtime, "hello", None)
    places = {
        meter.id: " ".join(part for part in (meter.segment, meter.address) if part)
        for meter in (hello.meters if hello else ())
    }
    circuits = [
        Circuit(
            id=one.data[CONF_METER],
            name=one.title,
            rating=one.data.get(CONF_RATED_CURRENT),
            phase=one.data.get(CONF_PHASE),
            role=one.data.get(CONF_ROLE, ROLE_NONE),
            inside=by_identity.get(one.data.get(CONF_INSIDE, "")),
            address=places.get(one.data[CONF_METER], ""),
        )
        for one in _meters(entry)
    ]
    return sorted(circuits, key=lambda each: (each.address, each.name))
