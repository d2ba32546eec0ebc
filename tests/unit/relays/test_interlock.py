"""Interlock: how long a relay stays off, what counts as on, and what is kept of it."""

import json
from typing import Any

from hypothesis import given, strategies as st
import pytest

from custom_components.energy_meter.relays.interlock import (
    CONFIRM_FROM,
    CONFIRM_UNTIL,
    Confirmation,
    Interlock,
    RelayRecord,
    is_on,
)


@given(
    minimum=st.floats(0, 86_400),
    since=st.one_of(st.none(), st.floats(0, 4e9)),
    now=st.floats(0, 4e9),
    on=st.one_of(st.none(), st.booleans()),
)
def test_nobody_waits_longer_than_was_asked_for_whatever_the_clock_does(
    minimum: float, since: float | None, now: float, on: bool | None
) -> None:
    wait = Interlock(minimum_off=minimum).wait(RelayRecord(on=on, since=since), now)
    assert 0 <= wait <= minimum
    if on is not False or since is None:
        assert wait == 0


def test_the_wait_begins_when_it_was_switched_off() -> None:
    interlock, record = Interlock(minimum_off=60), RelayRecord(on=False, since=1000.0)
    assert interlock.wait(record, 1000) == 60
    assert interlock.wait(record, 1059) == 1
    assert interlock.wait(record, 1060) == 0


@pytest.mark.parametrize(
    ("state", "power", "on"),
    [
        ("on", False, True),
        ("heat", False, True),
        ("playing", False, True),
        ("off", False, False),
        ("idle", False, False),
        ("standby", False, False),
        ("unavailable", False, None),
        ("unknown", False, None),
        (None, False, None),
        ("1200.5", True, True),
        ("-300", True, True),
        ("3.2", True, False),
        ("nan", True, None),
        ("much", True, None),
        ("unavailable", True, None),
    ],
)
def test_what_is_not_known_to_be_off_is_not_off(
    state: str | None, power: bool, on: bool | None
) -> None:
    assert is_on(state, power=power) is on


@given(
    on=st.one_of(st.none(), st.booleans()),
    who=st.one_of(st.none(), st.text()),
    reason=st.one_of(st.none(), st.text()),
    since=st.one_of(st.none(), st.floats(0, 4e9)),
)
def test_a_record_outlives_a_restart(
    on: bool | None, who: str | None, reason: str | None, since: float | None
) -> None:
    record = RelayRecord(on=on, changed_by=who, reason=reason, since=since, held=on is False)
    assert RelayRecord.from_dict(json.loads(json.dumps(record.to_dict()))) == record


@pytest.mark.parametrize(
    "kept",
    [None, 5, [], {"on": 1, "since": "x", "changed_by": 7, "held": "yes"}, {"held": True}],
)
def test_a_broken_record_is_none(kept: Any) -> None:
    assert RelayRecord.from_dict(kept) == RelayRecord()


OFF, ON = (False, "Ada"), (True, "Ada")


@pytest.mark.parametrize(
    ("wishes", "meant"),
    [
        ([(OFF, 0.0), (OFF, 3.0)], [False, True]),
        ([(OFF, 0.0), (OFF, 0.3), (OFF, 3.0)], [False, False, True]),
        ([(OFF, 0.0), (OFF, 16.0), (OFF, 20.0)], [False, False, True]),
        ([(OFF, 0.0), (ON, 3.0), (OFF, 6.0)], [False, False, False]),
        ([(OFF, 0.0), ((False, "Bob"), 3.0)], [False, False]),
        ([(OFF, 0.0), (OFF, 3.0), (OFF, 6.0)], [False, True, False]),
    ],
)
def test_a_wish_is_meant_when_the_same_person_has_it_again(
    wishes: list[tuple[tuple[bool, str], float]], meant: list[bool]
) -> None:
    confirmation = Confirmation()
    assert [confirmation.take(wish, at) for wish, at in wishes] == meant


@given(
    st.lists(
        st.tuples(st.booleans(), st.sampled_from(["Ada", "Bob"]), st.floats(0, 30)), max_size=9
    )
)
def test_nothing_is_ever_meant_without_having_been_asked_for_before(
    wishes: list[tuple[bool, str, float]],
) -> None:
    confirmation = Confirmation()
    now = 0.0
    asked: list[tuple[tuple[bool, str], float]] = []
    for on, who, passed in wishes:
        now += passed
        if confirmation.take((on, who), now):
            assert any(
                wish == (on, who) and CONFIRM_FROM <= now - at <= CONFIRM_UNTIL
                for wish, at in asked
            )
        asked.append(((on, who), now))
