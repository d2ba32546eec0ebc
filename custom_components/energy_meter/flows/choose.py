"""The first question of a subentry that is about one of several things of its entry: about which."""

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from homeassistant.config_entries import ConfigEntryState, ConfigSubentryFlow
from homeassistant.helpers.selector import (
    SelectOptionDict,
    SelectSelector,
    SelectSelectorConfig,
    SelectSelectorMode,
)
import probatio as vol

from .base import Result


class ChoosingSubentryFlow[T](ConfigSubentryFlow):
    """A new subentry about a meter, a relay or the like; where there is only one, nobody is asked."""

    field: ClassVar[str]
    """Of the form."""
    nothing: ClassVar[str]
    """Reason to end when the entry has no such thing."""

    def __init__(self) -> None:
        """Begin with nothing chosen."""
        self._chosen: T | None = None

    async def async_step_user(self, user_input: dict[str, Any] | None = None) -> Result:
        """Ask for one, out of those that are left."""
        if self._get_entry().state is not ConfigEntryState.LOADED:
            return self.async_abort(reason="not_running")
        things = self._things()
        if not things:
            return self.async_abort(reason=self.nothing)
        taken = self._taken()
        left = {key: each for key, each in things.items() if key not in taken}
        if not left:
            return self.async_abort(reason="all_set")
        if user_input is not None:
            self._chosen = left.get(user_input[self.field])
        elif len(left) == 1:
            self._chosen = next(iter(left.values()))
        if self._chosen is not None:
            return await self._async_go_on()
        selector = SelectSelector(
            SelectSelectorConfig(
                options=[
                    SelectOptionDict(value=key, label=self._label(each))
                    for key, each in left.items()
                ],
                mode=SelectSelectorMode.LIST,
            )
        )
        return self.async_show_form(
            step_id="user", data_schema=vol.Schema({vol.Required(self.field): selector})
        )

    def _things(self) -> Mapping[str, T]:
        """Everything that there is to choose from, by what it is known by."""
        raise NotImplementedError

    def _taken(self) -> Collection[str]:
        """What has such a subentry already and can have but one."""
        return ()

    def _label(self, thing: T) -> str:
        """How a thing is called."""
        raise NotImplementedError

    async def _async_go_on(self) -> Result:
        """Ask what else is to be known of what was chosen."""
        raise NotImplementedError
