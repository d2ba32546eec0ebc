"""A page of the demo to watch the house on: what it takes, its main fuse, load shedding, and circuits on I²C."""

from collections.abc import Iterable
from typing import Any, Final

from scripts.demo_component.story import FUSE

_HOUSE: Final = {
    "cellar_grid_connection": "Grid",
    "roof_solar_inverter": "Solar",
    "cellar_battery": "Battery",
    "kitchen_oven_and_hob": "Oven and hob",
    "cellar_water_heater": "Water heater",
    "garage_car_charger": "Car",
}
_SHEDDING: Final = "load_shedding"
_STATUS: Final = {
    _SHEDDING: "Status",
    "reason": "Reason",
    "loads_off": "Loads off",
    "next_action": "Next action",
    "next_action_at": "At",
}
_SHOWN_CIRCUIT: Final = 4
"""The kitchen is the fourth circuit of a panel."""


def dashboard(*, shedding: bool, circuits: int) -> dict[str, Any]:
    """The page as Home Assistant's dashboards are described.

    Args:
        shedding: whether load shedding is set up.
        circuits: monitors on the bus and behind the hub.
    """
    sections = [_section("The house", _house())]
    if shedding:
        sections.append(_section("Main fuse", _fuse()))
        sections.append(_section("Load shedding", _load_shedding()))
    if circuits >= _SHOWN_CIRCUIT:
        sections.append(_section("Circuits on I²C", _circuits()))
    return {"views": [{"title": "House", "type": "sections", "sections": sections}]}


def _section(title: str, cards: Iterable[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "grid", "cards": [{"type": "heading", "heading": title}, *cards]}


def _tile(entity: str, **options: Any) -> dict[str, Any]:
    return {"type": "tile", "entity": entity, **options}


def _house() -> Iterable[dict[str, Any]]:
    yield _tile("sensor.house_clock", grid_options={"columns": "full"})
    for meter, name in _HOUSE.items():
        yield _tile(
            f"sensor.{meter}_power",
            name=name,
            features=[{"type": "trend-graph", "hours_to_show": 1}],
        )


def _fuse() -> Iterable[dict[str, Any]]:
    for phase in ("l1", "l2", "l3"):
        yield {
            "type": "gauge",
            "entity": f"sensor.cellar_grid_connection_current_{phase}",
            "name": phase.upper(),
            "max": round(FUSE * 1.5),
            "needle": True,
            "severity": {"green": 0, "yellow": round(FUSE * 0.9), "red": round(FUSE)},
            "grid_options": {"columns": 4},
        }
    for phase in ("l1", "l2", "l3"):
        headroom = f"sensor.{_SHEDDING}_main_fuse_{phase}_headroom"
        yield _tile(headroom, name=f"Headroom of {phase.upper()}", grid_options={"columns": 12})


def _load_shedding() -> Iterable[dict[str, Any]]:
    for entity, name in _STATUS.items():
        yield _tile(f"sensor.{_SHEDDING}_{entity}", name=name)
    yield _tile(f"switch.{_SHEDDING}_{_SHEDDING}", name="Enabled")
    yield _tile("switch.cellar_water_heater_relay", name="Water heater")
    yield _tile("switch.wallbox", name="Car charger")
    yield {
        "type": "logbook",
        "target": {"entity_id": f"event.{_SHEDDING}_log"},
        "hours_to_show": 24,
        "grid_options": {"columns": "full"},
    }


def _circuits() -> Iterable[dict[str, Any]]:
    for hub, where in (("panel", "On this computer's bus"), ("cellar_hub", "Behind a hub")):
        yield _tile(f"sensor.{hub}_total_power", name=where)
        yield _tile(f"sensor.{hub}_total_energy", name=f"{where}, energy")
    trend = {"type": "trend-graph", "hours_to_show": 1}
    yield _tile("sensor.cellar_kitchen_power", name="One of them: the kitchen", features=[trend])
    yield {
        "type": "picture-entity",
        "entity": "image.cellar_kitchen_waveform",
        "show_name": False,
        "show_state": False,
        "grid_options": {"columns": "full"},
    }
