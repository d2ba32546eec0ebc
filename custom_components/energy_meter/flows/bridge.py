"""What the ways of adding a bridge have in common: the menu, listening, what was heard, the entry."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
import re
from typing import Any, Final

from homeassistant.config_entries import (
    SOURCE_RECONFIGURE,
    ConfigEntry,
    ConfigEntryState,
    ConfigFlow,
)
from homeassistant.const import CONF_NAME
from homeassistant.core import callback
from homeassistant.data_entry_flow import AbortFlow
from homeassistant.exceptions import HomeAssistantError

from ..bridge_links import place_of
from ..const import CONF_KIND, CONF_WAY, DOMAIN, KIND_BRIDGE, WAY_HTTP
from ..sources.base import SourceError
from .base import Result, SetupFlow
from .bridge_ear import Heard
from .bridge_forms import heard_form
from .configured import RUNNING, is_bridge
from .forms import FIELD_ANYWAY
from .phrases import Phrases
from .trouble import Trouble
from .values import values_text

_MENU: Final = ("bridge_serial", "bridge_tcp", "bridge_http", "bridge_mqtt", "bridge_i2c")
VALUES_PATIENCE: Final = 4.0
"""Seconds that are waited for values after it is known who is there."""

type Data = dict[str, Any]
type Probe = Callable[[Data], Awaitable[Heard]]
"""Finds out who is at the other end of what an entry's data says; raises one of `PROBE_ERRORS`."""
type Explain = Callable[[Exception, Data], Awaitable[Trouble]]
"""Says what such an exception means to the user."""

_MARKDOWN: Final = re.compile(r"[\\`*_{}\[\]()#+!<>|~&:]")
PROBE_ERRORS: Final = (SourceError, HomeAssistantError, OSError)


class BridgeSteps(SetupFlow, ConfigFlow):
    """The steps around a way in."""

    bridge_data: Data
    """What the entry is going to be made of."""
    heard: Heard
    _bridge_title = ""
    bridge_filled: dict[str, Any] | None = None
    _bridge_trouble: Trouble | None = None
    _hearing: asyncio.Task[Heard] | None = None
    _heard_with: Data | None = None
    """What was heard with."""
    _explain: Explain
    form_step = ""
    """The step whose form was filled in last; what went wrong is shown there."""
    offer_bridge_anyway = False
    """Whether the forms offer to go on although nothing was heard."""

    async def async_step_bridge(self, user_input: dict[str, Any] | None = None) -> Result:
        """Ask how the board reaches Home Assistant."""
        await self.async_prepare_bridge()
        return self.async_show_menu(step_id="bridge", menu_options=list(_MENU))

    async def async_step_bridge_moved(self, user_input: dict[str, Any] | None = None) -> Result:
        """Ask how a board that is set up reaches Home Assistant now."""
        await self.async_prepare_bridge()
        return self.async_show_menu(step_id="bridge_moved", menu_options=list(_MENU))

    async def async_prepare_bridge(self) -> None:
        """Load what the steps need."""
        self.phrases = await Phrases.load(self.hass)
        self.drafts = []

    # The forms of the ways

    @callback
    def present(self, way: str) -> dict[str, Any]:
        """What a form is filled with at first: what was filled in before, or the entry that is changed."""
        if self.bridge_filled is not None:
            return self.bridge_filled
        if self.entry is not None and self.entry.data.get(CONF_WAY) == way:
            return dict(self.entry.data)
        return {}

    @callback
    def async_take_trouble(self) -> Trouble | None:
        """What went wrong with the last try; to be shown once."""
        trouble, self._bridge_trouble = self._bridge_trouble, None
        return trouble

    async def async_listen(
        self, data: Data, user_input: Mapping[str, Any], probe: Probe, explain: Explain
    ) -> Result:
        """Listen to what was filled in, or believe it if the user says so."""
        self._explain = explain
        self.bridge_filled = {**user_input}
        self.bridge_data = {CONF_KIND: KIND_BRIDGE, **data}
        self.abort_if_place_used()
        if self.bridge_filled.pop(FIELD_ANYWAY, False):
            # A board that was heard, but is another one, is this one from now on.
            if self._heard_with != self.bridge_data:
                self.heard = Heard()
            return await self.async_step_bridge_heard()
        self._hearing = self.hass.async_create_task(
            self._async_hear(self.bridge_data, probe), "energy meter bridge"
        )
        # Shown even if it is over already: Home Assistant would hand this step's input to the next.
        return self._show_listening()

    async def _async_hear(self, data: Data, probe: Probe) -> Heard:
        """Try a bridge; what the entry that is being changed holds itself is free meanwhile."""
        entry = self.entry
        stop = (
            entry is not None
            and entry.state in RUNNING
            and entry.data[CONF_WAY] == data[CONF_WAY] != WAY_HTTP
        )
        if not stop:
            return await probe(data)
        assert entry is not None
        await self.hass.config_entries.async_unload(entry.entry_id)
        try:
            return await probe(data)
        finally:
            # Unless it was removed or disabled meanwhile.
            if entry.state is ConfigEntryState.NOT_LOADED and entry in self._own_entries():
                await self.hass.config_entries.async_setup(entry.entry_id)

    def _show_listening(self) -> Result:
        return self.async_show_progress(
            step_id="bridge_listening",
            progress_action="bridge_listening",
            progress_task=self._hearing,
        )

    async def async_step_bridge_listening(self, user_input: dict[str, Any] | None = None) -> Result:
        """Show that it takes some seconds."""
        assert self._hearing is not None
        if not self._hearing.done():
            return self._show_listening()
        try:
            self.heard = self._hearing.result()
            self._heard_with = dict(self.bridge_data)
        except PROBE_ERRORS as err:
            self._bridge_trouble = await self._explain(err, self.bridge_data)
        else:
            self._bridge_trouble = self._other_bridge()
        if self._bridge_trouble is None:
            return self.async_show_progress_done(next_step_id="bridge_heard")
        self.offer_bridge_anyway = True
        return self.async_show_progress_done(next_step_id=self.form_step)

    # What was heard

    def _other_bridge(self) -> Trouble | None:
        """Say that it is not the bridge that is being moved."""
        found = self.heard.bridge
        if self.entry is None or None in (found, self.entry.unique_id):
            return None
        if found == self.entry.unique_id:
            return None
        return Trouble("bridge_other", {"expected": str(self.entry.unique_id), "found": str(found)})

    async def async_step_bridge_heard(self, user_input: dict[str, Any] | None = None) -> Result:
        """Show who is there and what the meters show, and ask for a name."""
        if user_input is not None:
            self._bridge_title = user_input[CONF_NAME].strip() or self._likely_bridge_name()
            return await self.async_bridge_done()
        if self.heard.bridge is not None:
            self.abort_if_bridge_known(self.heard.bridge)
            if self.entry is None:
                await self.async_set_unique_id(self.heard.bridge, raise_on_progress=False)
        return self.show(
            "bridge_heard",
            heard_form(),
            filled={CONF_NAME: self._likely_bridge_name()},
            placeholders={"heard": self.heard_text(self.heard), "notes": self._bridge_notes()},
        )

    def heard_text(self, heard: Heard) -> str:
        """The meters and their present values, as a list."""
        names = (
            {meter.id: meter.name or meter.id for meter in heard.hello.meters}
            if heard.hello
            else {}
        )
        names |= {meter: meter for meter in heard.values if meter not in names}
        return "\n".join(
            f"- **{plain(name)}**: {values_text(heard.values.get(meter, {})) or self.phrases('no_values')}"
            for meter, name in names.items()
        ) or self.phrases("bridge_nothing_yet")

    def _bridge_notes(self) -> str:
        notes = []
        if self.heard.baudrate is not None:
            notes.append(self.phrases("bridge_speed_found", baudrate=self.heard.baudrate))
        hello = self.heard.hello
        if hello is not None and not hello.synthesised:
            about = " ".join(
                part for part in (hello.hardware or hello.kind, hello.firmware) if part
            )
            notes.append(self.phrases("bridge_is", about=plain(about) or "–", bridge=hello.bridge))
        return "\n\n".join(notes)

    def _likely_bridge_name(self) -> str:
        if self.entry is not None:
            return self.entry.title
        hello = self.heard.hello
        return (hello and hello.name) or self.heard.bridge or self.phrases("bridge")

    # The entry

    async def async_bridge_done(self) -> Result:
        """Create the entry, or change the one that is there."""
        if self.source != SOURCE_RECONFIGURE or self.entry is None:
            return self.async_create_entry(title=self._bridge_title, data=self.bridge_data)
        entry = self.entry
        bridge = self.heard.bridge or entry.unique_id
        self.hass.config_entries.async_update_entry(
            entry, data=self.bridge_data, title=self._bridge_title, unique_id=bridge
        )
        self.async_take_up(entry)
        return self.async_abort(
            reason="bridge_changed", description_placeholders={"name": self._bridge_title}
        )

    @callback
    def abort_if_bridge_known(self, bridge: str) -> None:
        """End where another entry is this bridge already."""
        for entry in self._other_entries():
            if entry.unique_id == bridge:
                raise AbortFlow("bridge_already_configured", {"name": entry.title})

    @callback
    def abort_if_place_used(self) -> None:
        """End where another entry is reached at the same place already."""
        for entry in self._other_entries():
            if is_bridge(entry) and place_of(entry.data) == place_of(self.bridge_data):
                raise AbortFlow("bridge_already_configured", {"name": entry.title})

    def _other_entries(self) -> list[ConfigEntry]:
        return [entry for entry in self._own_entries() if entry is not self.entry]

    def _own_entries(self) -> list[ConfigEntry]:
        return self.hass.config_entries.async_entries(
            DOMAIN, include_ignore=False, include_disabled=True
        )


def plain(text: str) -> str:
    """What a bridge says of itself, so that nothing in it is taken for Markdown: no link, no picture."""
    return _MARKDOWN.sub(r"\\\g<0>", " ".join(text.split()))
