"""The logbook says what load shedding has done, and why, in a sentence."""

from typing import Any

import pytest

from custom_components.energy_meter.load_shedding import Event
from custom_components.energy_meter.shedder.sentences import sentence

ACT: dict[str, Any] = {
    "load": "Water heater",
    "limit": "Main fuse L2",
    "value": 35.43,
    "bound": 32.0,
    "unit": "A",
    "watts": 2_007.0,
    "by_hand": False,
    "rehearsal": False,
}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (
            {**ACT, "event_type": "shed"},
            "Water heater switched off: Main fuse L2 at 35.43 A of 32 A, 2007 W",
        ),
        (
            {**ACT, "event_type": "shed", "level": 10.0, "load": "Wallbox"},
            "Wallbox set to 10: Main fuse L2 at 35.43 A of 32 A, 2007 W",
        ),
        (
            {**ACT, "event_type": "restored", "limit": None, "by_hand": True},
            "Water heater switched on again by hand",
        ),
        (
            {**ACT, "event_type": "shed", "rehearsal": True, "limit": None},
            "Water heater switched off (dry run, nothing was switched)",
        ),
        (
            {"event_type": "stale", "load": None, "limit": "Main fuse L2", "bound": 32.0},
            "readings have ended: Main fuse L2",
        ),
        ({"event_type": "switched_on", "load": None, "limit": None}, "switched on"),
    ],
)
def test_an_entry_is_said_with_its_numbers(data: dict[str, Any], said: str) -> None:
    assert sentence(data) == said


@pytest.mark.parametrize("event", Event)
def test_there_are_words_for_everything(event: Event) -> None:
    assert sentence({"event_type": event.value, "load": "Water heater", "limit": None})
