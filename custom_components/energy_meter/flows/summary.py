"""The end of every flow that sets up meters: what will be added to the Energy dashboard, then saving."""

from typing import Any, override

from ..const import CONF_ENERGY_DASHBOARD
from ..energy_dashboard import DashboardMeter, planned_changes
from ..energy_roles import Obstacle
from ..metering import MeterPipeline
from .base import Result
from .draft import MeterDraft
from .forms import summary_form
from .meter import MeterSteps
from .trouble import Trouble


class SummarySteps(MeterSteps):
    """Show the summary and finish."""

    _changes = ""

    @override
    async def async_described(self) -> Result:
        """Show what the meters will add to the dashboard; finish where that is nothing."""
        meters = [meter for draft in self.drafts if (meter := await self._async_meter(draft))]
        changes = await planned_changes(self.hass, meters)
        if all(change.obstacle is Obstacle.NO_DASHBOARD for change in changes):
            return await self.async_finish()
        self._changes = "\n".join(f"- {change.words(self.phrases)}" for change in changes)
        return await self.async_step_summary()

    async def async_step_summary(self, user_input: dict[str, Any] | None = None) -> Result:
        """Ask whether the dashboard is to be filled in."""
        if user_input is not None:
            for draft in self.drafts:
                if draft.moved is None:
                    draft.energy_dashboard = user_input[CONF_ENERGY_DASHBOARD]
            return await self.async_finish()
        wanted = all(draft.energy_dashboard for draft in self.drafts)
        return self.show(
            "summary",
            summary_form(),
            filled={CONF_ENERGY_DASHBOARD: wanted},
            placeholders={"changes": self._changes},
        )

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
