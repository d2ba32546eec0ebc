"""Switches of load shedding: the thing itself, and the rehearsal."""

from typing import Any, Final, override

from homeassistant.components.switch import SwitchEntity
from homeassistant.core import callback

from .entity import ShedderEntity
from .runtime import ShedderRuntime

ENABLED: Final = "load_shedding"
DRY_RUN: Final = "dry_run"
SHEDDER_SWITCHES: Final = (ENABLED, DRY_RUN)


class EnableSwitch(ShedderEntity, SwitchEntity):
    """Load shedding on or off; off, it gives back what it took."""

    _attr_translation_key = ENABLED

    def __init__(self, runtime: ShedderRuntime) -> None:
        """Show whether it is on."""
        super().__init__(runtime, ENABLED)

    @callback
    @override
    def _take(self) -> bool:
        before, self._attr_is_on = self._attr_is_on, self.runtime.controller.memory.enabled
        return before != self._attr_is_on

    @override
    async def async_turn_on(self, **kwargs: Any) -> None:
        """Switch load shedding on."""
        self.runtime.async_enable(True)

    @override
    async def async_turn_off(self, **kwargs: Any) -> None:
        """Switch load shedding off."""
        self.runtime.async_enable(False)


class DryRunSwitch(ShedderEntity, SwitchEntity):
    """Only say what would be done."""

    _attr_translation_key = DRY_RUN

    def __init__(self, runtime: ShedderRuntime) -> None:
        """Show whether it is only said."""
        super().__init__(runtime, DRY_RUN)

    @callback
    @override
    def _take(self) -> bool:
        before, self._attr_is_on = self._attr_is_on, self.runtime.controller.memory.rehearsal
        return before != self._attr_is_on

    @override
    async def async_turn_on(self, **kwargs: Any) -> None:
        """Only say it from now on."""
        self.runtime.async_rehearse(True)

    @override
    async def async_turn_off(self, **kwargs: Any) -> None:
        """Do it from now on."""
        self.runtime.async_rehearse(False)
