"""A bridge that posts to Home Assistant: an address for it, and a key to sign with."""

from collections.abc import Mapping
import json
from typing import Any

from homeassistant.components import webhook
from homeassistant.const import CONF_WEBHOOK_ID
from homeassistant.core import callback
from homeassistant.helpers.network import NoURLAvailableError

from ..bridge_links import link_from_data
from ..bridge_webhook import HEADER_NUMBER, HEADER_SIGNATURE
from ..const import CONF_KEY, CONF_KIND, CONF_LOCAL_ONLY, CONF_WAY, KIND_BRIDGE, WAY_HTTP
from ..sources.bridge.security import new_key, normalise_key
from .base import Result
from .bridge import BridgeSteps
from .bridge_ear import Ear, Heard
from .bridge_forms import FIELD_SIGNED, address_form, http_form
from .forms import FIELD_ANYWAY
from .trouble import Trouble

_EXAMPLE = '{"Voltage": 230.1, "Current": 1.42}'


class BridgeHttpSteps(BridgeSteps):
    """Ask what is demanded of posts, show the address, and hear what is posted there meanwhile."""

    _ear: Ear | None = None

    async def async_step_bridge_http(self, user_input: dict[str, Any] | None = None) -> Result:
        """Ask whether posts are to be signed, and from where they may come."""
        present = self.entry.data if self.entry else {}
        present = present if present.get(CONF_WAY) == WAY_HTTP else {}
        if user_input is None:
            return self.show(
                "bridge_http",
                http_form(
                    signed=not present or CONF_KEY in present,
                    local_only=present.get(CONF_LOCAL_ONLY, True),
                ),
            )
        await self._async_stop_ear()
        self.bridge_data = {
            CONF_KIND: KIND_BRIDGE,
            CONF_WAY: WAY_HTTP,
            CONF_WEBHOOK_ID: present.get(CONF_WEBHOOK_ID) or webhook.async_generate_id(),
            CONF_LOCAL_ONLY: user_input[CONF_LOCAL_ONLY],
        }
        if user_input[FIELD_SIGNED]:
            self.bridge_data[CONF_KEY] = present.get(CONF_KEY) or normalise_key(new_key())
        if not present:
            name = self.phrases("bridge")
            self._ear = Ear(link_from_data(self.hass, self.bridge_data, name))
            await self._ear.start()
        return await self.async_step_bridge_address()

    async def async_step_bridge_address(self, user_input: dict[str, Any] | None = None) -> Result:
        """Show the address until something has been posted there, or the user goes on without."""
        trouble = None
        if user_input is not None:
            # What an entry listens to already has not to be proven again.
            self.heard = self._ear.heard if self._ear else Heard()
            known = self._ear is None or self.heard.hello is not None
            if known or user_input.get(FIELD_ANYWAY):
                return await self.async_step_bridge_heard()
            self.offer_bridge_anyway = True
            trouble = Trouble("bridge_nothing_posted")
        return self.show(
            "bridge_address",
            address_form(anyway=self.offer_bridge_anyway),
            trouble,
            placeholders=self.address_texts(self.bridge_data),
        )

    async def async_bridge_done(self) -> Result:
        """Leave the address to the entry, and finish."""
        await self._async_stop_ear()
        return await super().async_bridge_done()

    def address_texts(self, data: Mapping[str, Any]) -> dict[str, str]:
        """The address, the bridge's configuration and a command to try both."""
        try:
            url = webhook.async_generate_url(
                self.hass,
                data[CONF_WEBHOOK_ID],
                allow_external=not data[CONF_LOCAL_ONLY],
                prefer_external=not data[CONF_LOCAL_ONLY],
            )
        except NoURLAvailableError:
            # Nobody has told Home Assistant how it is called; the user knows.
            path = webhook.async_generate_path(data[CONF_WEBHOOK_ID])
            url = f"http://homeassistant.local:8123{path}"
        key = data.get(CONF_KEY)
        return {
            "url": url,
            "config": json.dumps(bridge_config(url, key), indent=2),
            "curl": curl(url, key),
        }

    @callback
    def async_remove(self) -> None:
        """Leave nothing behind, however the flow ended."""
        super().async_remove()
        if self._ear is not None:
            self.hass.async_create_task(self._async_stop_ear(), "energy meter flow cleanup")

    async def _async_stop_ear(self) -> None:
        ear, self._ear = self._ear, None
        if ear is not None:
            await ear.stop()


def bridge_config(url: str, key: str | None) -> dict[str, Any]:
    """What a bridge's `config.json` has to say to make it post here."""
    http = {"on": True, "url": url, "signed": key is not None}
    return {"http": http} if key is None else {"key": key, "http": http}


def curl(url: str, key: str | None) -> str:
    """A command line that posts a reading; its number is lower than any that a bridge uses."""
    if key is None:
        return f"curl -d '{_EXAMPLE}' {url}"
    return "\n".join(
        (
            f"N=$(date +%s); BODY='{_EXAMPLE}'",
            f"""MAC=$(printf 'post|%s|%s' "$N" "$BODY" | openssl dgst -sha256 -hmac {key} -r | cut -c-64)""",
            f"""curl -d "$BODY" -H "{HEADER_NUMBER}: $N" -H "{HEADER_SIGNATURE}: $MAC" {url}""",
        )
    )
