"""What follows from a meter's role: whose part it is of, and which way round it counts."""

from collections.abc import Mapping
from typing import Any, Final, Protocol

from homeassistant.helpers.selector import SelectOptionDict

from ..const import CONF_IDENTITY, CONF_INSIDE, CONF_PRODUCTION, ROLE_DEVICE
from ..energy_roles import likely_production
from ..model import Value
from .base import Result, SetupFlow
from .configured import all_meters
from .draft import PRODUCING
from .forms import inside_form, production_form

COUNTERS: Final = ("energy_import", "energy_export")
"""Those of what is taken and what is fed back; only who has both has to be asked about."""


class RoleDraft(Protocol):
    """A meter being described, as far as its role is concerned."""

    inside: str | None
    production: str | None

    @property
    def name(self) -> str:
        """How the user calls it."""

    @property
    def role(self) -> str:
        """What it measures."""

    @property
    def identity(self) -> str:
        """What it is known by."""

    @property
    def values(self) -> Mapping[str, Value]:
        """What it shows, by quantity key."""


class RoleSteps(SetupFlow):
    """Ask what a role leaves open."""

    @property
    def draft(self) -> RoleDraft:
        """The meter being described."""
        raise NotImplementedError

    async def async_role_known(self) -> Result:
        """Go on: everything that follows from the role has been asked."""
        raise NotImplementedError

    async def async_ask_role(self, *, both_counters: bool) -> Result:
        """Ask what is left to ask about the meter at hand.

        Args:
            both_counters: whether it counts in both directions.
        """
        if self.draft.role == ROLE_DEVICE and self._others():
            return await self.async_step_inside()
        if self.draft.role in PRODUCING and both_counters:
            return await self.async_step_production()
        return await self.async_role_known()

    async def async_step_inside(self, user_input: dict[str, Any] | None = None) -> Result:
        """Ask which other meter measures this device too."""
        if user_input is not None:
            self.draft.inside = user_input.get(CONF_INSIDE)
            return await self.async_role_known()
        others = self._others()
        known = self.draft.inside in {option["value"] for option in others}
        return self.show(
            "inside",
            inside_form(others),
            filled={CONF_INSIDE: self.draft.inside} if known else None,
            placeholders={"name": self.draft.name},
        )

    async def async_step_production(self, user_input: dict[str, Any] | None = None) -> Result:
        """Ask which counter counts what comes out; it depends on which way round it is wired."""
        draft = self.draft
        if user_input is not None:
            draft.production = user_input[CONF_PRODUCTION]
            return await self.async_role_known()
        likely = draft.production or likely_production(draft.role, draft.values)
        taken, fed = (draft.values.get(key) for key in COUNTERS)
        return self.show(
            "production",
            production_form(likely),
            placeholders={
                "name": draft.name,
                "import": "–" if taken is None else f"{taken:.1f} kWh",
                "export": "–" if fed is None else f"{fed:.1f} kWh",
            },
        )

    def _others(self) -> list[SelectOptionDict]:
        """Every other meter that is set up or about to be."""
        others = {meter.data[CONF_IDENTITY]: meter.title for meter in all_meters(self.hass)}
        others |= {one.identity: one.name for one in self.drafts if one.identity}
        others.pop(self.draft.identity, None)
        return [SelectOptionDict(value=identity, label=name) for identity, name in others.items()]
