"""Describing each meter: model with live values as proof, name, role, place."""

from collections.abc import Mapping, Sequence
from typing import Any, override

from homeassistant.const import CONF_NAME

from ..const import CONF_PROFILE, CONF_VARIANT, CONF_WORD_ORDER
from ..sources.modbus.profile import Profile
from .base import Result
from .configured import all_meters, find_identity
from .draft import MeterDraft, identity_of
from .forms import AS_PROFILE, flat, meter_form, sectioned
from .models import Models
from .role import COUNTERS, RoleSteps
from .trial import TrialSteps
from .values import quirks_text, values_text


class MeterSteps(RoleSteps, TrialSteps):
    """Go through the drafts one by one."""

    drafts: list[MeterDraft]
    _place = 0
    _filled: dict[str, Any] | None = None
    """What the user filled in for the meter at hand."""

    async def async_describe(self, drafts: Sequence[MeterDraft]) -> Result:
        """Describe these meters."""
        self.drafts = list(drafts)
        self._place = 0
        for draft in self.drafts:
            await self._async_identify(draft)
            draft.name = self._free_name(draft)
        return await self._async_next()

    @property
    @override
    def draft(self) -> MeterDraft:
        """The meter being described."""
        return self.drafts[self._place]

    async def _async_next(self) -> Result:
        self._filled = None
        if self._place == len(self.drafts):
            return await self.async_described()
        if self.draft.moved is not None:
            return await self.async_step_moved()
        return await self.async_step_meter()

    async def _async_identify(self, draft: MeterDraft) -> None:
        """Give the meter its identity; one that is set up with that identity may have been moved."""
        if draft.profile is None or draft.identity:
            return
        profile = await self.models.profile(draft.profile)
        draft.identity = identity_of(profile.manufacturer, draft.serial_number)
        draft.moved = find_identity(self.hass, draft.identity)
        twins = [other for other in self.drafts if other.identity == draft.identity]
        if len(twins) > 1 or (draft.moved and self.still_answers(draft.moved)):
            # Some makers give all of their meters one serial number.
            draft.identity, draft.moved = identity_of(profile.manufacturer, None), None

    async def async_step_moved(self, user_input: dict[str, Any] | None = None) -> Result:
        """Offer to take a meter's settings, entities and history along."""
        draft, moved = self.draft, self.draft.moved
        assert moved is not None and draft.profile is not None
        return self.async_show_menu(
            step_id="moved",
            menu_options=["move", "as_new"],
            description_placeholders={
                "name": moved.name,
                "line": moved.entry.title,
                "unit_id": str(moved.unit_id),
                "new_unit_id": str(draft.unit_id),
                "model": self.models.name(draft.profile),
                "serial": draft.serial_number or "",
            },
        )

    async def async_step_move(self, user_input: dict[str, Any] | None = None) -> Result:
        """Take it along: nothing else is asked."""
        moved = self.draft.moved
        assert moved is not None
        draft = MeterDraft.from_subentry(moved.subentry)
        draft.unit_id, draft.moved = self.draft.unit_id, moved
        self.drafts[self._place] = draft
        return await self._async_done()

    async def async_step_as_new(self, user_input: dict[str, Any] | None = None) -> Result:
        """Another meter with the same serial number."""
        self.draft.moved = None
        self.draft.identity = identity_of("", None)
        if self._filled is not None:
            return await self.async_after_meter()
        return await self.async_step_meter()

    async def async_step_meter(self, user_input: dict[str, Any] | None = None) -> Result:
        """Ask for everything about one meter."""
        trouble = None
        draft = self.draft
        if user_input is not None:
            self._filled = user_input
            fields = flat(user_input)
            choice = await self.async_choose(fields[CONF_PROFILE])
            if isinstance(choice, Profile):
                draft.take(as_data(fields, choice))
                if draft.proven != draft.read_as:
                    return await self.async_step_proof()
                return await self.async_after_meter()
            trouble = choice
        profile = await self.models.profile(draft.profile) if draft.profile else None
        schema = meter_form(self.models.options(draft.candidates), profile)
        return self.show(
            "meter",
            schema,
            trouble,
            filled=self._filled or sectioned(as_input(draft, self.models), schema),
            placeholders={
                "number": str(self._place + 1),
                "total": str(len(self.drafts)),
                **self.describe(draft, profile),
            },
        )

    def _free_name(self, draft: MeterDraft) -> str:
        """A name that no other meter has."""
        if draft.profile is None:
            return f"{self.phrases('meter')} {draft.unit_id}"
        taken = {meter.title for meter in all_meters(self.hass)}
        name = self.models.name(draft.profile)
        alike = [other for other in self.drafts if other.profile == draft.profile]
        return f"{name} {draft.unit_id}" if name in taken or len(alike) > 1 else name

    def describe(self, draft: MeterDraft, profile: Profile | None) -> dict[str, str]:
        """What the texts of a step about a meter are filled in with."""
        where = [self.phrases("at_address", unit_id=draft.unit_id)]
        if draft.serial_number:
            where.append(self.phrases("serial_number", serial_number=draft.serial_number))
        return {
            "model": profile.name if profile else self.phrases("unknown_meter"),
            "where": " · ".join(where),
            "live": values_text(draft.values) or self.phrases("no_values"),
            "quirks": quirks_text(profile),
        }

    async def async_step_proof(self, user_input: dict[str, Any] | None = None) -> Result:
        """Read the meter as the chosen model and show what that gives."""
        draft = self.draft
        assert draft.profile is not None
        profile = await self.models.profile(draft.profile)
        trouble = await self.async_read(draft, profile)
        described = self.describe(draft, profile)
        if trouble is None:
            return self.async_show_menu(
                step_id="proof",
                menu_options=["proof_accept", "proof", "meter"],
                description_placeholders=described,
            )
        reason = self.phrases.error(trouble.key, trouble.placeholders)
        return self.async_show_menu(
            step_id="proof_failed",
            menu_options=["proof", "proof_accept", "meter"],
            description_placeholders={**described, "reason": reason},
        )

    # A menu is itself a step to Home Assistant.
    async_step_proof_failed = async_step_proof

    async def async_step_proof_accept(self, user_input: dict[str, Any] | None = None) -> Result:
        """The values make sense, or the user knows better."""
        self.draft.proven = self.draft.read_as
        return await self.async_after_meter()

    async def async_after_meter(self) -> Result:
        """Ask what is left to ask about a meter that is described, and go on to the next."""
        await self._async_identify(self.draft)
        if self.draft.moved is not None:
            return await self.async_step_moved()
        profile = await self.models.profile(self.draft.profile) if self.draft.profile else None
        both = profile is not None and all(profile.register(key) for key in COUNTERS)
        return await self.async_ask_role(both_counters=both)

    @override
    async def async_role_known(self) -> Result:
        """Go on to the next meter."""
        return await self._async_done()

    async def _async_done(self) -> Result:
        self._place += 1
        return await self._async_next()


def as_input(draft: MeterDraft, models: Models) -> dict[str, Any]:
    """A meter as the form's pickers spell it."""
    spelled = {
        CONF_NAME: draft.name,
        CONF_VARIANT: AS_PROFILE,
        CONF_WORD_ORDER: AS_PROFILE,
        **draft.data(),
    }
    if draft.profile is not None:
        spelled[CONF_PROFILE] = models.choice(draft.profile)
    return spelled


def as_data(fields: Mapping[str, Any], profile: Profile) -> dict[str, Any]:
    """The form's fields as a draft has them; a variant that the chosen model lacks is none."""
    data = {**fields, CONF_PROFILE: profile.slug}
    if data[CONF_WORD_ORDER] == AS_PROFILE:
        data[CONF_WORD_ORDER] = None
    variants = {variant.key for variant in profile.variants}
    data[CONF_VARIANT] = data.get(CONF_VARIANT) if data.get(CONF_VARIANT) in variants else None
    return data
