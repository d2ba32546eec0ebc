"""Setting up a Modbus line with its meters: the configuration flow's way from its menu to the entry."""

from typing import Any, override

from homeassistant.config_entries import ConfigFlow, ConfigFlowResult

from .base import Result
from .configured import async_take_over
from .draft import MeterDraft
from .known import KnownSteps
from .link import LinkSteps
from .search import SearchSteps
from .summary import SummarySteps
from .trouble import Trouble


class NewLineSteps(LinkSteps, SearchSteps, KnownSteps, SummarySteps, ConfigFlow):
    """Line, meters, summary, entry."""

    async def async_step_modbus(self, user_input: dict[str, Any] | None = None) -> Result:
        """Ask how the meters are connected."""
        await self.async_prepare()
        return self.async_show_menu(
            step_id="modbus", menu_options=["serial", "network", "simulated"]
        )

    async def async_line_found(self) -> Result | Trouble:
        """Open the line once, then ask for the meters."""
        return await self.line.async_open() or await self.async_step_meters()

    async def async_step_meters(self, user_input: dict[str, Any] | None = None) -> Result:
        """Search, or take the user's word."""
        return self.async_show_menu(
            step_id="meters", menu_options=["search_quick", "search_thorough", "known_meter"]
        )

    @override
    async def async_finish(self) -> Result:
        """Create the entry with all of its meters."""
        return self.async_create_entry(
            title=self.line_title(self.line),
            data=self.line.data,
            subentries=[draft.subentry() for draft in self.drafts if draft.moved is None],
        )

    @override
    async def async_on_create_entry(self, result: ConfigFlowResult) -> ConfigFlowResult:
        """Take the meters over that were moved here."""
        drafts: list[MeterDraft] = getattr(self, "drafts", [])  # Load shedding has no meters.
        moves = [(draft.moved, draft.subentry()) for draft in drafts if draft.moved]
        if moves:
            await async_take_over(self.hass, result["result"], moves)
        return result
