"""Triggers of our own for the automation editor: what alarms and load shedding have seen and done.

They listen to our event entities, so that what a trigger says stands in the history too. What core has triggers for (power, current and
voltage crossing a value) is not repeated here.
"""

from collections.abc import Collection, Mapping
from typing import Any, ClassVar, Final, override

from homeassistant.components.event.const import DOMAIN as EVENT_DOMAIN, EventEntityStateAttribute
from homeassistant.const import CONF_OPTIONS
from homeassistant.core import HomeAssistant, State
from homeassistant.helpers import config_validation as cv, entity_registry as er
from homeassistant.helpers.automation import DomainSpec
from homeassistant.helpers.trigger import (
    ENTITY_STATE_TRIGGER_SCHEMA,
    NotTriggeredReasonReporter,
    StatelessEntityTriggerBase,
    Trigger,
)
import probatio

from .alarms.data import CONF_LIMIT_KIND
from .alarms.entities import EVENT_CLEARED, EVENT_EXCEEDED
from .alarms.tamper_entities import EVENT_TAMPER
from .const import DOMAIN
from .load_shedding import Event
from .metering.limits import LimitKind
from .metering.tamper import TamperSign


def _choosing(option: str, choice: Any) -> probatio.Schema:
    """A trigger's schema in which some of several things may be chosen."""
    return ENTITY_STATE_TRIGGER_SCHEMA.extend(
        {
            probatio.Required(CONF_OPTIONS, default={}): {
                probatio.Optional(option): probatio.All(cv.ensure_list, [choice])
            }
        }
    )


class _HistoryTrigger(StatelessEntityTriggerBase):
    """One of our event entities has noted something of a certain type."""

    _domain_specs: Mapping[str, DomainSpec] = {EVENT_DOMAIN: DomainSpec()}
    event_type: ClassVar[str]
    option: ClassVar[str | None] = None
    """What may be chosen among; without a choice everything counts."""
    attribute: ClassVar[str] = ""
    """The event's attribute that the choice is about."""

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
        if state.attributes.get(EventEntityStateAttribute.EVENT_TYPE) != self.event_type:
            return False
        chosen = self._chosen
        return not chosen or state.attributes.get(self.attribute) in chosen

    @property
    def _chosen(self) -> Collection[str]:
        return self._options.get(self.option, ()) if self.option else ()


class LimitExceeded(_HistoryTrigger):
    """A limit of a meter is exceeded."""

    event_type = EVENT_EXCEEDED
    option = CONF_LIMIT_KIND
    attribute = "kind"
    _schema = _choosing(CONF_LIMIT_KIND, probatio.In([kind.value for kind in LimitKind]))


class LimitCleared(LimitExceeded):
    """A limit of a meter was exceeded and is no more."""

    event_type = EVENT_CLEARED


class MeterSilent(_HistoryTrigger):
    """A meter with an alarm on its silence has fallen silent."""

    event_type = EVENT_EXCEEDED
    attribute = "kind"

    @property
    @override
    def _chosen(self) -> Collection[str]:
        return (LimitKind.SILENT.value,)


class Tamper(_HistoryTrigger):
    """There is a new sign that somebody has tampered with a meter."""

    event_type = EVENT_TAMPER
    option = "sign"
    attribute = "sign"
    _schema = _choosing("sign", probatio.In([sign.value for sign in TamperSign]))


class LoadShed(_HistoryTrigger):
    """Load shedding has switched a load off, or set it to less."""

    event_type = Event.SHED.value
    option = "load"
    attribute = "load"
    _schema = _choosing("load", cv.string)


class LoadRestored(LoadShed):
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
