"""Lines out of a stream, with bounded memory."""

import asyncio
from collections.abc import Iterable
import itertools

from hypothesis import given, settings, strategies as st
import pytest

from custom_components.energy_meter.sources.bridge.lines import LineSplitter
from custom_components.energy_meter.sources.bridge.link import Throttle


def split(pieces: Iterable[bytes], limit: int = 20) -> list[bytes | None]:
    splitter = LineSplitter(limit)
    out: list[bytes | None] = []
    for piece in pieces:
        out += splitter.feed(piece)
        assert splitter.held <= limit + 1
    return out


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"a\nb\n", [b"a", b"b"]),
        (b"a\r\nb\r\n", [b"a", b"b"]),
        (b"\n\r\n\na\n", [b"a"]),
        (b"a", []),
        (b"x" * 20 + b"\n", [b"x" * 20]),
        (b"x" * 20 + b"\r\n", [b"x" * 20]),
        (b"x" * 21 + b"\n" + b"a\n", [None, b"a"]),
        (b"x" * 500 + b"\n" + b"a\n", [None, b"a"]),
    ],
)
def test_lines_end_at_a_line_feed(data: bytes, lines: list[bytes | None]) -> None:
    assert split([data]) == lines


@given(
    st.lists(st.binary(max_size=60).map(lambda data: data.replace(b"\r", b"")), max_size=20),
    st.data(),
)
def test_it_does_not_matter_in_what_pieces_a_stream_comes(
    lines: list[bytes], data: st.DataObject
) -> None:
    stream = b"\n".join(lines) + b"\n"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    bounds = [0, *cuts, len(stream)]
    pieces = [stream[low:high] for low, high in itertools.pairwise(bounds)]
    expected = [None if len(line) > 20 else line for line in stream.split(b"\n")[:-1] if line]
    assert split(pieces) == expected


@settings(max_examples=20, deadline=None)
@given(st.integers(50, 9000))
def test_a_megabyte_without_an_end_is_never_held(piece: int) -> None:
    splitter = LineSplitter()
    announced = 0
    for _ in range(0, 1_000_000, piece):
        announced += len(splitter.feed(b"[" * piece))
        assert splitter.held <= 32_769
    assert announced == 1
    assert splitter.feed(b"\n{}\n") == [b"{}"]


def test_half_a_line_can_be_forgotten() -> None:
    splitter = LineSplitter()
    assert splitter.feed(b'{"Volt') == []
    splitter.clear()
    assert splitter.feed(b"{}\n") == [b"{}"]


def test_a_sender_that_is_faster_than_any_board_has_to_wait() -> None:
    now, slept = [0.0], 0.0

    async def sleep(seconds: float) -> None:
        nonlocal slept
        slept += seconds
        now[0] += seconds

    async def send() -> None:
        throttle = Throttle(lambda: now[0], sleep)
        for _ in range(2048):
            await throttle.passed(4096)

    asyncio.run(send())
    # 8 MiB, of which 2 at once and 256 KiB a second.
    assert slept == pytest.approx(24, abs=0.1)
