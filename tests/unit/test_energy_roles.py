"""What a meter's counters say about the way round that it is wired."""

import pytest

from custom_components.energy_meter.const import ROLE_BATTERY, ROLE_SOLAR
from custom_components.energy_meter.energy_roles import likely_production


@pytest.mark.parametrize(
    ("role", "taken", "fed", "production"),
    [
        (ROLE_SOLAR, 19_268.3, 18.4, "import"),
        (ROLE_SOLAR, 18.4, 19_268.3, "export"),
        (ROLE_SOLAR, 0.0, 0.0, "export"),
        (ROLE_BATTERY, 5_257.2, 4_618.0, "export"),
        (ROLE_BATTERY, 4_618.0, 5_257.2, "import"),
        (ROLE_BATTERY, 0.0, 0.0, "export"),
    ],
)
def test_panels_give_more_than_they_take_and_a_battery_less(
    role: str, taken: float, fed: float, production: str
) -> None:
    values = {"energy_import": taken, "energy_export": fed}
    assert likely_production(role, values) == production


def test_a_meter_with_one_counter_counts_what_comes_out_with_it() -> None:
    assert likely_production(ROLE_SOLAR, {"energy_import": 12.0}) == "import"
