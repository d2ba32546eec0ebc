"""Trying a meter live: whether it answers, and whether it is what it is said to be."""

import asyncio
from contextlib import suppress
from typing import Final

from ..sources.modbus.identify import Certainty, identify, proof
from ..sources.modbus.probe import ProbeChannel, Question, Sign, look
from ..sources.modbus.profile import Profile
from ..sources.modbus.reader import MeterLost
from .base import SetupFlow
from .draft import MeterDraft
from .trouble import LINE_ERRORS, Trouble, async_trouble
from .values import values_text

_ANSWER: Final = 1.0
"""Seconds for one answer; more than any meter needs that is there."""
_SECOND_OPINION: Final = 10.0
"""Seconds at most for finding out what a meter is, where the user has said so already."""


class TrialSteps(SetupFlow):
    """What the steps that describe meters ask of the line."""

    async def async_read(self, draft: MeterDraft, profile: Profile) -> Trouble | None:
        """Read a meter's live values and serial number into its draft, or say why that failed."""
        link = await self.line.link()
        draft.values = {}
        try:
            async with self.line.channel(link) as channel:
                await _listen(channel, draft.unit_id)
                if profile.relocatable and not draft.base_address:
                    fitting = await identify(channel, draft.unit_id, [profile], timeout=_ANSWER)
                    draft.base_address = fitting[0].base_address if fitting else 0
                shown = await proof(
                    channel,
                    draft.unit_id,
                    profile,
                    word_order=draft.word_order,
                    variant=draft.variant,
                    base_address=draft.base_address,
                    timeout=_ANSWER,
                )
        except LINE_ERRORS as err:
            return await async_trouble(self.hass, err, link)
        draft.values = shown.values
        draft.plausible = shown.plausible
        draft.serial_number = shown.serial_number
        return None

    async def async_try(self, draft: MeterDraft, profile: Profile) -> Trouble | None:
        """Read a meter and say what speaks against its being what its draft says."""
        if trouble := await self.async_read(draft, profile):
            return trouble
        if other := await self._async_other_model(draft):
            return Trouble("wrong_model", {"found": other})
        return self.judge(draft, None)

    def judge(self, draft: MeterDraft, expected: str | None) -> Trouble | None:
        """Say what speaks against a meter that was read: another serial number, or nonsense."""
        if expected and draft.serial_number and draft.serial_number != expected:
            return Trouble("other_meter", {"expected": expected, "found": draft.serial_number})
        if not draft.plausible:
            live = values_text(draft.values) or self.phrases("no_values")
            return Trouble("wrong_values", {"live": live})
        return None

    async def _async_other_model(self, draft: MeterDraft) -> str | None:
        """The model that a meter is certain to be, if that is another than its draft's."""
        link = await self.line.link()
        profiles = await self.models.profiles()
        with suppress(*LINE_ERRORS):
            async with asyncio.timeout(_SECOND_OPINION), self.line.channel(link) as channel:
                candidates = await identify(channel, draft.unit_id, profiles, timeout=_ANSWER)
                best = candidates[0] if candidates else None
                if best and best.certainty is Certainty.CERTAIN and best.slug != draft.profile:
                    return best.name
        return None


async def _listen(channel: ProbeChannel, unit_id: int) -> None:
    """Make sure that somebody is there, before values are waited for one after the other.

    Raises:
        MeterLost: nobody is.
    """
    for question in Question:
        sighting = await look(channel, unit_id, question, _ANSWER)
        if sighting.sign is not Sign.NOTHING:
            return
    raise MeterLost(unit_id)
