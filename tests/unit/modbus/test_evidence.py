"""How much a reading says: stronger tests weigh more, and nothing is judged that was not read."""

from hypothesis import given, strategies as st
import pytest

from custom_components.energy_meter.model import QUANTITIES
from custom_components.energy_meter.sources.modbus.evidence import (
    coherence,
    holds,
    plausible,
    strength,
    worth,
)
from custom_components.energy_meter.sources.modbus.profile import (
    IdentityTest,
    Register,
    RegisterType,
    Span,
    Table,
    TestKind,
)


def _register(key: str, type_: RegisterType = RegisterType.FLOAT32, count: int = 2) -> Register:
    return Register(
        key=key,
        span=Span(Table.INPUT, 0, count),
        type=type_,
        quantity=QUANTITIES.get(key),
    )


def _test(kind: TestKind, *values: float | str, count: int = 1) -> IdentityTest:
    text = any(isinstance(value, str) for value in values)
    type_ = RegisterType.STRING if text else RegisterType.UINT16
    return IdentityTest(register=_register("code", type_, count), kind=kind, values=values)


def test_what_is_rarer_by_chance_weighs_more() -> None:
    ascending = [
        _test(TestKind.LISTED),
        _test(TestKind.EQUALS_ANY, 3),
        _test(TestKind.EQUALS_ANY, 0x70),
        _test(TestKind.EQUALS_ANY, 0x0333),
        _test(TestKind.PREFIX, "iEM3155"),
    ]
    weights = [strength(test, 17) for test in ascending]
    assert weights == sorted(weights)
    assert len(set(weights)) == len(weights)


def test_a_small_address_found_in_a_register_says_little() -> None:
    test = _test(TestKind.UNIT_ID)
    assert strength(test, 1) < 3 < strength(test, 142)


@given(
    st.sampled_from((TestKind.EQUALS_ANY, TestKind.LISTED, TestKind.UNIT_ID)),
    st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=40),
    st.integers(1, 247),
)
def test_strengths_stay_within_bounds(kind: TestKind, values: list[int], unit_id: int) -> None:
    assert 0 <= strength(_test(kind, *values), unit_id) <= 16


@given(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF), st.integers(0, 0xFFFF))
def test_a_range_includes_its_ends(low: int, high: int, raw: int) -> None:
    low, high = sorted((low, high))
    assert holds(_test(TestKind.RANGE, low, high), raw, 1) is (low <= raw <= high)


@pytest.mark.parametrize(
    ("test", "raw", "expected"),
    [
        (_test(TestKind.EQUALS_ANY, 71, 72), 72, True),
        (_test(TestKind.EQUALS_ANY, 71, 72), 73, False),
        (_test(TestKind.PREFIX, "B23", "B24"), "B24 112", True),
        (_test(TestKind.PREFIX, "B23"), "xB23", False),
        (_test(TestKind.CONTAINS, "3155"), "iEM3155", True),
        (_test(TestKind.CONTAINS, "3155"), "iem3255", False),
        (_test(TestKind.EQUALS_ANY, "SPEM"), "SPEM ", True),
        (_test(TestKind.UNIT_ID), 17, True),
        (_test(TestKind.UNIT_ID), 18, False),
        (_test(TestKind.HIGH_BYTE_UNIT_ID), 17 << 8 | 3, True),
        (_test(TestKind.HIGH_BYTE_UNIT_ID), 18 << 8 | 3, False),
        (_test(TestKind.LISTED), 0, True),
    ],
)
def test_tests_hold_or_not(test: IdentityTest, raw: float | str, expected: bool) -> None:
    assert holds(test, raw, 17) is expected
    assert not holds(test, None, 17)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("voltage_l1", 230.4, True),
        ("voltage_l1", 2304.0, False),
        ("voltage_l1", 0.0, False),
        ("frequency", 49.98, True),
        ("frequency", 4998.0, False),
        ("power_factor", -0.97, True),
        ("power_factor", 97.0, False),
        ("energy_import", -1.0, False),
        ("energy_net", -1.0, True),
        ("temperature", 1e9, None),
    ],
)
def test_plausible_values(key: str, value: float, expected: bool | None) -> None:
    assert plausible(_register(key), value) is expected
    assert plausible(_register(key), None) is None


def test_a_float_in_range_says_more_than_a_single_register() -> None:
    narrow = _register("voltage_l1", RegisterType.UINT16, 1)
    wide = _register("voltage_l1", RegisterType.INT32, 2)
    assert worth(narrow) < worth(wide) < worth(_register("voltage_l1"))


@given(
    st.floats(100, 250),
    st.floats(0.5, 50),
    st.floats(0.3, 1),
    st.sampled_from((1, -1)),
)
def test_values_that_agree_speak_for_a_profile(
    voltage: float, current: float, factor: float, sign: int
) -> None:
    values = {
        "voltage": voltage,
        "current": current,
        "power_factor": factor,
        "power": sign * voltage * current * factor,
    }
    assert coherence(values) > 0
    assert coherence(values | {"power": 3 * voltage * current}) < 0


def test_an_idle_meter_is_not_judged_by_its_power() -> None:
    idle = {"voltage_l1": 230.0, "current_l1": 0.0, "power_l1": 0.0, "power": 0.0}
    assert coherence(idle) == 0


def test_a_total_that_is_not_its_phases_speaks_against_a_profile() -> None:
    phases = {"power_l1": 500.0, "power_l2": 600.0, "power_l3": 700.0}
    assert coherence(phases | {"power": 1800.0}) > 0
    assert coherence(phases | {"power": 180.0}) < 0
