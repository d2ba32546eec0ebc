"""Load shedding: switches loads off before the supply is overloaded, and on again when there is room.

Pure: no Home Assistant, no clock, no I/O. `controller` says what to do, everything else is what it is made of.
"""

from .controller import Controller, RefusedError
from .forecast import outlook
from .gauge import Gauge
from .journal import Entry, Event, Journal
from .memory import AWAY, LoadMemory, Memory, Observation, Shed
from .outlook import Blocker, Next, Outlook, Reason, Status
from .plan import Dimming, Limit, Load, Measure, Phase, Plan, PlanError, Settings, Urgency
from .switching import Act

__all__ = [
    "AWAY",
    "Act",
    "Blocker",
    "Controller",
    "Dimming",
    "Entry",
    "Event",
    "Gauge",
    "Journal",
    "Limit",
    "Load",
    "LoadMemory",
    "Measure",
    "Memory",
    "Next",
    "Observation",
    "Outlook",
    "Phase",
    "Plan",
    "PlanError",
    "Reason",
    "RefusedError",
    "Settings",
    "Shed",
    "Status",
    "Urgency",
    "outlook",
]
