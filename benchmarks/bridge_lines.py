"""Lines of bridges per second: parsed, through the session, and signed, beside plain `json.loads` of the same lines."""

from collections.abc import Callable, Sequence
import json
import time
from typing import Final

from custom_components.energy_meter.model import Reading
from custom_components.energy_meter.sources.bridge import (
    BridgeEvent,
    BridgeHealth,
    BridgeListener,
    BridgeSession,
    Hello,
)
from custom_components.energy_meter.sources.bridge.crc import with_crc
from custom_components.energy_meter.sources.bridge.protocol import BadLine, parse_line
from custom_components.energy_meter.sources.bridge.security import LineSigner

HELLO: Final = (
    b'{"type":"hello","v":1,"bridge":"bench","boot":17,"capabilities":["buffer"],"interval":1,"meters":'
    b'[{"id":"oven","quantities":["voltage","current","power","energy_import"]}]}'
)
ROWS: Final = 100
KINDS: Final = ("bare", "bare with CRC", "full form", f"{ROWS} rows at once", "torn")
type Use = Callable[[Sequence[bytes]], None]


class _Nobody(BridgeListener):
    """Counts readings."""

    def __init__(self) -> None:
        self.readings = 0

    def on_hello(self, hello: Hello) -> None:
        """Not measured."""

    def on_reading(self, meter: str, reading: Reading, flags: frozenset[str], *, old: bool) -> None:
        self.readings += 1

    def on_event(self, event: BridgeEvent) -> None:
        """Not measured."""

    def on_health(self, health: BridgeHealth) -> None:
        """Not measured."""

    def on_connected(self, connected: bool) -> None:
        """Not measured."""

    def on_log(self, level: str, text: str) -> None:
        """Not measured."""

    def on_trouble(self, key: str, detail: str) -> None:
        """Not measured."""


def lines_of(kind: str, count: int) -> list[bytes]:
    """So many lines of a kind, all different."""
    match kind:
        case "bare":
            return [
                b'{"Voltage": %d.5, "Current": 1.%02d}' % (n % 30 + 210, n % 99)
                for n in range(count)
            ]
        case "bare with CRC":
            return [with_crc(line) for line in lines_of("bare", count)]
        case "full form":
            return [
                b'{"type":"reading","boot":17,"seq":%d,"age":0,"meter":"oven","values":{"voltage":%d.5,"current":1.42,'
                b'"power":323.1,"energy_import":%d.125},"flags":["clipping"]}'
                % (n + 1, n % 30 + 210, n)
                for n in range(count)
            ]
        case "torn":
            return [line[: n % 30 + 3] for n, line in enumerate(lines_of("bare", count))]
        case _:
            row = b'["oven",%d,227.5,1.42,323.1]'
            return [
                b'{"type":"readings","boot":17,"seq":%d,"columns":["meter","age","voltage","current","power"],"rows":[%s]}'
                % (n * ROWS + 1, b",".join(row % (1000 * (ROWS - m)) for m in range(ROWS)))
                for n in range(count)
            ]


def _decoded(lines: Sequence[bytes]) -> None:
    for line in lines:
        try:
            json.loads(line)
        except ValueError:
            continue


def _parsed(lines: Sequence[bytes]) -> None:
    for line in lines:
        try:
            parse_line(line)
        except BadLine:
            continue


def session() -> tuple[BridgeSession, _Nobody]:
    """A session that has heard a hello, with a clock that leaves room for every line."""
    listener, now = _Nobody(), [0.0]

    def clock() -> tuple[float, float]:
        now[0] += 0.005
        return now[0], 1.8e9 + now[0]

    made = BridgeSession(listener, lambda line: None, clock=clock)
    made.feed(HELLO + b"\n")
    return made, listener


def _fed(lines: Sequence[bytes]) -> None:
    talk, _ = session()
    for line in lines:
        talk.feed(line + b"\n")


def _signed(lines: Sequence[bytes]) -> list[bytes]:
    bridge = LineSigner(b"k" * 32, ours=b"b", theirs=b"h")
    return [bridge.sign(line) for line in lines]


def _checked_and_fed(lines: Sequence[bytes]) -> None:
    talk, _ = session()
    host = LineSigner(b"k" * 32)
    for line in lines:
        body = host.check(line)
        assert body is not None
        talk.feed_lines([body])


def seconds_per_line(
    kind: str, uses: Sequence[tuple[str, Use]], *, count: int, rounds: int
) -> dict[str, float]:
    """The best of some rounds for each use of the same lines, taken in turns so that all meet the same machine."""
    plain = lines_of(kind, count)
    signed = _signed(plain)
    best: dict[str, float] = {}
    for _ in range(rounds):
        for name, use in uses:
            lines = signed if use is _checked_and_fed else plain
            began = time.perf_counter()
            use(lines)
            took = (time.perf_counter() - began) / count
            best[name] = min(best.get(name, took), took)
    return best


JSON: Final = "json.loads"
PARSER: Final = "parsed"
SESSION: Final = "through the session"
SIGNED: Final = "signed, through the session"
USES: Final[tuple[tuple[str, Use], ...]] = (
    (JSON, _decoded),
    (PARSER, _parsed),
    (SESSION, _fed),
    (SIGNED, _checked_and_fed),
)
MOST: Final = {PARSER: 4.0, SESSION: 10.0, SIGNED: 12.0}
"""Times the cost of `json.loads`, for the full form: what a reader in plain Python can be held to."""
