"""Tampering: what counts as a sign of it, with which evidence, and what must not."""

from collections.abc import Iterable
import json
from typing import Any

from hypothesis import given, strategies as st
import pytest

from custom_components.energy_meter.metering.events import CounterEvent, CounterEventKind
from custom_components.energy_meter.metering.tamper import (
    GAP,
    HOLD,
    TAMPER_EVENTS,
    TamperChange,
    TamperSign,
    TamperSource,
    TamperWatch,
    watched_for_tamper,
)

START = 1_700_000_000.0


class House:
    """A meter's surroundings, over seconds."""

    def __init__(self, **more: Any) -> None:
        self.watch = TamperWatch(**more)
        self.now = 0.0
        self.changes: list[TamperChange] = []

    def shows(self, seconds: float, *, step: float = 5.0, **values: Any) -> None:
        """Have the meter show this for so long."""
        end = self.now + seconds
        while self.now < end:
            self.now += step
            self.changes += self.watch.look(values, time=START + self.now, monotonic=self.now)

    def waits(
        self,
        seconds: float,
        *,
        answering: bool = False,
        linked: bool = True,
        neighbours: int = 0,
        energy: float | None = None,
    ) -> None:
        """Let time pass while the meter answers or not."""
        end = self.now + seconds
        while self.now < end:
            self.now += 5
            self.changes += self.watch.look_around(
                answering=answering,
                linked=linked,
                neighbours=neighbours,
                energy=energy,
                time=START + self.now,
                monotonic=self.now,
            )

    def event(self, event: str, ago: float = 0.0) -> None:
        now = START + self.now
        self.changes += self.watch.take_event(event, time=now - ago, now=now)

    def counter(self, kind: CounterEventKind, key: str = "energy_import") -> None:
        event = CounterEvent(key=key, kind=kind, before=100.0, after=5.0, time=START + self.now)
        self.changes += self.watch.take_counter(event, now=START + self.now)

    @property
    def told(self) -> list[TamperSign]:
        return [change.evidence.sign for change in self.changes if change.tampered]


def test_an_open_cover_stands_until_it_was_closed_an_hour_ago() -> None:
    house = House()
    house.event("cover_open")
    assert house.told == [TamperSign.COVER]
    assert house.changes[0].evidence.source is TamperSource.METER
    house.shows(10 * HOLD, step=600)
    assert house.watch.tampered
    house.event("cover_open")
    assert house.told == [TamperSign.COVER]
    house.event("cover_closed")
    house.shows(HOLD - 600, step=600)
    assert house.watch.tampered
    house.shows(600)
    assert not house.watch.tampered
    assert not house.changes[-1].tampered


def test_a_magnet_is_told_and_passes() -> None:
    house = House()
    house.event("magnet")
    house.shows(HOLD + 5)
    assert [change.tampered for change in house.changes] == [True, False]


def test_what_was_told_hours_late_is_told_all_the_same_and_does_not_stand() -> None:
    house = House()
    house.event("magnet", ago=3 * HOLD)
    assert house.told == [TamperSign.MAGNET]
    assert house.changes[0].evidence.since == START - 3 * HOLD
    assert not house.watch.tampered


@pytest.mark.parametrize(
    "event", ["relay", "brown_out", "watchdog", "new_meter", "", "cover_closed"]
)
def test_other_events_say_nothing(event: str) -> None:
    house = House()
    house.event(event)
    assert house.changes == []


def test_current_without_voltage_is_told_with_its_numbers() -> None:
    house = House(rated_current=20)
    house.shows(60, voltage=230.0, current=4.0)
    house.shows(10, voltage=0.5, current=4.0)
    assert house.told == []
    house.shows(5, voltage=0.5, current=4.0)
    (change,) = house.changes
    assert change.evidence.sign is TamperSign.CURRENT_WITHOUT_VOLTAGE
    assert change.evidence.source is TamperSource.INFERRED
    assert change.evidence.details == {"voltage": 0.5, "current": 4.0}


def test_the_phase_is_named_and_the_average_of_phases_not_looked_at() -> None:
    house = House()
    volts = {"voltage_l1": 230.0, "voltage_l2": 230.0, "voltage_l3": 230.0, "voltage": 230.0}
    amperes = {"current_l1": 3.0, "current_l2": 3.0, "current_l3": 3.0}
    house.shows(60, **volts, **amperes)
    house.shows(30, **{**volts, "voltage_l2": 0.0, "voltage": 0.0}, **amperes, current=9.0)
    (change,) = house.changes
    assert change.evidence.details["phase"] == "L2"


@pytest.mark.parametrize(
    ("before", "then"),
    [
        pytest.param({}, {"voltage": 0.0, "current": 5.0}, id="never any voltage"),
        pytest.param({"voltage": 12.0, "current": 5.0}, {"voltage": 0.0, "current": 5.0}, id="a battery"),
        pytest.param({"voltage": 230.0, "current": 5.0}, {"voltage": 0.0, "current": 0.1}, id="power cut"),
        pytest.param({"voltage": 230.0, "current": 5.0}, {"voltage": 0.0}, id="no current measured"),
        pytest.param({"voltage": 230.0, "current": 5.0}, {"voltage": None, "current": 5.0}, id="voltage not known"),
        pytest.param({"voltage": 230.0}, {"current": 5.0}, id="voltage not read any more"),
        pytest.param({"voltage": 230.0, "current": 5.0}, {"voltage": 180.0, "current": 9.0}, id="sagging"),
    ],
)  # fmt: skip
def test_what_is_no_current_without_voltage(before: dict[str, Any], then: dict[str, Any]) -> None:
    house = House()
    house.shows(60, **before)
    house.shows(600, **then)
    assert house.changes == []


def test_power_that_turns_round_where_it_only_flows_in_is_told() -> None:
    house = House(one_way=True)
    house.shows(120, power=1500.0)
    house.shows(60, power=-1480.0)
    assert house.told == []
    house.shows(10, power=-1480.0)
    (change,) = house.changes
    assert change.evidence.sign is TamperSign.REVERSAL
    assert change.evidence.details == {"before": 1500.0, "after": -1480.0}


def test_one_phase_that_turns_round_is_named() -> None:
    house = House(one_way=True)
    house.shows(120, power=3000.0, power_l1=1000.0, power_l2=1000.0, power_l3=1000.0)
    house.shows(120, power=1000.0, power_l1=1000.0, power_l2=-1000.0, power_l3=1000.0)
    (change,) = house.changes
    assert change.evidence.details["phase"] == "L2"


def test_where_power_may_flow_out_a_reversal_means_nothing() -> None:
    house = House(one_way=False)
    house.shows(120, power=1500.0, energy_export=1.0)
    house.shows(3600, power=-1480.0, energy_export=9.0)
    assert house.changes == []


def test_a_meter_that_was_wired_the_wrong_way_is_not_tampered_with() -> None:
    house = House(one_way=True)
    house.shows(3600, power=-1500.0, energy_export=1.0)
    house.shows(3600, power=-1500.0, energy_export=3.0)
    assert house.changes == []


def test_a_motor_that_brakes_is_not_tampered_with() -> None:
    house = House(one_way=True)
    house.shows(120, power=1500.0)
    for _ in range(20):
        house.shows(30, power=-900.0)
        house.shows(30, power=1500.0)
    assert house.changes == []


def test_after_its_direction_was_turned_in_the_settings_nothing_is_concluded() -> None:
    house = House(one_way=True)
    house.shows(120, power=1500.0)
    house.watch.forget_direction()
    house.shows(600, power=-1500.0)
    assert house.changes == []


def test_the_meters_own_counter_of_reversed_energy_is_the_meters_word() -> None:
    house = House(one_way=True)
    house.shows(120, power=1500.0, energy_export=0.3)
    house.shows(60, power=10.0, energy_export=0.35)
    assert house.changes == []
    house.shows(5, power=10.0, energy_export=0.45)
    (change,) = house.changes
    assert change.evidence.sign is TamperSign.REVERSED_ENERGY
    assert change.evidence.source is TamperSource.METER
    assert change.evidence.details == {"before": 0.3, "after": 0.45}


def test_a_counter_that_stepped_back_is_told_and_taken_back_if_it_was_a_slip() -> None:
    house = House()
    house.counter(CounterEventKind.LOWER)
    assert house.told == [TamperSign.COUNTER_BACK]
    details = house.changes[0].evidence.details
    assert details == {"counter": "energy_import", "before": 100.0, "after": 5.0}
    house.counter(CounterEventKind.BACK, key="energy_export")
    assert house.watch.tampered
    house.counter(CounterEventKind.BACK)
    assert not house.watch.tampered
    assert not house.changes[-1].tampered


@pytest.mark.parametrize(
    "kind", [each for each in CounterEventKind if each is not CounterEventKind.LOWER]
)
def test_what_else_happens_to_counters_is_no_tampering(kind: CounterEventKind) -> None:
    house = House()
    house.counter(kind)
    assert house.changes == []


def test_silence_while_the_neighbours_have_power_is_told() -> None:
    house = House()
    house.waits(60, answering=True, neighbours=2)
    house.waits(GAP, neighbours=2)
    assert house.told == []
    house.waits(10, neighbours=2)
    (change,) = house.changes
    assert change.evidence.sign is TamperSign.GAP
    assert change.evidence.details["neighbours"] == 2
    assert change.evidence.details["seconds"] == pytest.approx(GAP, abs=6)
    house.waits(HOLD, neighbours=2)
    assert len(house.changes) == 1


def test_what_was_counted_during_a_silence_proves_power() -> None:
    house = House()
    house.waits(60, answering=True, energy=10.0)
    house.waits(600)
    assert house.changes == []
    house.waits(20, answering=True)
    house.waits(5, answering=True, energy=10.4)
    (change,) = house.changes
    assert change.evidence.details["energy"] == pytest.approx(0.4, abs=1e-9)


def test_silences_that_are_no_tampering() -> None:
    silences: tuple[dict[str, Any], ...] = (
        {"linked": False, "neighbours": 2},  # Ours.
        {"neighbours": 0},  # Nobody has power, or nobody else is there.
    )
    for silence in silences:
        house = House()
        house.waits(60, answering=True, neighbours=2, energy=10.0)
        house.waits(3600, **silence)
        house.waits(60, answering=True, neighbours=2, energy=10.0)
        assert house.changes == [], silence


def test_a_link_that_was_lost_meanwhile_makes_a_silence_ours() -> None:
    house = House()
    house.waits(60, answering=True, neighbours=2, energy=10.0)
    house.waits(200, neighbours=2)
    house.waits(5, linked=False)
    house.waits(3600, neighbours=2)
    house.waits(60, answering=True, energy=12.0)
    assert house.changes == []


def test_a_meter_that_was_not_there_yet_since_our_start_has_no_gap() -> None:
    house = House()
    house.waits(3600, neighbours=3)
    house.waits(60, answering=True, energy=12.0)
    assert house.changes == []


def test_a_short_silence_is_no_gap() -> None:
    house = House()
    for _ in range(10):
        house.waits(60, answering=True, neighbours=2, energy=10.0)
        house.waits(GAP - 10, neighbours=2)
    assert house.changes == []


def test_the_signs_outlive_a_restart_and_are_told_once() -> None:
    house = House(one_way=True)
    house.shows(60, voltage=230.0, current=4.0)
    house.event("cover_open")
    house.counter(CounterEventKind.LOWER)
    again = House(one_way=True, state=json.loads(json.dumps(house.watch.to_dict())))
    assert again.watch.signs == house.watch.signs
    again.now = house.now
    again.shows(5, voltage=230.0, current=4.0)
    again.event("cover_open")
    assert again.changes == []
    again.shows(20, voltage=0.0, current=4.0)
    assert again.told == [TamperSign.CURRENT_WITHOUT_VOLTAGE]


@pytest.mark.parametrize(
    "state",
    [
        {"signs": 5, "live": 7},
        {"signs": {"magnet": 5, "other": {}, "cover_open": {"since": "x", "seen": None}}},
        {"live": [None, "_l9", 5]},
    ],
)
def test_a_broken_state_is_no_state(state: Any) -> None:
    assert not TamperWatch(state=state).tampered


def test_only_what_is_measured_is_looked_at() -> None:
    assert watched_for_tamper(["voltage_l2", "frequency", "energy_total", "power"]) == (
        "voltage_l2",
        "energy_total",
        "power",
    )


VALUES = st.dictionaries(
    st.sampled_from(
        [
            f"{base}{phase}"
            for base in ("voltage", "current", "power")
            for phase in ("", "_l1", "_l3")
        ]
        + ["energy_export", "frequency"]
    ),
    st.one_of(
        st.none(), st.floats(), st.integers(-5000, 5000), st.sampled_from([0.0, 230.0, 5.0, -900.0])
    ),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("look"), VALUES),
        st.tuples(st.just("event"), st.sampled_from(sorted(TAMPER_EVENTS | {"relay"}))),
        st.tuples(st.just("counter"), st.sampled_from(list(CounterEventKind))),
        st.tuples(
            st.just("around"),
            st.fixed_dictionaries(
                {
                    "answering": st.booleans(),
                    "linked": st.booleans(),
                    "neighbours": st.integers(0, 3),
                    "energy": st.one_of(st.none(), st.floats(0, 1e6)),
                }
            ),
        ),
    ),
    max_size=40,
)


def drive(watch: TamperWatch, steps: Iterable[tuple[str, Any]], pace: float) -> list[TamperChange]:
    changes: list[TamperChange] = []
    for index, (kind, what) in enumerate(steps):
        now = index * pace
        match kind:
            case "look":
                found = watch.look(what, time=START + now, monotonic=now)
            case "event":
                found = watch.take_event(what, time=START + now, now=START + now)
            case "counter":
                event = CounterEvent(
                    key="energy_import", kind=what, before=9.0, after=1.0, time=START + now
                )
                found = watch.take_counter(event, now=START + now)
            case _:
                found = watch.look_around(time=START + now, monotonic=now, **what)
        changes += found
    return changes


@given(steps=STEPS, pace=st.floats(0, 4000), one_way=st.booleans())
def test_whatever_comes_it_stays_bounded_and_every_end_has_a_beginning(
    steps: list[tuple[str, Any]], pace: float, one_way: bool
) -> None:
    watch = TamperWatch(one_way=one_way, rated_current=20)
    standing = False
    for change in drive(watch, steps, pace):
        assert change.tampered or standing
        standing = change.tampered
    assert standing or not watch.tampered
    assert len(watch.signs) <= len(TamperSign)
    kept = json.loads(json.dumps(watch.to_dict()))
    assert TamperWatch(state=kept).to_dict() == kept


@given(
    volts=st.lists(st.floats(180, 260), min_size=1, max_size=30),
    cuts=st.lists(st.booleans(), min_size=1, max_size=30),
)
def test_power_cuts_at_any_instant_are_no_tampering(volts: list[float], cuts: list[bool]) -> None:
    house = House(one_way=True)
    for voltage, cut in zip(volts, cuts, strict=False):
        if cut:
            # Voltage is read just before or after the current of the other round.
            house.shows(5, voltage=0.0, current=5.0, power=1000.0)
            house.shows(60, voltage=0.0, current=0.0, power=0.0)
        house.shows(60, voltage=voltage, current=5.0, power=voltage * 5)
    assert house.changes == []


@given(
    spans=st.lists(
        st.tuples(st.booleans(), st.booleans(), st.integers(5, 1200)), min_size=1, max_size=20
    )
)
def test_alone_on_its_link_without_a_counter_no_silence_is_a_sign(
    spans: list[tuple[bool, bool, int]],
) -> None:
    house = House()
    for answering, linked, seconds in spans:
        house.waits(seconds, answering=answering, linked=linked)
    assert house.changes == []
