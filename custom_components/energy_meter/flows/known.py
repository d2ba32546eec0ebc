"""I know my meter: model, then address and line settings, tried live."""

from typing import Any

from ..const import CONF_BAUDRATE, CONF_PROFILE, CONF_UNIT_ID
from ..sources.modbus.link import LinkError, SerialSettings
from ..sources.modbus.profile import Profile
from .base import Result
from .configured import find_address
from .draft import MeterDraft
from .forms import FIELD_ANYWAY, address_form, flat, model_form
from .trial import TrialSteps
from .trouble import Trouble
from .values import quirks_text


class KnownSteps(TrialSteps):
    """Set up one meter without a search."""

    _profile: Profile
    _offer_anyway = False
    """Whether the form offers to add the meter although it was tried in vain."""

    async def async_step_known_meter(self, user_input: dict[str, Any] | None = None) -> Result:
        """Ask for the model."""
        trouble = None
        if user_input is not None:
            choice = await self.async_choose(user_input[CONF_PROFILE])
            if not isinstance(choice, Trouble):
                self._profile = choice
                self._offer_anyway = False
                return await self.async_step_known_address()
            trouble = choice
        return self.show(
            "known_meter", model_form(self.models.options()), trouble, filled=user_input
        )

    async def async_step_known_address(self, user_input: dict[str, Any] | None = None) -> Result:
        """Ask where it answers, and try."""
        trouble = None
        if user_input is not None:
            draft = MeterDraft(unit_id=user_input[CONF_UNIT_ID], profile=self._profile.slug)
            trouble = await self._async_try(draft, flat(user_input))
            if trouble is None:
                draft.proven = draft.read_as
                return await self.async_describe([draft])
        serial = self._profile.serial
        unit_id = serial.unit_id if serial else self._profile.network_unit_id
        return self.show(
            "known_address",
            address_form(await self._async_settings(), anyway=self._offer_anyway),
            trouble,
            filled=user_input or {CONF_UNIT_ID: unit_id or 1},
            placeholders={
                "model": self._profile.name,
                "quirks": quirks_text(self._profile),
            },
        )

    async def _async_settings(self) -> SerialSettings | None:
        """The line settings to begin with, where they are still free to choose."""
        present = (await self.line.link()).serial_settings
        if present is None or self.line.fixed:
            return None
        serial = self._profile.serial
        if serial is None or serial.baudrate is None:
            return present
        return SerialSettings(
            baudrate=serial.baudrate,
            bytesize=serial.bytesize,
            parity=serial.parity,
            stopbits=serial.stopbits,
        )

    async def _async_try(self, draft: MeterDraft, fields: dict[str, Any]) -> Trouble | None:
        """Set the line as filled in and listen to the meter."""
        if self.entry and (there := find_address(self.hass, self.entry, draft.unit_id)):
            return Trouble(
                "already_set_up",
                {"unit_id": str(draft.unit_id), "name": there.name},
                field=CONF_UNIT_ID,
            )
        if CONF_BAUDRATE in fields:
            try:
                settings = SerialSettings.from_data(fields)
            except LinkError as err:
                return Trouble(err.key, err.placeholders)
            self.line.take_settings((await self.line.link()).with_settings(settings))
        trouble = await self.async_try(draft, self._profile)
        if trouble is not None and fields.get(FIELD_ANYWAY):
            return None
        self._offer_anyway = trouble is not None
        return trouble
