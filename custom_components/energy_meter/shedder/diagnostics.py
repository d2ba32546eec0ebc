"""Diagnostics of load shedding: the plan, the state, the journal."""

from dataclasses import asdict
from typing import Any

from ..const import SUBENTRY_LIMIT, SUBENTRY_LOAD
from .runtime import ShedderRuntime


def shedder_diagnostics(runtime: ShedderRuntime) -> dict[str, Any]:
    """Everything about an entry; there is nothing in it that is secret."""
    controller, now = runtime.controller, runtime.now
    return {
        "settings": dict(runtime.entry.data),
        "outlook": asdict(runtime.outlook),
        "limits": [
            {
                "id": subentry.subentry_id,
                "title": subentry.title,
                **subentry.data,
                "headroom": gauge.headroom(now),
                "room": gauge.room(now),
                "refused": gauge.refused,
            }
            for subentry in runtime.entry.get_subentries_of_type(SUBENTRY_LIMIT)
            if (gauge := controller.gauges.get(subentry.subentry_id)) is not None
        ],
        "loads": [
            {
                "id": subentry.subentry_id,
                "title": subentry.title,
                **subentry.data,
                "seen": asdict(controller.memory.load(subentry.subentry_id).seen),
                "why_on": controller.why_on(subentry.subentry_id, now),
                "why_off": controller.why_off(subentry.subentry_id, now)[0],
            }
            for subentry in runtime.entry.get_subentries_of_type(SUBENTRY_LOAD)
            if subentry.subentry_id in runtime.devices
        ],
        "memory": controller.memory.to_json(),
    }
