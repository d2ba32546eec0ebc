"""One reading after the other through guard, derivation and integration."""

from datetime import UTC, datetime
import json
import math
from typing import Any

from hypothesis import given, strategies as st
import pytest

from custom_components.energy_meter.metering import CounterAnswer, CounterEventKind, MeterPipeline
from custom_components.energy_meter.metering.plausibility import Suspicion
from custom_components.energy_meter.model import QUANTITIES, Reading, Value

START = 1_700_000_000.0


def _reading(second: float, **values: Value) -> Reading:
    return Reading(
        meter_id="m",
        time=datetime.fromtimestamp(START + second, UTC),
        monotonic=second,
        values=values,
    )


def _again(pipeline: MeterPipeline) -> dict[str, Any]:
    state: dict[str, Any] = json.loads(json.dumps(pipeline.to_dict()))
    return state


def test_values_pass_and_missing_ones_stay_missing() -> None:
    pipeline = MeterPipeline(("voltage", "power"), phases=1)
    values = pipeline.process(_reading(0, voltage=230.1, power=None)).values
    assert values == {"voltage": 230.1, "power": None, "power_export": None}


def test_impossible_values_are_refused() -> None:
    pipeline = MeterPipeline(
        ("voltage", "power", "power_factor", "frequency"), phases=1, rated_current=16
    )
    result = pipeline.process(
        _reading(0, voltage=-3.0, power=1e7, power_factor=99.0, frequency=math.nan)
    )
    assert set(result.refused) == {"voltage", "power", "power_factor", "frequency"}
    assert "power" not in result.values


def test_a_value_that_stays_impossible_is_not_shown_as_fresh() -> None:
    pipeline = MeterPipeline(("voltage",), phases=1)
    assert pipeline.process(_reading(0, voltage=230.0)).values == {"voltage": 230.0}
    assert pipeline.process(_reading(5, voltage=-3.0)).values == {}
    assert pipeline.process(_reading(10, voltage=-3.0)).values == {"voltage": None}
    assert pipeline.process(_reading(15, voltage=231.0)).values == {"voltage": 231.0}
    assert pipeline.process(_reading(20, voltage=-3.0)).values == {}


def test_what_is_derived_goes_with_what_it_is_derived_from() -> None:
    pipeline = MeterPipeline(("power_l1", "power_l2", "power_l3", "reactive_power"), phases=3)
    values = pipeline.process(
        _reading(0, power_l1=1.0, power_l2=2.0, power_l3=3.0, reactive_power=8.0)
    ).values
    assert values["power"] == 6.0
    assert values["apparent_power"] == 10.0
    values = pipeline.process(_reading(5, power_l1=1.0, power_l2=None, power_l3=3.0)).values
    assert values["power"] is None
    assert values["apparent_power"] is None
    assert values["power_factor"] is None


def test_a_quantity_the_meter_does_not_have_is_ignored() -> None:
    pipeline = MeterPipeline(("voltage",), phases=1)
    assert pipeline.process(_reading(0, voltage=230.0, current=1.0)).values == {"voltage": 230.0}


def test_a_meter_without_counter_gets_energy_that_survives_a_restart() -> None:
    pipeline = MeterPipeline(("power",), phases=1)
    assert {"energy_import", "energy_export"} <= set(pipeline.provided)
    for second in range(0, 1801, 5):
        pipeline.process(_reading(second, power=2000.0))
    pipeline = MeterPipeline(("power",), phases=1, state=_again(pipeline))
    assert pipeline.totals["energy_import"] == pytest.approx(1.0)
    for second in range(1805, 3601, 5):
        values = pipeline.process(_reading(second, power=-2000.0)).values
    # Between the last sample before the restart and the first after it power crossed zero.
    assert values["energy_import"] == pytest.approx(1.0 + 2000 * 1.25 / 3.6e6)
    assert values["energy_export"] == pytest.approx(2000 * (1795 + 1.25) / 3.6e6)


def test_a_meter_with_a_counter_is_not_integrated() -> None:
    pipeline = MeterPipeline(("power", "energy_import"), phases=1)
    assert "energy_export" not in pipeline.provided
    assert not pipeline.integrated


def test_silence_is_not_integrated() -> None:
    pipeline = MeterPipeline(("power",), phases=1)
    pipeline.process(_reading(0, power=3000.0))
    pipeline.silent()
    pipeline.process(_reading(60, power=3000.0))
    assert pipeline.totals["energy_import"] == 0


def test_totals_are_there_after_a_restart_before_any_reading() -> None:
    pipeline = MeterPipeline(("energy_import", "energy_export"), phases=1)
    for second in (0, 30):
        pipeline.process(_reading(second, energy_import=500.0, energy_export=20.0))
    pipeline = MeterPipeline(("energy_import", "energy_export"), phases=1, state=_again(pipeline))
    assert pipeline.totals == {"energy_import": 500.0, "energy_export": 20.0, "energy_net": 480.0}


def test_a_total_marked_not_available_keeps_its_last_value() -> None:
    pipeline = MeterPipeline(("energy_import",), phases=1)
    for second in (0, 30):
        pipeline.process(_reading(second, energy_import=500.0))
    assert pipeline.process(_reading(60, energy_import=None)).values == {"energy_import": 500.0}


def test_a_replaced_meter_asks_and_the_answer_moves_the_total() -> None:
    pipeline = MeterPipeline(("energy_import",), phases=1)
    for second, figure in enumerate((500.0, 500.0, 3.0, 3.0, 3.0)):
        result = pipeline.process(_reading(second * 30, energy_import=figure))
    assert [event.kind for event in result.events] == [CounterEventKind.LOWER]
    assert result.values["energy_import"] == 500.0
    (question,) = pipeline.questions()
    assert (question.before, question.after) == (500.0, 3.0)
    assert pipeline.resolve("energy_import", CounterAnswer.RESET) == 503.0
    pipeline.undo("energy_import")
    assert pipeline.questions()[0].answer is None


def test_a_reversed_transformer_is_put_right() -> None:
    measured = (
        "power",
        "reactive_power",
        "power_factor",
        "apparent_power",
        "energy_import",
        "energy_export",
        "voltage",
    )
    pipeline = MeterPipeline(measured, phases=1, invert=True)
    for second in (0, 30):
        values = pipeline.process(
            _reading(
                second, power=-900.0, reactive_power=-50.0, power_factor=-0.99, apparent_power=901.0,
                energy_import=1.0, energy_export=70.0, voltage=230.0,
            )
        ).values  # fmt: skip
    assert values["power"] == 900.0
    assert values["power_factor"] == 0.99
    assert values["reactive_power"] == 50.0
    assert values["apparent_power"] == 901.0
    assert (values["energy_import"], values["energy_export"]) == (70.0, 1.0)
    assert values["energy_net"] == 69.0


def test_an_import_counter_alone_cannot_be_exchanged() -> None:
    pipeline = MeterPipeline(("power", "energy_import"), phases=1, invert=True)
    for second in (0, 30):
        values = pipeline.process(_reading(second, power=-5.0, energy_import=7.0)).values
    assert values == {"power": 5.0, "power_export": 0.0, "energy_import": 7.0}


def test_steady_export_of_a_consumer_speaks_for_a_reversed_transformer() -> None:
    pipeline = MeterPipeline(("power",), phases=1, only_import=True)
    for second in range(200):
        pipeline.process(_reading(second, power=-800.0))
    assert [each.suspicion for each in pipeline.evidence()] == [Suspicion.REVERSED]


def test_an_hour_of_export_of_a_grid_meter_speaks_for_nothing() -> None:
    pipeline = MeterPipeline(("power",), phases=1)
    for second in range(200):
        pipeline.process(_reading(second, power=-800.0))
    assert not pipeline.evidence()


def test_one_reversed_phase_is_named() -> None:
    measured = ("power", "power_l1", "power_l2", "power_l3")
    pipeline = MeterPipeline(measured, phases=3, only_import=True)
    for second in range(200):
        pipeline.process(
            _reading(second, power=600.0, power_l1=500.0, power_l2=-300.0, power_l3=400.0)
        )
    (evidence,) = pipeline.evidence()
    assert (evidence.suspicion, evidence.phase) == (Suspicion.PHASE_REVERSED, "L2")


def test_more_watts_than_volts_times_amperes_is_noticed() -> None:
    pipeline = MeterPipeline(("voltage", "current", "power"), phases=1)
    for second in range(200):
        pipeline.process(_reading(second, voltage=230.0, current=1.0, power=700.0))
    assert [each.suspicion for each in pipeline.evidence()] == [Suspicion.POWER_FACTOR]


@pytest.mark.parametrize("state", [{"guards": 3, "integrator": "x"}, {"guards": {"power": []}}, {}])
def test_a_broken_state_is_a_new_start(state: dict[str, Any]) -> None:
    assert MeterPipeline(("power", "energy_import"), phases=1, state=state).totals == {}


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(sorted(QUANTITIES)),
            st.none() | st.floats() | st.integers(-(2**63), 2**64),
            max_size=12,
        ),
        max_size=15,
    ),
    st.booleans(),
    st.integers(0, 14),
)
def test_no_reading_breaks_it_and_no_total_falls(
    readings: list[dict[str, Value]], invert: bool, restart: int
) -> None:
    pipeline = MeterPipeline(QUANTITIES, phases=3, invert=invert)
    last: dict[str, float] = {}
    for number, values in enumerate(readings):
        pipeline.process(_reading(number * 30.0, **values))
        if number == restart:
            pipeline = MeterPipeline(QUANTITIES, phases=3, invert=invert, state=_again(pipeline))
        for key, total in pipeline.totals.items():
            if QUANTITIES[key].counts == "up":
                assert total >= last.get(key, total)
        last = pipeline.totals


def test_volts_and_amperes_alone_make_no_energy() -> None:
    pipeline = MeterPipeline(("voltage", "current"), phases=1)
    assert pipeline.provided == ("voltage", "current", "apparent_power")


def test_an_assumed_power_factor_makes_power_and_energy() -> None:
    pipeline = MeterPipeline(("voltage", "current"), phases=1, assumed_power_factor=0.5)
    assert set(pipeline.provided) == {
        "voltage", "current", "apparent_power", "power", "energy_import", "energy_export",
    }  # fmt: skip
    pipeline.process(_reading(0, voltage=200.0, current=10.0))
    values = pipeline.process(_reading(36, voltage=200.0, current=10.0)).values
    assert values["energy_import"] == pytest.approx(0.01, abs=1e-9)


def test_a_silence_whose_readings_arrive_later_leaves_no_gap() -> None:
    pipeline = MeterPipeline(("power",), phases=1, late=True)
    pipeline.process(_reading(0, power=3600.0))
    pipeline.silent()
    for second in range(1, 7200):
        pipeline.process(_reading(second, power=3600.0))
    assert pipeline.totals["energy_import"] == pytest.approx(7.199, abs=1e-6)


def test_a_silence_without_any_later_reading_counts_nothing() -> None:
    pipeline = MeterPipeline(("power",), phases=1, late=True)
    pipeline.process(_reading(0, power=3600.0))
    pipeline.silent()
    pipeline.process(_reading(7200, power=3600.0))
    assert pipeline.totals["energy_import"] == 0


def test_the_total_goes_on_where_a_counter_takes_the_place_of_the_integrator() -> None:
    before = MeterPipeline(("power",), phases=1)
    before.process(_reading(0, power=36_000.0))
    before.process(_reading(100, power=36_000.0))
    after = MeterPipeline(("power", "energy_import"), phases=1, state=_again(before))
    assert after.totals["energy_import"] == pytest.approx(1.0, abs=1e-9)
    for second in (101, 102):
        after.process(_reading(second, power=0.0, energy_import=0.25))
    assert after.totals["energy_import"] == pytest.approx(1.0, abs=1e-9)
    after.process(_reading(200, power=36_000.0, energy_import=0.35))
    assert after.totals["energy_import"] == pytest.approx(1.1, abs=1e-9)
    assert not after.questions()


def test_the_total_goes_on_where_the_integrator_takes_the_place_of_a_counter() -> None:
    before = MeterPipeline(("power", "energy_import"), phases=1)
    for second in (0, 1):
        before.process(_reading(second, power=0.0, energy_import=12.5))
    after = MeterPipeline(("power",), phases=1, state=_again(before))
    assert after.totals["energy_import"] == pytest.approx(12.5, abs=1e-9)
    after.process(_reading(10, power=36_000.0))
    after.process(_reading(20, power=36_000.0))
    assert after.totals["energy_import"] == pytest.approx(12.6, abs=1e-9)


def test_a_settled_answer_cannot_be_taken_back() -> None:
    pipeline = MeterPipeline(("energy_import",), phases=1)
    for second, figure in enumerate((5.0, 5.0, 0.1, 0.1, 0.1)):
        pipeline.process(_reading(second, energy_import=figure))
    (question,) = pipeline.questions()
    pipeline.resolve(question.key, CounterAnswer.RESET)
    pipeline.settle(question.key)
    assert pipeline.totals["energy_import"] == pytest.approx(5.1, abs=1e-9)
    assert pipeline.questions() == ()
    with pytest.raises(LookupError):
        pipeline.undo(question.key)
