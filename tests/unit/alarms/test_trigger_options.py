"""The automation editor offers every kind of limit and every sign of tampering that there is."""

from enum import StrEnum
from pathlib import Path

import pytest
import yaml

from custom_components.energy_meter.metering.limits import LimitKind
from custom_components.energy_meter.metering.tamper import TamperSign

TRIGGERS = yaml.safe_load(
    (Path(__file__).parents[3] / "custom_components" / "energy_meter" / "triggers.yaml").read_text(
        "utf-8"
    )
)


@pytest.mark.parametrize(
    ("trigger", "field", "there_is"),
    [
        ("limit_exceeded", "limit_kind", LimitKind),
        ("limit_cleared", "limit_kind", LimitKind),
        ("tamper", "sign", TamperSign),
    ],
)
def test_everything_is_offered(trigger: str, field: str, there_is: type[StrEnum]) -> None:
    offered = TRIGGERS[trigger]["fields"][field]["selector"]["select"]["options"]
    assert offered == [each.value for each in there_is]
