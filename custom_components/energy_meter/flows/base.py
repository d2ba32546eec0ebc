"""What all steps share: the line, the catalogue of models, the meters being described."""

from collections.abc import Mapping, Sequence
from typing import Any

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import callback
from homeassistant.data_entry_flow import FlowHandler
import probatio

from ..const import CONF_PROFILE
from ..sources.modbus.profile import Profile
from ..sources.modbus.profile_loader import ProfileError
from .configured import ConfiguredMeter
from .draft import MeterDraft
from .line import FlowLine
from .models import Models, UnknownModelError
from .phrases import Phrases
from .trouble import Trouble

# The same steps serve config flows and subentry flows, whose results differ in type only.
type Result = Any


class SetupFlow(FlowHandler[Any, Any, Any]):
    """State of a flow that adds or changes meters on one line."""

    line: FlowLine
    models: Models
    phrases: Phrases
    drafts: list[MeterDraft]

    async def async_prepare(self) -> None:
        """Load what the steps need; to be awaited before the first of them."""
        self.models = await Models.load(self.hass)
        self.phrases = await Phrases.load(self.hass)
        self.drafts = []

    @property
    def entry(self) -> ConfigEntry | None:
        """The entry whose line this is; None while there is none."""
        return None

    # What one group of steps leaves to another; every flow has them from somewhere.

    async def async_line_chosen(self, *, anyway: bool) -> Result | Trouble:
        """Go on with `line`, which no other entry has, or say what is wrong with it."""
        raise NotImplementedError

    async def async_describe(self, drafts: Sequence[MeterDraft]) -> Result:
        """Go on with these meters, which all answer on `line`."""
        raise NotImplementedError

    def still_answers(self, meter: ConfiguredMeter) -> bool:
        """Whether a meter that is set up was heard just now where it is set up."""
        return False

    async def async_described(self) -> Result:
        """Go on with `drafts`, of which everything is known."""
        raise NotImplementedError

    async def async_finish(self) -> Result:
        """Save everything and end the flow."""
        raise NotImplementedError

    async def async_choose(self, choice: str) -> Profile | Trouble:
        """The profile that was picked or typed, or what is wrong with the choice."""
        try:
            return await self.models.profile(self.models.resolve(choice))
        except UnknownModelError:
            return Trouble("unknown_model", {"value": choice}, field=CONF_PROFILE)
        except ProfileError as err:
            return Trouble("broken_profile", {"problem": str(err.problems[0])}, field=CONF_PROFILE)

    @callback
    def show(
        self,
        step_id: str,
        schema: probatio.Schema,
        trouble: Trouble | None = None,
        *,
        filled: dict[str, Any] | None = None,
        placeholders: Mapping[str, str] | None = None,
    ) -> Result:
        """A form, with what the user filled in and what was wrong with it."""
        if filled is not None:
            schema = self.add_suggested_values_to_schema(schema, filled)
        return self.async_show_form(
            step_id=step_id,
            data_schema=schema,
            errors={trouble.field: trouble.key} if trouble else {},
            description_placeholders={
                **(placeholders or {}),
                **(trouble.placeholders if trouble else {}),
            },
        )

    @callback
    def async_take_up(self, entry: ConfigEntry) -> None:
        """Have a changed entry take up its changes; a running one listens for them by itself."""
        if not entry.update_listeners:
            self.hass.config_entries.async_schedule_reload(entry.entry_id)

    @callback
    def async_remove(self) -> None:
        """Leave nothing behind, however the flow ended."""
        if hasattr(self, "line"):
            self.hass.async_create_task(self.line.close(), "energy meter flow cleanup")
