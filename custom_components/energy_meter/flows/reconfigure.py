"""Moving a whole line: another port, other settings, another kind of link; its meters stay."""

from dataclasses import replace
from typing import Any

from homeassistant.config_entries import ConfigEntry

from .base import Result
from .configured import RUNNING, configured_meters
from .draft import MeterDraft
from .line import FlowLine
from .link import LinkSteps
from .trial import TrialSteps
from .trouble import Trouble


class ReconfigureLineSteps(LinkSteps, TrialSteps):
    """Ask for the new line, try it, take it or go back to the old one."""

    async def async_step_reconfigure(self, user_input: dict[str, Any] | None = None) -> Result:
        """Ask how the line is connected now."""
        await self.async_prepare()
        self.with_line_settings = True
        return self.async_show_menu(
            step_id="reconfigure", menu_options=["serial", "network", "simulated"]
        )

    async def async_line_moved(self, entry: ConfigEntry, *, anyway: bool) -> Result | Trouble:
        """Take the new line if one of the meters answers there, or if the user says so."""
        old = FlowLine.of_entry(self.hass, entry)
        stopped = await self._async_make_way(entry, old)
        title = entry.title
        try:
            if not anyway and (trouble := await self._async_try_line(entry)):
                return trouble
            if title == self.line_title(old):
                title = self.line_title(self.line)
            self.hass.config_entries.async_update_entry(entry, data=self.line.data, title=title)
        finally:
            # On the new settings if they were taken, else as it was before.
            if stopped:
                await self.hass.config_entries.async_setup(entry.entry_id)
        if not stopped:
            self.async_take_up(entry)
        return self.async_abort(reason="line_moved", description_placeholders={"name": title})

    async def _async_make_way(self, entry: ConfigEntry, old: FlowLine) -> bool:
        """Stop the entry if it holds what the new settings are to be tried on; return whether it did.

        One link cannot serve two settings at once, and many gateways serve one client only. An
        entry that waits to try again counts too: it would do so in the middle.
        """
        if old.place is None or old.place != self.line.place:
            return False
        if entry.state not in RUNNING:
            return False
        return await self.hass.config_entries.async_unload(entry.entry_id)

    async def _async_try_line(self, entry: ConfigEntry) -> Trouble | None:
        """See whether one of the entry's meters answers; without meters, whether the link opens."""
        trouble = await self.line.async_open()
        if trouble is not None:
            return trouble
        for meter in configured_meters(self.hass, entry):
            draft = MeterDraft.from_subentry(meter.subentry)
            trouble = await self._async_try_meter(draft)
            if trouble is None:
                return None
        return trouble

    async def _async_try_meter(self, draft: MeterDraft) -> Trouble | None:
        """See whether this very meter answers."""
        choice = await self.async_choose(draft.profile or "")
        if isinstance(choice, Trouble):
            return replace(choice, field="base")
        expected = draft.serial_number
        return await self.async_read(draft, choice) or self.judge(draft, expected)
