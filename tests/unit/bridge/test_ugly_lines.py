"""Lines as boards really print them, kept in `corpus/`."""

import codecs
from pathlib import Path

import pytest

from custom_components.energy_meter.sources.bridge.protocol import (
    REASONS,
    BadLine,
    Readings,
    parse_line,
)

CORPUS = Path(__file__).parent / "corpus"


def corpus(name: str) -> list[tuple[str, bytes]]:
    """`[(what is expected, the line)]` of a file."""
    found = []
    for text in (CORPUS / name).read_text(encoding="ascii").splitlines():
        if text and not text.startswith("#"):
            expected, _, line = text.partition(" => ")
            found.append((expected, codecs.escape_decode(line.encode())[0]))
    return found


@pytest.mark.parametrize(("expected", "line"), corpus("understood.txt"))
def test_an_ugly_line_gives_the_values_that_are_in_it(expected: str, line: bytes) -> None:
    message, _ = parse_line(line)
    assert isinstance(message, Readings)
    (reading,) = message.readings
    assert " ".join(f"{key}={value}" for key, value in reading.values.items()) == expected


@pytest.mark.parametrize(("reason", "line"), corpus("bad.txt"))
def test_a_bad_line_says_what_is_wrong(reason: str, line: bytes) -> None:
    with pytest.raises(BadLine) as caught:
        parse_line(line)
    assert caught.value.reason == reason
    assert caught.value.reason in REASONS
    assert caught.value.detail.isprintable()
    assert len(caught.value.detail) < 120
