"""A key that is refused: by the bridge, or in what the bridge posts."""

from collections.abc import Mapping
from typing import Any

from homeassistant.const import CONF_HOST, CONF_PORT
import probatio

from ..const import CONF_KEY, CONF_WAY, WAY_HTTP
from ..sources.bridge import tcp_probe
from .base import Result
from .bridge import PROBE_ERRORS, Data
from .bridge_forms import key_form
from .bridge_http import BridgeHttpSteps
from .bridge_tcp import BridgeTcpSteps, async_explain_tcp, take_key
from .trouble import Trouble


class BridgeReauthSteps(BridgeTcpSteps, BridgeHttpSteps):
    """Ask for the key of a bridge that connects, show the key of one that posts."""

    async def async_step_reauth(self, entry_data: Mapping[str, Any]) -> Result:
        """Choose by the way in."""
        await self.async_prepare_bridge()
        if entry_data[CONF_WAY] == WAY_HTTP:
            return await self.async_step_reauth_http()
        return await self.async_step_reauth_confirm()

    async def async_step_reauth_confirm(self, user_input: dict[str, Any] | None = None) -> Result:
        """Ask for the key, and try it."""
        entry = self._get_reauth_entry()
        trouble = None
        if user_input is not None:
            data = {**entry.data}
            trouble = take_key(data, user_input) or await self._async_pair(data)
            if trouble is None:
                self.hass.config_entries.async_update_entry(entry, data=data)
                self.async_take_up(entry)
                return self.async_abort(
                    reason="bridge_paired", description_placeholders={"name": entry.title}
                )
        return self.show(
            "reauth_confirm",
            key_form(),
            trouble,
            filled=user_input,
            placeholders={"name": entry.title},
        )

    async def _async_pair(self, data: Data) -> Trouble | None:
        """See whether the bridge lets in who has this key, and is the right one."""
        expected = self._get_reauth_entry().unique_id
        try:
            hello = await tcp_probe(data[CONF_HOST], data[CONF_PORT], data.get(CONF_KEY))
        except PROBE_ERRORS as err:
            return await async_explain_tcp(err, data)
        if expected in (None, hello.bridge):
            return None
        return Trouble("bridge_other", {"expected": str(expected), "found": hello.bridge})

    async def async_step_reauth_http(self, user_input: dict[str, Any] | None = None) -> Result:
        """Show what has to be set at the bridge; nothing changes here."""
        entry = self._get_reauth_entry()
        if user_input is not None:
            return self.async_abort(
                reason="bridge_key_shown", description_placeholders={"name": entry.title}
            )
        return self.show(
            "reauth_http",
            probatio.Schema({}),
            placeholders={"name": entry.title, **self.address_texts(entry.data)},
        )
