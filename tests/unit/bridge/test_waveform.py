"""A capture through a bridge: taken if every number in it fits, refused in words otherwise."""

import asyncio
import json
from math import pi, sin, sqrt
from typing import Any

from hypothesis import given, strategies as st
import pytest

from custom_components.energy_meter.metering.waveform import Waveform
from custom_components.energy_meter.sources.base import SourceError
from custom_components.energy_meter.sources.bridge.protocol import MAX_LINE
from custom_components.energy_meter.sources.bridge.waveform import (
    MOST_PAIRS,
    BadWaveformError,
    parse_waveform,
)

from .test_session import Talk

_NUMBERS = st.integers(-(10**6), 10**6) | st.floats() | st.text() | st.none() | st.booleans()


def answer(cycles: int = 2, pairs: int = 74, **changes: Any) -> dict[str, Any]:
    """A sine of 230 V and one of 5 A at 50 Hz, as a hub says them."""
    wave = [sin(2 * pi * cycles * pair / pairs) for pair in range(pairs)]
    return {
        "rate": pairs * 50 / cycles,
        "cycles": cycles,
        "delay": 0.0000123,
        "voltage": {
            "scale": 0.8812,
            "zero": 511.25,
            "samples": [round(511.25 + 230 * sqrt(2) * each / 0.8812) for each in wave],
        },
        "current": {
            "scale": 0.0731,
            "zero": 512.0,
            "samples": [round(512 + 5 * sqrt(2) * each / 0.0731) for each in wave],
        },
    } | changes


def test_counts_become_volts_and_amperes() -> None:
    wave = parse_waveform(answer(), 2)
    assert wave.voltage.rms == pytest.approx(230, abs=0.5)
    assert wave.current.rms == pytest.approx(5, abs=0.05)
    assert wave.current.crest_factor == pytest.approx(sqrt(2), abs=0.02)
    assert wave.frequency == pytest.approx(50, abs=1e-6)
    assert (wave.cycles, wave.delay) == (2, 0.0000123)


def test_one_cycle_may_be_answered_where_two_were_asked_for() -> None:
    assert parse_waveform(answer(1, 37), 2).cycles == 1
    with pytest.raises(BadWaveformError):
        parse_waveform(answer(2), 1)


def _side(**changes: Any) -> dict[str, Any]:
    return {**answer()["current"], **changes}


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        (None, "no object"),
        ([1, 2], "no object"),
        (answer(rate=None), "rate"),
        (answer(rate=-1850.0), "rate"),
        (answer(rate=300.0), "rate"),
        (answer() | {"cycles": True}, "cycles"),
        (answer() | {"cycles": 0}, "cycles"),
        (answer() | {"cycles": "2"}, "cycles"),
        (answer(delay=5), "delay"),
        (answer(voltage=7), "voltage"),
        (answer(current=_side(scale=0)), "current.scale"),
        (answer(current=_side(zero="512")), "current.zero"),
        (answer(current=_side(samples="x")), "current.samples"),
        (answer(current=_side(samples=[1.5] * 74)), "current.samples"),
        (answer(current=_side(samples=[True] * 74)), "current.samples"),
        (answer(current=_side(samples=[2**40] * 74)), "current.samples"),
        (answer(current=_side(samples=[512] * 73)), "samples"),
        (answer(pairs=6), "samples"),
        (answer(pairs=MOST_PAIRS + 1), "voltage.samples"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_name(given: object, wrong: str) -> None:
    with pytest.raises(BadWaveformError) as refused:
        parse_waveform(given, 2)
    assert str(refused.value) == wrong


@given(
    st.dictionaries(
        st.sampled_from(["rate", "cycles", "delay", "voltage", "current"]),
        st.dictionaries(
            st.sampled_from(["scale", "zero", "samples"]), _NUMBERS | st.lists(_NUMBERS)
        )
        | _NUMBERS
        | st.lists(_NUMBERS),
    )
)
def test_nothing_else_is_ever_raised(changes: dict[str, Any]) -> None:
    try:
        found: object = parse_waveform(answer() | changes, 2)
    except BadWaveformError as err:
        found = err
    assert isinstance(found, Waveform) or str(found)


def test_the_longest_capture_fits_a_line() -> None:
    longest = answer(pairs=MOST_PAIRS)
    line = json.dumps({"type": "ack", "id": 2**31 - 1, "ok": True, "value": longest})
    assert len(line) < MAX_LINE


def _capture(value: object) -> Waveform:
    async def run() -> Waveform:
        talk = Talk()
        talk.session.connected()
        waiting = asyncio.create_task(talk.session.capture("oven", 2))
        await asyncio.sleep(0)
        [asked] = talk.asked("command")
        assert (asked["control"], asked["meter"], asked["value"]) == ("capture", "oven", 2)
        talk.line({"type": "ack", "id": asked["id"], "ok": True, "value": value})
        return await waiting

    return asyncio.run(run())


def test_a_session_asks_for_a_capture_and_reads_the_answer() -> None:
    assert _capture(answer()).voltage.rms == pytest.approx(230, abs=0.5)


def test_an_answer_that_is_no_capture_is_told_as_one() -> None:
    with pytest.raises(SourceError) as bad:
        _capture(1)
    assert bad.value.key == "bridge_bad_waveform"
    assert bad.value.placeholders["text"] == "no object"
