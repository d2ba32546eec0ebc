"""Searching a line for meters, and choosing among those found."""

import asyncio
from collections.abc import Iterable
from typing import Any, Final, override

from homeassistant.core import callback
from homeassistant.helpers.selector import SelectOptionDict

from ..sources.modbus.discovery import (
    Finding,
    FoundMeter,
    SearchProgress,
    SearchResult,
    Stage,
    plan_search,
    search,
)
from ..sources.modbus.identify import Certainty
from ..sources.modbus.link import LinkSettings
from .base import Result, SetupFlow
from .configured import ConfiguredMeter, find_address
from .draft import MeterDraft
from .forms import FIELD_METERS, FIELD_SEARCH_MORE, found_form
from .trouble import LINE_ERRORS, Trouble, async_trouble
from .values import values_text

_BAR_EVERY: Final = 0.2
_TEXT_EVERY: Final = 1.0
"""Seconds; the frontend fetches the whole step for every new text."""


class SearchSteps(SetupFlow):
    """Search, watch it, choose."""

    _task: asyncio.Task[SearchResult] | None = None
    _progress: dict[str, str]
    _found: dict[tuple[LinkSettings, int], FoundMeter]
    _findings: frozenset[Finding] = frozenset()
    _tried: dict[LinkSettings, None]
    _failure: Trouble | None = None
    _thorough = False
    _bar_at = 0.0
    _text_at = 0.0

    @override
    async def async_prepare(self) -> None:
        """Begin with nothing found."""
        await super().async_prepare()
        self._found = {}

    async def async_step_search_quick(self, user_input: dict[str, Any] | None = None) -> Result:
        """Search until meters are found."""
        return await self._async_search(thorough=False)

    async def async_step_search_thorough(self, user_input: dict[str, Any] | None = None) -> Result:
        """Search everything."""
        return await self._async_search(thorough=True)

    async def _async_search(self, *, thorough: bool) -> Result:
        self._tried = {}
        self._thorough = thorough
        link = await self.line.link()
        self._progress = self._progress_text(
            SearchProgress(
                fraction=0, seconds_left=0, stage=Stage.LIKELY, link=link, unit_id=1, found=()
            )
        )
        self._task = self.hass.async_create_task(
            self._async_run(link, thorough), "energy meter search"
        )
        # Shown even if it is over already: Home Assistant would hand this step's input to the next.
        return self._show_progress()

    async def _async_run(self, link: LinkSettings, thorough: bool) -> SearchResult:
        profiles = await self.models.profiles()
        plan = plan_search(link, profiles, fixed=self.line.fixed, thorough=thorough)
        return await search(plan, self.line.channel, profiles, self._on_progress)

    @callback
    def _on_progress(self, progress: SearchProgress) -> None:
        self._tried[progress.link] = None
        now = self.hass.loop.time()
        if now - self._bar_at >= _BAR_EVERY:
            self._bar_at = now
            self.async_update_progress(progress.fraction)
        if now - self._text_at >= _TEXT_EVERY:
            self._text_at = now
            self._progress = self._progress_text(progress)
            self.async_notify_flow_changed()

    def _progress_text(self, progress: SearchProgress) -> dict[str, str]:
        found = {one.unit_id: one for one in (*self._found.values(), *progress.found)}
        return {
            "settings": self._settings(progress.link),
            "unit_id": str(progress.unit_id),
            "seconds": str(round(progress.seconds_left)),
            "found": _bullets(self._label(one, self.phrases("meter")) for one in found.values())
            or self.phrases("nothing_yet"),
        }

    async def async_step_searching(self, user_input: dict[str, Any] | None = None) -> Result:
        """Show how the search gets on."""
        assert self._task is not None
        if not self._task.done():
            return self._show_progress()
        try:
            result = self._task.result()
        except LINE_ERRORS as err:
            self._failure = await async_trouble(self.hass, err, await self.line.link())
            return self.async_show_progress_done(next_step_id="search_failed")
        self._findings = result.findings
        self._found |= {(one.link, one.unit_id): one for one in result.found}
        return self.async_show_progress_done(next_step_id="found" if self._new else "nothing_found")

    def _show_progress(self) -> Result:
        return self.async_show_progress(
            step_id="searching",
            progress_action="search",
            description_placeholders=self._progress,
            progress_task=self._task,
        )

    async def async_step_search_failed(self, user_input: dict[str, Any] | None = None) -> Result:
        """Say why the line could not be searched."""
        assert self._failure is not None
        return self.async_show_menu(
            step_id="search_failed",
            menu_options=["search_thorough" if self._thorough else "search_quick", "known_meter"],
            description_placeholders={
                "reason": self.phrases.error(self._failure.key, self._failure.placeholders)
            },
        )

    async def async_step_nothing_found(self, user_input: dict[str, Any] | None = None) -> Result:
        """Say what to check."""
        again = ["search_quick"] if self._thorough else ["search_thorough", "search_quick"]
        return self.async_show_menu(
            step_id="nothing_found",
            menu_options=[*again, "known_meter"],
            description_placeholders={
                "tried": ", ".join(self._settings(link) for link in self._tried),
                "notes": self._notes(),
            },
        )

    async def async_step_found(self, user_input: dict[str, Any] | None = None) -> Result:
        """Let the user tick."""
        trouble = None
        if user_input is not None:
            if user_input.get(FIELD_SEARCH_MORE):
                return await self._async_search(thorough=True)
            ticked = [self._new[int(index)] for index in user_input[FIELD_METERS]]
            links = {one.link for one in ticked}
            if len(links) == 1:
                self.line.take_settings(links.pop())
                return await self.async_describe([self._draft(one) for one in ticked])
            trouble = Trouble("mixed_settings" if links else "nothing_ticked")
        options = [
            SelectOptionDict(value=str(index), label=self._label(one))
            for index, one in enumerate(self._new)
        ]
        ticked_first = [
            str(index)
            for index, one in enumerate(self._new)
            if one.clear and one.link == self._new[0].link
        ]
        return self.show(
            "found",
            found_form(options, ticked_first, more=not self._thorough),
            trouble,
            filled=user_input,
            placeholders={"notes": self._notes()},
        )

    @property
    def _new(self) -> list[FoundMeter]:
        """What was found and is not set up on this line, settings with clear answers first."""
        new = [
            one
            for one in self._found.values()
            if self.entry is None or find_address(self.hass, self.entry, one.unit_id) is None
        ]
        return sorted(new, key=lambda one: not one.clear)

    @override
    def still_answers(self, meter: ConfiguredMeter) -> bool:
        """Whether the search heard it on this line."""
        return (
            self.entry is not None
            and meter.entry.entry_id == self.entry.entry_id
            and any(one.unit_id == meter.unit_id for one in self._found.values())
        )

    def _settings(self, link: LinkSettings) -> str:
        """Where is being searched, and how, for people."""
        if self.line.settings is None:
            return self.phrases("simulated_line")
        settings = link.serial_settings
        return link.describe() if settings is None else settings.describe()

    def _label(self, found: FoundMeter, unknown: str | None = None) -> str:
        """One found meter for people: model, address, settings, serial number, live values."""
        best = found.best
        parts = [
            self.phrases(
                "found_meter",
                model=best.name if best else unknown or self.phrases("unknown_meter"),
                unit_id=found.unit_id,
            )
        ]
        if best is not None:
            if best.certainty is not Certainty.CERTAIN:
                parts[0] += f" ({self.phrases('guess')})"
            if best.serial_number:
                parts.append(self.phrases("serial_number", serial_number=best.serial_number))
            if text := values_text(best.values):
                parts.append(text)
        if found.link.serial_settings is not None:
            parts.append(found.link.serial_settings.describe())
        return " · ".join(parts)

    def _notes(self) -> str:
        """What else there is to say: meters that are set up already, and what the search noticed."""
        notes = [self.phrases(finding.value) for finding in sorted(self._findings)]
        for one in self._found.values():
            if self.entry and (meter := find_address(self.hass, self.entry, one.unit_id)):
                notes.append(self.phrases("already_set_up", unit_id=one.unit_id, name=meter.name))
            elif not one.clear:
                notes.append(self.phrases("unclear", unit_id=one.unit_id))
        return _bullets(notes)

    def _draft(self, found: FoundMeter) -> MeterDraft:
        draft = MeterDraft(
            unit_id=found.unit_id, candidates=tuple(one.slug for one in found.candidates)
        )
        best = found.best
        if best is not None and best.certainty is not Certainty.POSSIBLE:
            draft.profile = best.slug
            draft.serial_number = best.serial_number
            draft.word_order = best.word_order
            draft.base_address = best.base_address
            draft.values = best.values
            draft.proven = draft.read_as
        return draft


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
