"""What the AVR firmware keeps in its EEPROM survives a supply that fails at any byte."""

from collections.abc import Iterator
import ctypes

from hypothesis import given, strategies as st
import pytest

from .logic import LogicNode, erase, fail_after, logic, storage, variable

TICKS = 2_000_000
"""Of the clock, per second."""


@pytest.fixture(autouse=True)
def board() -> Iterator[None]:
    erase()
    yield
    erase()


def saved() -> tuple[int, int]:
    return logic().host_told_import(), logic().host_told_export()


powers = st.integers(-8_000_000, 8_000_000)


@given(st.lists(st.tuples(powers, st.integers(1, TICKS)), max_size=40))
def test_energy_is_the_exact_sum_of_power_and_time(windows: list[tuple[int, int]]) -> None:
    erase()
    logic().host_energy_start()
    for power, ticks in windows:
        logic().host_energy_add(power, ticks)
    for counted, sign in (
        (logic().host_counted_import(), 1),
        (logic().host_counted_export(), -1),
    ):
        exact = sum(max(sign * power, 0) * ticks for power, ticks in windows)
        assert counted == exact // (3600 * TICKS)


@given(
    before=st.integers(0, 2**40),
    steps=st.lists(st.integers(1, 10**7), min_size=1, max_size=80),
    cut=st.integers(0, 30),
    spoilt=st.integers(0, 255),
)
def test_a_supply_that_fails_during_a_save_leaves_the_figures_before_it_or_after_it(
    before: int, steps: list[int], cut: int, spoilt: int
) -> None:
    erase()
    logic().host_energy_start()
    for mwh in [before, *steps[:-1]]:
        for _ in range(mwh // 2**31 + 1):
            logic().host_energy_add(min(mwh, 2**31 - 1), 3600)
        assert logic().host_energy_save()
    last, boot = saved(), logic().host_boot()
    logic().host_energy_add(steps[-1], TICKS)
    logic().host_energy_add(2_000_000_000, TICKS)
    meant = (logic().host_counted_import(), logic().host_counted_export())
    fail_after(cut, spoilt)
    logic().host_energy_save()
    logic().host_power_on()
    logic().host_energy_start()
    assert saved() in (last, meant)
    assert logic().host_boot() == boot + 1


def test_a_counter_that_was_told_never_falls_over_a_thousand_failing_saves() -> None:
    logic().host_energy_start()
    told, boot = saved(), logic().host_boot()
    for round_ in range(1000):
        logic().host_energy_add(40_000_000, TICKS * 3600 // 1000)
        fail_after(round_ % 29, round_ * 37 % 256)
        logic().host_energy_save()
        assert saved() >= told
        told = saved()
        logic().host_power_on()
        logic().host_energy_start()
        assert saved() >= told
        assert logic().host_boot() > boot
        told, boot = saved(), logic().host_boot()
    assert told[0] > 0


def test_wear_is_spread_over_all_slots() -> None:
    logic().host_energy_start()
    changes = [0] * 1024
    before = bytes(storage())
    for _ in range(34 * 10):
        logic().host_energy_add(40_000_000, TICKS * 2)
        assert logic().host_energy_save()
        now = bytes(storage())
        changes = [count + (a != b) for count, a, b in zip(changes, before, now)]
        before = now
    assert sum(changes[:128]) == 0, "the settings have a place of their own"
    assert max(changes) <= 11


@pytest.mark.parametrize(
    ("watts", "seconds", "saves"),
    [
        (0, 3600, 0),  # nothing to save
        (6, 3600, 6),  # 1 Wh in ten minutes
        (100, 3600, 12),  # 8 Wh in five minutes
        (2000, 3600, 60),  # more than 10 Wh a minute
        (8000, 360, 18),  # 40 Wh come together in 18 s: every 20 s
    ],
)
def test_it_saves_when_it_is_worth_the_wear(watts: int, seconds: int, saves: int) -> None:
    logic().host_energy_start()
    told, count = saved(), 0
    for _ in range(seconds):
        logic().host_energy_add(watts * 1000, TICKS)
        logic().host_energy_second()
        unsaved = logic().host_counted_import() - logic().host_told_import()
        assert unsaved <= max(10_000 + watts * 1000 // 60, 41_000), "mWh that a failure would cost"
        count += saved() != told
        told = saved()
    assert count == pytest.approx(saves, abs=2)


def test_a_memory_that_takes_nothing_any_more_is_noticed_and_nothing_is_made_up() -> None:
    logic().host_energy_start()
    logic().host_energy_add(3_600_000, TICKS * 10)
    variable("host_worn", ctypes.c_bool).value = True
    before = saved()
    assert not logic().host_energy_save()
    assert saved() == before
    counted = logic().host_counted_import()
    assert not logic().host_energy_reset()
    assert logic().host_counted_import() == counted
    variable("host_worn", ctypes.c_bool).value = False
    assert logic().host_energy_save()
    assert saved()[0] == counted


def test_a_slot_that_is_damaged_costs_what_was_saved_last_and_nothing_more() -> None:
    logic().host_energy_start()
    figures = []
    for _ in range(5):
        logic().host_energy_add(36_000_000, TICKS * 10)
        logic().host_energy_save()
        figures.append(saved())
    storage()[128 + 5 * 26 + 9] ^= 0x10
    logic().host_energy_start()
    assert saved() == figures[-2]


@given(cut=st.integers(0, 60), spoilt=st.integers(0, 255), gain=st.integers(1000, 50000))
def test_a_supply_that_fails_while_a_setting_is_kept_leaves_the_old_or_the_new_one(
    cut: int, spoilt: int, gain: int
) -> None:
    erase()
    node = LogicNode()
    say(node, "voltage_gain", 1.25)
    identity = bytes(storage())[: 2 * 55]
    fail_after(cut, spoilt)
    say(node, "voltage_gain", gain / 10_000)
    logic().host_power_on()
    again = LogicNode()
    assert again.setting("voltage_gain") in (12_500, gain)
    assert again.setting("dead_band") == 80
    assert len(identity) == 110


def say(node: LogicNode, control: str, value: float) -> None:
    node.line(f'{{"type":"command","id":1,"control":"{control}","value":{value}}}'.encode())


def test_who_it_is_stays_the_same_when_one_copy_of_the_settings_is_lost() -> None:
    node = LogicNode()
    say(node, "dead_band", 0.5)
    node.work()
    bridge = node.messages()[1]["bridge"]
    for at in range(55, 110):
        spoilt = bytes(storage())
        storage()[at] ^= 0x5A
        again = LogicNode()
        again.work()
        assert again.messages()[0]["bridge"] == bridge
        ctypes.memmove(storage(), spoilt, 1024)


def test_settings_beyond_their_limits_in_the_memory_stand_at_their_initial_values() -> None:
    LogicNode()
    erased = LogicNode()
    say(erased, "dead_band", 0.5)
    ctypes.memset(storage(), 0, 110)
    assert LogicNode().setting("dead_band") == 80
