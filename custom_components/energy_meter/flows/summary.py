"""The end of every flow that sets up meters: what will be added to the Energy dashboard, then saving."""

from collections.abc import Iterable
from typing import Any, override

from ..const import CONF_ENERGY_DASHBOARD
from ..energy_dashboard import DashboardMeter, planned_changes
from ..energy_roles import Obstacle
from ..metering import MeterPipeline
from .base import Result, SetupFlow
from .draft import MeterDraft
from .forms import summary_form
from .meter import MeterSteps
from .trouble import Trouble


class DashboardSteps(SetupFlow):
    """Show what the dashboard gets, and ask whether it shall."""

    _changes = ""
    _wanted = True

    async def async_dashboard_chosen(self, wanted: bool) -> Result:
        """Take the user's word and finish."""
        raise NotImplementedError

    async def async_summarise(self, meters: Iterable[DashboardMeter], *, wanted: bool) -> Result:
        """Show what these meters will add to the dashboard; finish where that is nothing.

        Args:
            meters: what is set up or changed.
            wanted: what is ticked at first, and holds where nothing is asked.
        """
        changes = await planned_changes(self.hass, meters)
        if all(change.obstacle is Obstacle.NO_DASHBOARD for change in changes):
            return await self.async_dashboard_chosen(wanted)
        self._changes = "\n".join(f"- {change.words(self.phrases)}" for change in changes)
        self._wanted = wanted
        return await self.async_step_summary()

    async def async_step_summary(self, user_input: dict[str, Any] | None = None) -> Result:
        """Ask whether the dashboard is to be filled in."""
        if user_input is not None:
            return await self.async_dashboard_chosen(user_input[CONF_ENERGY_DASHBOARD])
        return self.show(
            "summary",
            summary_form(),
            filled={CONF_ENERGY_DASHBOARD: self._wanted},
            placeholders={"changes": self._changes},
        )


class SummarySteps(DashboardSteps, MeterSteps):
    """The same for the meters of a Modbus line."""

    @override
    async def async_described(self) -> Result:
        """Show the summary of all meters that were described."""
        meters = [meter for draft in self.drafts if (meter := await self._async_meter(draft))]
        wanted = all(draft.energy_dashboard for draft in self.drafts)
        return await self.async_summarise(meters, wanted=wanted)

    @override
    async def async_dashboard_chosen(self, wanted: bool) -> Result:
        """Remember it for the meters that are new; a moved one keeps what was said of it."""
        if self._changes:
            for draft in self.drafts:
                if draft.moved is None:
                    draft.energy_dashboard = wanted
        return await self.async_finish()

    async def _async_meter(self, draft: MeterDraft) -> DashboardMeter | None:
        """What the dashboard has to know of a meter; a moved one is there already."""
        choice = await self.async_choose(draft.profile or "")
        if draft.moved is not None or isinstance(choice, Trouble):
            return None
        profile = choice.arranged(draft.variant)
        measured = (register.key for register in profile.registers)
        return DashboardMeter(
            identity=draft.identity,
            name=draft.name,
            role=draft.role,
            quantities=MeterPipeline(measured, phases=profile.phases).provided,
            production=draft.production,
            inside=draft.inside,
        )
