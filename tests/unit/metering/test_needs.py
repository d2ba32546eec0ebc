"""What has to be read for what is shown, and what turning a meter over does to its totals."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import given, strategies as st
import pytest

from custom_components.energy_meter.metering import MeterPipeline
from custom_components.energy_meter.metering.needs import needed, turned_state
from custom_components.energy_meter.model import QUANTITIES, Reading

KEYS = sorted(QUANTITIES)


@pytest.mark.parametrize(
    ("wanted", "measured", "expected"),
    [
        ({"power"}, {"power", "voltage"}, {"power"}),
        ({"power"}, {"power_l1", "power_l2", "power_l3"}, {"power_l1", "power_l2", "power_l3"}),
        ({"energy_import"}, {"power", "voltage"}, {"power"}),
        ({"energy_net"}, {"energy_import", "energy_export"}, {"energy_import", "energy_export"}),
        ({"voltage"}, {"power"}, set()),
    ],
)
def test_what_is_read_is_what_the_shown_follows_from(
    wanted: set[str], measured: set[str], expected: set[str]
) -> None:
    assert needed(wanted, frozenset(measured), phases=3) == expected


def test_with_directions_exchanged_the_other_counter_is_read() -> None:
    both = frozenset({"energy_import", "energy_export", "power"})
    assert needed({"energy_import"}, both, phases=1, invert=True) == {"energy_export"}
    alone = frozenset({"energy_import", "power"})
    assert needed({"energy_import"}, alone, phases=1, invert=True) == {"energy_import"}


@given(
    wanted=st.sets(st.sampled_from(KEYS)),
    measured=st.frozensets(st.sampled_from(KEYS)),
    phases=st.sampled_from((1, 3)),
    invert=st.booleans(),
)
def test_only_what_the_meter_has_is_ever_read(
    wanted: set[str], measured: frozenset[str], phases: int, invert: bool
) -> None:
    found = needed(wanted, measured, phases=phases, invert=invert)
    assert found <= measured
    assert needed(wanted & measured, measured, phases=phases) == wanted & measured


def pipeline(state: dict[str, Any] | None = None, *, invert: bool = False) -> MeterPipeline:
    """A meter that counts both ways, and net."""
    return MeterPipeline(
        ("power", "energy_import", "energy_export", "energy_net"),
        phases=1,
        invert=invert,
        state=state,
    )


def read(meter: MeterPipeline, at: float, **values: float) -> dict[str, Any]:
    """Take a reading three times, as a first figure of zero needs, and return what is shown."""
    shown: dict[str, Any] = {}
    for later in (0.0, 1.0, 2.0):
        now = at + later
        reading = Reading(
            meter_id="m", time=datetime.fromtimestamp(now, UTC), monotonic=now, values=values
        )
        shown |= meter.process(reading).values
    return shown


@given(
    taken=st.floats(0, 90_000),
    fed=st.floats(0, 90_000),
    step=st.floats(0, 0.05),
)
def test_totals_go_on_where_they_were_when_a_meter_is_turned_over(
    taken: float, fed: float, step: float
) -> None:
    before = pipeline()
    values = {"energy_import": taken, "energy_export": fed, "energy_net": taken - fed}
    shown = read(before, 1000.0, power=-500.0, **values)
    after = pipeline(turned_state(before.to_dict(), before.measured), invert=True)
    assert after.totals == pytest.approx(before.totals, abs=1e-6)
    values["energy_export"] += step
    values["energy_net"] -= step
    turned = read(after, 1030.0, power=-500.0, **values)
    assert turned["power"] == 500.0
    # A counter of 32768 kWh has no digits below a nanowatt-hour in a float of 64 bits.
    assert turned["energy_import"] == pytest.approx(shown["energy_import"] + step, abs=1e-6)
    assert turned["energy_export"] == pytest.approx(shown["energy_export"], abs=1e-6)
    assert turned["energy_net"] == pytest.approx(shown["energy_net"] + step, abs=1e-6)
    assert not after.questions()


def test_a_state_that_makes_no_sense_is_left_alone() -> None:
    assert turned_state({"guards": "broken"}, frozenset()) == {"guards": "broken"}
    assert turned_state({}, frozenset()) == {}
