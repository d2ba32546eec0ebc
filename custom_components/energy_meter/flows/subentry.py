"""Meters of a line that is set up: adding them, and changing one."""

from typing import Any, override

from homeassistant.config_entries import SOURCE_RECONFIGURE, ConfigEntry, ConfigSubentryFlow
from homeassistant.helpers import device_registry as dr

from ..const import CONF_AREA, CONF_PROFILE, CONF_UNIT_ID, DOMAIN
from .base import Result
from .configured import async_add, async_take_over, find_address
from .draft import MeterDraft
from .forms import FIELD_ANYWAY, flat, meter_form, sectioned
from .known import KnownSteps
from .line import FlowLine
from .meter import as_data, as_input
from .search import SearchSteps
from .summary import SummarySteps
from .trouble import Trouble


class MeterSubentryFlow(SearchSteps, KnownSteps, SummarySteps, ConfigSubentryFlow):
    """Add meters to a line, or change one, while the line goes on."""

    _offer_anyway = False

    @property
    @override
    def entry(self) -> ConfigEntry:
        """The line's entry."""
        return self._get_entry()

    async def async_step_user(self, user_input: dict[str, Any] | None = None) -> Result:
        """Search, or take the user's word."""
        await self.async_prepare()
        self.line = FlowLine.of_entry(self.hass, self.entry)
        return self.async_show_menu(
            step_id="user", menu_options=["search_quick", "search_thorough", "known_meter"]
        )

    async def async_step_reconfigure(self, user_input: dict[str, Any] | None = None) -> Result:
        """Ask for everything about a meter that is set up; its identity stays."""
        trouble = None
        if user_input is None:
            await self.async_prepare()
            self.line = FlowLine.of_entry(self.hass, self.entry)
            self.drafts = [MeterDraft.from_subentry(self._get_reconfigure_subentry())]
            await self._async_show_values()
        else:
            trouble = await self._async_change(flat(user_input))
            if trouble is None:
                return await self.async_after_meter()
            self._offer_anyway = trouble.field == "base"
        choice = await self.async_choose(self.draft.profile or "")
        profile = None if isinstance(choice, Trouble) else choice
        schema = meter_form(
            self.models.options(), profile, with_address=True, anyway=self._offer_anyway
        )
        return self.show(
            "reconfigure",
            schema,
            trouble,
            filled=user_input or sectioned(as_input(self.draft, self.models), schema),
            placeholders={
                "name": self._get_reconfigure_subentry().title,
                **self.describe(self.draft, profile),
            },
        )

    async def _async_show_values(self) -> None:
        """Read the meter for the user to see; that it does not answer just now is no matter."""
        draft = self.draft
        choice = await self.async_choose(draft.profile or "")
        if not isinstance(choice, Trouble):
            expected = draft.serial_number
            await self.async_read(draft, choice)
            draft.serial_number = expected

    async def _async_change(self, fields: dict[str, Any]) -> Trouble | None:
        """Take over what was filled in if the meter answers like that, or the user says so."""
        choice = await self.async_choose(fields[CONF_PROFILE])
        if isinstance(choice, Trouble):
            return choice
        there = find_address(self.hass, self.entry, fields[CONF_UNIT_ID])
        if there and there.subentry.subentry_id != self._reconfigure_subentry_id:
            return Trouble(
                "already_set_up",
                {"unit_id": str(fields[CONF_UNIT_ID]), "name": there.name},
                field=CONF_UNIT_ID,
            )
        before = MeterDraft.from_subentry(self._get_reconfigure_subentry())
        changed = MeterDraft.from_subentry(self._get_reconfigure_subentry())
        changed.take(as_data({**fields, CONF_PROFILE: choice.slug}, choice))
        if (changed.read_as, changed.unit_id) != (before.read_as, before.unit_id):
            trouble = await self.async_read(changed, choice) or self.judge(
                changed, before.serial_number
            )
            if trouble and not fields.get(FIELD_ANYWAY):
                return trouble
            # A meter that was replaced is this meter from now on.
            changed.serial_number = changed.serial_number or before.serial_number
        self.drafts = [changed]
        return None

    @override
    async def async_finish(self) -> Result:
        """Save the meter that was changed, or all that are new."""
        if self.source == SOURCE_RECONFIGURE:
            return self._save(self.drafts[0])
        moved = [(draft.moved, draft) for draft in self.drafts if draft.moved]
        for meter, draft in moved:
            if meter.entry is self.entry:
                self.hass.config_entries.async_update_subentry(
                    self.entry, meter.subentry, data=draft.data()
                )
        moves = [(one, draft.subentry()) for one, draft in moved if one.entry is not self.entry]
        if moves:
            await async_take_over(self.hass, self.entry, moves)
        added = [draft for draft in self.drafts if draft.moved is None]
        for draft in added[:-1]:
            async_add(self.hass, self.entry, draft.subentry())
        self.async_take_up(self.entry)
        if not added:
            return self.async_abort(
                reason="meter_moved",
                description_placeholders={"name": ", ".join(one.name for one in self.drafts)},
            )
        last = added[-1].subentry()
        return self.async_create_entry(
            title=last["title"], data=last["data"], unique_id=last["unique_id"]
        )

    def _save(self, draft: MeterDraft) -> Result:
        subentry = self._get_reconfigure_subentry()
        if draft.area != subentry.data.get(CONF_AREA):
            devices = dr.async_get(self.hass)
            identifier = (DOMAIN, draft.identity)
            if device := devices.async_get_device_by_identifier(identifier, self.entry.entry_id):
                devices.async_update_device(device.id, area_id=draft.area)
        self.hass.config_entries.async_update_subentry(
            self.entry, subentry, title=draft.name, data=draft.data()
        )
        self.async_take_up(self.entry)
        return self.async_abort(
            reason="meter_changed", description_placeholders={"name": draft.name}
        )
