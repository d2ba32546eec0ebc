"""Setting a messenger up: number and key, proved by a test message."""

from collections.abc import Mapping
from typing import Any

from homeassistant.config_entries import ConfigFlow
from homeassistant.const import CONF_NAME
from homeassistant.helpers.selector import (
    SelectSelector,
    SelectSelectorConfig,
    SelectSelectorMode,
    TextSelector,
    TextSelectorConfig,
    TextSelectorType,
)
import probatio as vol

from ..const import CONF_KEY, CONF_KIND, KIND_MESSENGER
from .callmebot import PATHS, CallMeBotError, Recipient, normalise_phone
from .entry import CONF_MESSENGER, CONF_PHONE, make_sender

# The same steps serve flows whose results differ in type only.
type Result = Any

TEST_MESSAGE = "Home Assistant can write to you now. This is the test message of Energy Meter."
DOCUMENTATION = "https://www.callmebot.com/blog/free-api-whatsapp-messages/"


class MessengerSteps(ConfigFlow):
    """A person's messenger."""

    async def async_step_messenger(self, user_input: dict[str, Any] | None = None) -> Result:
        """Ask for name, messenger, number and key; a test message has to be taken."""
        errors: dict[str, str] = {}
        said = ""
        if user_input is not None:
            data, errors, said = await self._try(user_input)
            if not errors:
                await self.async_set_unique_id(f"{data[CONF_MESSENGER]}_{data[CONF_PHONE]}")
                self._abort_if_unique_id_configured()
                return self.async_create_entry(title=user_input[CONF_NAME], data=data)
        return self._show("messenger", _form(with_name=True), user_input, errors, said)

    async def async_step_messenger_changed(
        self, user_input: dict[str, Any] | None = None
    ) -> Result:
        """Ask again, for a messenger that is set up: another number, or a new key."""
        entry = self._get_reconfigure_entry()
        errors: dict[str, str] = {}
        said = ""
        if user_input is not None:
            data, errors, said = await self._try(user_input)
            if not errors:
                return self.async_update_reload_and_abort(
                    entry,
                    data=data,
                    unique_id=f"{data[CONF_MESSENGER]}_{data[CONF_PHONE]}",
                    reason="messenger_saved",
                )
        filled = user_input or {**entry.data, CONF_KEY: ""}
        return self._show("messenger_changed", _form(with_name=False), filled, errors, said)

    async def _try(
        self, user_input: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, str], str]:
        """The entry's data, what is wrong with it by field, and what the gateway said."""
        try:
            phone = normalise_phone(user_input[CONF_PHONE])
        except ValueError:
            return {}, {CONF_PHONE: "not_a_phone_number"}, ""
        messenger, key = user_input[CONF_MESSENGER], user_input[CONF_KEY].strip()
        data = {
            CONF_KIND: KIND_MESSENGER,
            CONF_MESSENGER: messenger,
            CONF_PHONE: phone,
            CONF_KEY: key,
        }
        sender = make_sender(self.hass, Recipient(messenger=messenger, phone=phone, key=key))
        try:
            await sender.send(TEST_MESSAGE)
        except CallMeBotError as err:
            return data, {"base": f"messenger_{err.reason.value}"}, err.said
        return data, {}, ""

    def _show(
        self,
        step: str,
        schema: vol.Schema,
        filled: Mapping[str, Any] | None,
        errors: dict[str, str],
        said: str,
    ) -> Result:
        return self.async_show_form(
            step_id=step,
            data_schema=self.add_suggested_values_to_schema(schema, filled),
            errors=errors,
            description_placeholders={"documentation": DOCUMENTATION, "said": said or "–"},
        )


def _form(*, with_name: bool) -> vol.Schema:
    fields: dict[Any, Any] = {vol.Required(CONF_NAME): TextSelector()} if with_name else {}
    return vol.Schema(
        {
            **fields,
            vol.Required(CONF_MESSENGER, default=next(iter(PATHS))): SelectSelector(
                SelectSelectorConfig(
                    options=list(PATHS),
                    translation_key=CONF_MESSENGER,
                    mode=SelectSelectorMode.LIST,
                )
            ),
            vol.Required(CONF_PHONE): TextSelector(TextSelectorConfig(type=TextSelectorType.TEL)),
            vol.Required(CONF_KEY): TextSelector(
                TextSelectorConfig(type=TextSelectorType.PASSWORD)
            ),
        }
    )
