"""Triggers of our own for the automation editor: what alarms and load shedding have seen and done.

They listen to our event entities, so that what a trigger says stands in the history too. What core has triggers for (power, current and
voltage crossing a value) is not repeated here.
"""

from collections.abc import Mapping
from typing import ClassVar, Final, override

from homeassistant.components.event.const import DOMAIN as EVENT_DOMAIN, EventEntityStateAttribute
from homeassistant.core import HomeAssistant, State
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.automation import DomainSpec
from homeassistant.helpers.trigger import (
    NotTriggeredReasonReporter,
    StatelessEntityTriggerBase,
    Trigger,
)

from .alarms.entities import EVENT_CLEARED, EVENT_EXCEEDED
from .alarms.tamper_entities import EVENT_TAMPER
from .const import DOMAIN
from .load_shedding import Event
from .metering.limits import LimitKind


class _HistoryTrigger(StatelessEntityTriggerBase):
    """One of our event entities has noted something of a certain type."""

    _domain_specs: Mapping[str, DomainSpec] = {EVENT_DOMAIN: DomainSpec()}
    event_type: ClassVar[str]
    kind: ClassVar[LimitKind | None] = None
    """Only alarms of this kind."""

    @override
    def entity_filter(self, entities: set[str]) -> set[str]:
        registry = er.async_get(self._hass)
        return {
            entity_id
            for entity_id in super().entity_filter(entities)
            if (entry := registry.async_get(entity_id)) is not None and entry.platform == DOMAIN
        }

    @override
    def is_valid_state(
        self, state: State, report_not_triggered: NotTriggeredReasonReporter
    ) -> bool:
        if self.kind is not None and state.attributes.get("kind") != self.kind.value:
            return False
        return state.attributes.get(EventEntityStateAttribute.EVENT_TYPE) == self.event_type


class LimitExceeded(_HistoryTrigger):
    """A limit of a meter is exceeded."""

    event_type = EVENT_EXCEEDED


class LimitCleared(_HistoryTrigger):
    """A limit of a meter was exceeded and is no more."""

    event_type = EVENT_CLEARED


class MeterSilent(_HistoryTrigger):
    """A meter with an alarm on its silence has fallen silent."""

    event_type = EVENT_EXCEEDED
    kind = LimitKind.SILENT


class Tamper(_HistoryTrigger):
    """There is a new sign that somebody has tampered with a meter."""

    event_type = EVENT_TAMPER


class LoadShed(_HistoryTrigger):
    """Load shedding has switched a load off, or set it to less."""

    event_type = Event.SHED.value


class LoadRestored(_HistoryTrigger):
    """Load shedding has switched a load on again, or set it to more."""

    event_type = Event.RESTORED.value


TRIGGERS: Final[dict[str, type[Trigger]]] = {
    "limit_exceeded": LimitExceeded,
    "limit_cleared": LimitCleared,
    "meter_silent": MeterSilent,
    "tamper": Tamper,
    "load_shed": LoadShed,
    "load_restored": LoadRestored,
}


async def async_get_triggers(hass: HomeAssistant) -> dict[str, type[Trigger]]:
    """Return the triggers of this integration."""
    return TRIGGERS
