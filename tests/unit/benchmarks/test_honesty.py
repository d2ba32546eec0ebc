"""A value says which meter and quantity it is from, and how old it is."""

import struct

from hypothesis import given, strategies as st
import pytest

from benchmarks.evaluate import honesty, mean_interval, most_rounds
from benchmarks.near_end import Published
from benchmarks.setting import SDM120, SDM630, Model, Setting
from tests.support.truth import PERIOD, STEP, Truth

_MODELS = st.sampled_from([SDM120, SDM630])


@given(_MODELS, st.data(), st.integers(1, 32), st.integers(0, 2400), st.integers(0, 8))
def test_a_value_tells_its_age(
    model: Model, data: st.DataObject, unit: int, step: int, age: int
) -> None:
    key = data.draw(st.sampled_from(sorted(model.values)))
    truth = Truth(tuple(model.values), 1000.0)
    value = truth.value(unit, key, step)
    now = 1000.0 + (step + age + 0.5) * STEP
    assert truth.age(unit, key, value, now) == age * STEP
    high, low = truth.words(unit, key, step)
    assert struct.unpack(">f", struct.pack(">HH", high, low))[0] == value
    # What Home Assistant's YAML makes of it: text with seven decimals.
    assert truth.age(unit, key, float(f"{value:.7f}"), now) == age * STEP


@pytest.mark.parametrize("model", [SDM120, SDM630], ids=lambda model: model.slug)
def test_no_value_passes_for_another_ones(model: Model) -> None:
    truth = Truth(tuple(model.values), 0.0)
    units = (1, 2, 3, 30, 31, 32) if model is SDM120 else (1, 2)
    for step in (0, 1, 57, PERIOD - 1, 1500):
        now = (step + 0.5) * STEP
        for unit in units:
            for key in model.values:
                value = truth.value(unit, key, step)
                taken_for = [
                    (other_unit, other)
                    for other_unit in units
                    for other in model.values
                    if truth.age(other_unit, other, value, now) is not None
                ]
                assert taken_for == [(unit, key)]


def test_garbage_is_no_value() -> None:
    truth = Truth(tuple(SDM120.values), 0.0)
    for value in (0.0, -1.0, 1e20, float("inf"), float("nan")):
        assert truth.age(1, "voltage", value, 10.0) is None
        assert truth.age(1, "energy_import", value, 10.0) is None


def _run(setting: Setting, *, until: float, every: float) -> Published:
    truth, published, now = setting.truth, Published(), 0.0
    while now < until:
        for unit in setting.units:
            published.values += [
                (now, unit, key, truth.value(unit, key, truth.step(now))) for key in setting.keys
            ]
        now += every
    return published


def test_an_honest_run_is_found_honest() -> None:
    setting = Setting(model=SDM120, count=2, started=0.0)
    published = _run(setting, until=20, every=2)
    seen = honesty(published, setting, 0, 20, 2)
    assert (seen.wrong, seen.old, seen.kept, seen.missed) == (0, 0, 0, 0)
    assert mean_interval(published, setting, 0, 20) == pytest.approx(2)


def test_a_wrong_an_old_and_a_kept_value_are_found() -> None:
    setting = Setting(model=SDM120, count=1, started=0.0)
    truth = setting.truth
    published = _run(setting, until=20, every=2)
    wrong = truth.value(1, "power", truth.step(4))
    old = truth.value(1, "current", truth.step(4))
    published.values = [
        one for one in published.values if not (one[2] == "frequency" and 6 < one[0] < 14)
    ]
    published.values += [(4.1, 1, "voltage", wrong), (12.1, 1, "current", old)]
    published.values.sort()
    seen = honesty(published, setting, 0, 20, 2)
    assert (seen.wrong, seen.old, seen.kept, seen.missed) == (1, 1, 1, 3)
    published.taken_back.append((10.2, 1, frozenset(["frequency"])))
    assert honesty(published, setting, 0, 20, 2).kept == 0


def test_rounds_of_power_are_counted_between_two_values_of_anything_else() -> None:
    setting = Setting(model=SDM120, count=1, started=0.0)
    published = _run(setting, until=20, every=1)
    assert most_rounds(published, setting, 0, 20, pace="power") == 1
    published.values = [
        one for one in published.values if one[2] != "frequency" or one[0] in (2, 5, 12)
    ]
    assert most_rounds(published, setting, 0, 20, pace="power") == 7
    published.values = [one for one in published.values if one[2] != "frequency"]
    assert most_rounds(published, setting, 0, 20, pace="power") == 20
