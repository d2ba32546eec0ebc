"""Whatever a bridge refuses is told in words, with nothing in them that stays empty."""

import json
from pathlib import Path
import string

import pytest

from custom_components.energy_meter import shipped_firmware
from custom_components.energy_meter.sources.bridge.calls import ERRORS

TEXTS = json.loads(
    (Path(shipped_firmware.__file__).parent / "translations" / "en.json").read_text("utf-8")
)["exceptions"]
GIVEN = {"name", "control", "meter", "text"}


@pytest.mark.parametrize("error", sorted(ERRORS | {"refused", "no_answer", "away", "rolled_back"}))
def test_every_error_of_the_protocol_has_a_text(error: str) -> None:
    message = TEXTS[f"bridge_{error}"]["message"]
    assert {name for _, name, _, _ in string.Formatter().parse(message) if name} <= GIVEN
