"""The messages of the bridge protocol, version 1 (`docs/bridge-protocol.md`), as values.

`parse_line` turns one line into one message and never fails with anything else than `BadLine`, whatever it is
given; the functions at the end encode what goes to the bridge. Nothing here keeps state or does I/O.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
import json
import re
from typing import Any, Final, Protocol

import orjson

from ...model import Control, ControlKind, Reading, Value
from .crc import crc16
from .vocabulary import Spelling, convert, looks_like_quantity, normalise, number, resolve

VERSION: Final = 1
MAX_LINE: Final = 32_768
"""Bytes of a line, its end not counted."""
MAX_LINE_TO_BRIDGE: Final = 8192
"""Bytes of a line that a bridge has to take."""
MAX_DEPTH: Final = 6
"""Nested arrays and objects, the message itself included."""
MAX_METERS: Final = 256
"""Meters of one bridge."""
DEFAULT_INTERVAL: Final = 5.0
"""Seconds between two readings where a hello does not say."""
MAIN: Final = "main"
"""The meter of a board that names none."""

type Boot = int | str | None


class BadLine(Exception):
    """A line that is no message; `reason` is one of the words of `REASONS`."""

    def __init__(self, reason: str, detail: str = "") -> None:
        """Keep the word and a short excerpt for people."""
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterHello:
    """What a bridge says about one of its meters."""

    id: str
    name: str | None = None
    model: str | None = None
    manufacturer: str | None = None
    firmware: str | None = None
    serial: str | None = None
    phases: int = 1
    rated_current: float | None = None
    """A."""
    quantities: tuple[str, ...] = ()
    """Keys of the vocabulary that this meter delivers."""
    resolution: Mapping[str, float] = field(default_factory=dict)
    """Each counter's digit, in the quantity's unit."""
    controls: tuple[Control, ...] = ()
    """What can be done to it; keys as the bridge spells them, also such as nobody here has a name for."""
    settings: Mapping[str, Value] = field(default_factory=dict)
    """What each control stands at, in the control's unit."""
    capabilities: frozenset[str] = frozenset()
    """Of `waveform`; others are kept."""
    parent: str | None = None
    segment: str | None = None
    address: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """Who is there."""

    bridge: str
    """The bridge's own id; of a board that never says hello the name its session was given."""
    boot: Boot = None
    firmware: str | None = None
    hardware: str | None = None
    name: str | None = None
    kind: str | None = None
    """`esp32`, `uno` …; decides which firmware fits. None: a bare board."""
    capabilities: frozenset[str] = frozenset()
    """Of `buffer`, `config`, `update`, `time`; others are kept."""
    interval: float = DEFAULT_INTERVAL
    """Seconds between two readings of a meter."""
    meters: tuple[MeterHello, ...] = ()
    controls: tuple[Control, ...] = ()
    """Controls of the bridge itself that it lists; `restart` and `identify` need not be listed."""
    settings: Mapping[str, Value] = field(default_factory=dict)
    synthesised: bool = False
    """Put together here from what a board shows that does not say hello."""

    def meter(self, meter_id: str) -> MeterHello | None:
        """The meter of that id."""
        return next((meter for meter in self.meters if meter.id == meter_id), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeHealth:
    """How the bridge says it fares; None where it does not say."""

    rssi: float | None = None
    """dBm."""
    uptime: float | None = None
    """Seconds."""
    free_memory: int | None = None
    """Bytes."""
    buffered: int | None = None
    dropped: int | None = None
    lost: int | None = None
    repeated: int | None = None
    errors: int | None = None
    reset: str | None = None
    """Why it started: `power`, `watchdog`, `brown_out` …"""
    problems: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What is wrong with a hub's bus now: {`address_shared`, `bus_held` …: places}."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeEvent:
    """Something happened at a bridge (`meter` None) or at one of its meters."""

    meter: str | None
    event: str
    value: Value = None
    control: str | None = None
    """For the event `control`: which one stands at `value` now."""
    reason: str | None = None
    time: datetime
    """UTC."""
    old: bool = False
    """It was buffered; `value` need not be the present state."""


class BridgeListener(Protocol):
    """What the owner of a session is told; all of it on the event loop."""

    def on_hello(self, hello: Hello) -> None:
        """Who is there; also put together for boards that never say it, again whenever it grows."""

    def on_reading(self, meter: str, reading: Reading, flags: frozenset[str], *, old: bool) -> None:
        """Take one meter's values; `reading.meter_id == meter`, the bridge's own id of the meter.

        Per meter in the order of time. `old`: it was buffered and is not the present value (older than two
        intervals and 5 s). A meter that is in no hello is named here only with `old`.
        """

    def on_event(self, event: BridgeEvent) -> None:
        """Something happened."""

    def on_health(self, health: BridgeHealth) -> None:
        """How the bridge fares."""

    def on_connected(self, connected: bool) -> None:
        """The link is up, or down; called on changes only."""

    def on_log(self, level: str, text: str) -> None:
        """A line of the bridge's log; level `debug`, `info`, `warning` or `error`; rate-limited."""

    def on_trouble(self, key: str, detail: str) -> None:
        """Something is not as it should be; at most once in ten minutes per key.

        Keys: `version` (detail: the bridge's), `wrong_bridge` (its id), `clock`, `flood`, `bad_line`, `crc`,
        `too_many_meters`, `key_refused`, `key_needed`, `tampered`, `not_a_bridge`, `cannot_connect`, `refused` (values that are none).
        """


# What a line turns into


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """When something was measured, as the bridge says it."""

    age: float | None = 0.0
    """Seconds before it was sent; None: unknown. Negative: a clock that is wrong."""
    at: float | None = None
    """Unix time, in place of the age."""


NOW: Final = Taken()


@dataclass(frozen=True, slots=True, kw_only=True)
class RawReading:
    """One meter's values as they came, in the vocabulary's units."""

    meter: str
    values: Mapping[str, Value]
    taken: Taken = NOW
    flags: frozenset[str] = frozenset()
    start: int | None = None
    """Number of the meter's own start."""
    boot: Boot = None
    seq: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RawEvent:
    """An event as it came."""

    event: str
    meter: str | None = None
    value: Value = None
    control: str | None = None
    reason: str | None = None
    taken: Taken = NOW
    boot: Boot = None
    seq: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """`reading`, `readings` or a bare reading."""

    readings: tuple[RawReading, ...]
    bare: bool = False
    refused: tuple[str, ...] = ()
    """Excerpts of values that are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HelloMessage:
    """`hello`; without a `Hello` if the bridge speaks another version."""

    version: Value
    hello: Hello | None
    raw: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthMessage:
    """`health`."""

    health: BridgeHealth


@dataclass(frozen=True, slots=True, kw_only=True)
class LogMessage:
    """`log`."""

    level: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack:
    """`ack`: the answer to what carried the same `id`."""

    id: int
    ok: bool
    value: Any = None
    error: str | None = None
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """`gone`: these numbers will never come."""

    boot: Boot
    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Other:
    """A type that is not ours to know, or `ping`."""

    type: str


type Message = Readings | RawEvent | HelloMessage | HealthMessage | LogMessage | Ack | Gone | Other

REASONS: Final = frozenset({"too_long", "too_deep", "charset", "json", "object", "field", "crc"})
"""Why a line is no message."""

_METER_NAMES: Final = ("meter", "id", "node", "device", "channel")
_LEVELS: Final = frozenset({"debug", "info", "warning", "error"})
_MAX_SEQ: Final = 2**53
_MAX_ROWS: Final = 1000
_MAX_PROBLEMS: Final = 16
_MAX_PLACES: Final = 32
_MAX_LACKING: Final = 64
_IDENTIFIER: Final = re.compile(r"[A-Za-z0-9_-]{1,32}")
_WORD: Final = re.compile(r"[a-z0-9_]{1,32}")
_STRINGS: Final = re.compile(rb'"(?:[^"\\]|\\.)*"?')
_BRACKETS: Final = re.compile(rb"[\[\]{}]")
_CRC: Final = re.compile(rb"\}\*([0-9A-Fa-f]{4})$")
_NOT_NUMBERS: Final = re.compile(
    rb"([:,\[]\s*)[-+]?(?:nan|inf|infinity|ovf)(?=\s*[,}\]])", re.IGNORECASE
)
"""What an Arduino prints for a float that is none, where a value belongs."""
_CONTROL_UNITS: Final = {
    "voltage_offset": "V",
    "current_offset": "A",
    "phase_shift": "°",
    "dead_band": "A",
    "minimum_off_time": "s",
}


def excerpt(data: bytes | str | None, length: int = 80) -> str:
    """The beginning of something that came, fit for a log line: printable, one line."""
    text = data.decode("utf-8", "replace") if isinstance(data, bytes) else data or ""
    return _printable(text[:length], "·") + ("…" if len(text) > length else "")


def _printable(text: str, instead: str) -> str:
    """The text without control characters, line ends, marks that turn the reading direction, and half characters."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else instead for letter in text)


def split_crc(line: bytes) -> tuple[bytes, bool]:
    """(the line without its CRC, whether there was one).

    Raises:
        BadLine: there is one and it is wrong.
    """
    found = _CRC.search(line)
    if found is None:
        return line, False
    body = line[: found.start() + 1]
    if crc16(body) != int(found[1], 16):
        raise BadLine("crc", excerpt(line))
    return body, True


def parse_line(line: bytes) -> tuple[Message, bool]:
    """(the message in a line without its line feed, whether it carried a CRC).

    Raises:
        BadLine: it is none. Nothing else is ever raised, whatever the line is.
    """
    line = line.strip(b"\x00 \t\r\n")
    if len(line) > MAX_LINE:
        raise BadLine("too_long", excerpt(line[:160]))
    body, with_crc = split_crc(line)
    return _message(_decode(body), line), with_crc


def split_body(body: bytes) -> list[bytes]:
    """The messages in the body of a POST: one, several one per line, or a JSON array of them.

    What is no array is split at line feeds and not looked at otherwise; a broken array is one (bad) line.
    """
    stripped = body.strip()
    if not stripped.startswith(b"["):
        return [line for line in stripped.split(b"\n") if line.strip()]
    try:
        elements = orjson.loads(stripped) if _depth(stripped) <= MAX_DEPTH + 1 else None
    except ValueError:
        elements = None
    return [orjson.dumps(element) for element in elements] if elements else [stripped]


def decode(line: bytes) -> dict[str, Any]:
    """The object in a line, for messages that are not of the session; empty if there is none."""
    try:
        return _decode(line)
    except BadLine:
        return {}


def encode(message: Mapping[str, Any]) -> bytes:
    """A message to a bridge as the line for it, without a line feed.

    Raises:
        ValueError: it does not fit into a line for a bridge or is no JSON.
    """
    line = to_json(message)
    if len(line) > MAX_LINE_TO_BRIDGE or _depth(line) > MAX_DEPTH:
        raise ValueError(f"a message of {len(line)} bytes does not fit into a line")
    return line


def to_json(message: Mapping[str, Any]) -> bytes:
    """A message as JSON that can be read again.

    Raises:
        ValueError: there is something in it that JSON has no word for.
    """
    try:
        return orjson.dumps(message)
    except TypeError as err:
        raise ValueError(str(err)) from err


def _depth(line: bytes) -> int:
    """How deep arrays and objects are nested, text left out; cheap where there are few brackets."""
    if line.count(b"{") + line.count(b"[") <= MAX_DEPTH:
        return 0
    deepest = depth = 0
    for bracket in _BRACKETS.findall(_STRINGS.sub(b"", line)):
        if bracket in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        else:
            depth -= 1
    return deepest


def _decode(body: bytes) -> dict[str, Any]:
    if _depth(body) > MAX_DEPTH:
        raise BadLine("too_deep", excerpt(body[:160]))
    try:
        decoded = orjson.loads(body)
    except ValueError:
        decoded = _decode_leniently(body)
    if not isinstance(decoded, dict):
        raise BadLine("object", excerpt(body))
    return decoded


def _decode_leniently(body: bytes) -> object:
    """What strict JSON has no numbers for (NaN, Infinity, a hundred digits) costs that number, not the line."""
    try:
        text = _NOT_NUMBERS.sub(rb"\1NaN", body).decode("utf-8")
    except UnicodeDecodeError as err:
        raise BadLine("charset", excerpt(body)) from err
    try:
        decoded: object = json.loads(text)
    except (ValueError, RecursionError) as err:
        raise BadLine("json", excerpt(body)) from err
    return decoded


def _message(raw: dict[str, Any], line: bytes) -> Message:
    kind = raw.get("type")
    if kind is None:
        return _bare(raw, line)
    if not isinstance(kind, str):
        raise BadLine("field", excerpt(line))
    parse = _PARSERS.get(kind)
    if parse is None:
        return Other(type=excerpt(kind, 32))
    try:
        return parse(raw)
    except _BadField as err:
        raise BadLine("field", f"{err}: {excerpt(line)}") from err


class _BadField(Exception):
    """A key of a message holds what it cannot."""


def _bare(raw: Mapping[str, Any], line: bytes) -> Readings:
    names = {normalise(name): name for name in raw}
    given = next((raw[names[name]] for name in _METER_NAMES if name in names), MAIN)
    try:
        meter = _meter_id(given)
    except _BadField as err:
        raise BadLine("field", f"{err}: {excerpt(line)}") from err
    values, refused = _values(raw, strict=False)
    if not values and not refused:
        raise BadLine("field", f"no quantity: {excerpt(line)}")
    return Readings(
        readings=(RawReading(meter=meter, values=values),) if values else (),
        bare=True,
        refused=refused,
    )


def _values(raw: Mapping[str, Any], *, strict: bool) -> tuple[dict[str, Value], tuple[str, ...]]:
    """({quantity: value}, excerpts of what was refused).

    With `strict` everything that is no value of a quantity is refused, else only what was meant for one: `Power_hp`,
    but not the word that a board prints as its `status`.
    """
    values: dict[str, Value] = {}
    refused: list[str] = []
    for name, given in raw.items():
        spelling = resolve(name)
        if spelling is None:
            if strict or looks_like_quantity(name):
                refused.append(_refusal(name, given))
            continue
        usable, value = convert(spelling, given)
        if usable and spelling.key not in values:
            values[spelling.key] = value
        elif strict or looks_like_quantity(name):
            refused.append(_refusal(name, given))
    return values, tuple(refused)


def _refusal(name: str, given: object) -> str:
    return f"{excerpt(name, 32)}: {excerpt(repr(given)[:64], 32)}"


def _reading(raw: Mapping[str, Any]) -> Readings:
    given = raw.get("values")
    if not isinstance(given, dict):
        raise _BadField("values")
    values, refused = _values(given, strict=True)
    reading = RawReading(
        meter=_meter_id(raw.get("meter", MAIN)),
        values=values,
        taken=_taken(raw),
        flags=_flags(raw.get("flags")),
        start=_start(raw.get("start")),
        boot=_boot(raw.get("boot")),
        seq=_seq(raw.get("seq")),
    )
    return Readings(readings=(reading,), refused=refused)


def _readings(raw: Mapping[str, Any]) -> Readings:
    columns, rows = raw.get("columns"), raw.get("rows")
    if not isinstance(columns, list) or not all(isinstance(name, str) for name in columns):
        raise _BadField("columns")
    if not isinstance(rows, list) or len(rows) > _MAX_ROWS or len(set(columns)) != len(columns):
        raise _BadField("rows")
    boot, seq = _boot(raw.get("boot")), _seq(raw.get("seq"))
    spellings = [None if name in _ROW_KEYS else resolve(name) for name in columns]
    refused = [
        _refusal(name, "column")
        for name, spelling in zip(columns, spellings, strict=True)
        if spelling is None and name not in _ROW_KEYS
    ]
    keys = [(index, name) for index, name in enumerate(columns) if name in _ROW_KEYS]
    outside = {name: raw[name] for name in _ROW_KEYS if name in raw and name not in columns}
    # With its own column, the other way to say the time no longer holds.
    if "age" in columns:
        outside.pop("at", None)
    elif "at" in columns:
        outside.pop("age", None)
    readings = []
    for offset, row in enumerate(rows):
        row_seq = None if seq is None else seq + offset
        if not isinstance(row, list) or len(row) != len(columns):
            reading = None
            refused.append(_refusal("row", row))
        else:
            given = outside | {name: row[index] for index, name in keys if row[index] != "-"}
            try:
                reading = _row(given, spellings, row, refused, boot=boot, seq=row_seq)
            except _BadField as err:
                reading = None
                refused.append(_refusal(str(err), row))
        if reading is None and row_seq is not None:
            # It carries a number all the same: without it the row would count as lost.
            reading = RawReading(meter=MAIN, values={}, boot=boot, seq=row_seq)
        if reading is not None:
            readings.append(reading)
    return Readings(readings=tuple(readings), refused=tuple(refused))


def _row(
    keys: Mapping[str, Any],
    spellings: list[Spelling | None],
    row: list[Any],
    refused: list[str],
    *,
    boot: Boot,
    seq: int | None,
) -> RawReading:
    values: dict[str, Value] = {}
    for spelling, given in zip(spellings, row, strict=True):
        if spelling is None or given == "-":
            continue
        usable, value = convert(spelling, given)
        if usable and spelling.key not in values:
            values[spelling.key] = value
        else:
            refused.append(_refusal(spelling.key, given))
    return RawReading(
        meter=_meter_id(keys.get("meter", MAIN)),
        values=values,
        taken=_taken(keys),
        flags=_flags(keys.get("flags")),
        start=_start(keys.get("start")),
        boot=boot,
        seq=seq,
    )


_ROW_KEYS: Final = ("meter", "age", "at", "flags", "start")


def _event(raw: Mapping[str, Any]) -> RawEvent:
    event = raw.get("event")
    if not isinstance(event, str) or not _WORD.fullmatch(event):
        raise _BadField("event")
    meter, control = raw.get("meter"), raw.get("control")
    return RawEvent(
        event=event,
        meter=None if meter is None else _meter_id(meter),
        value=state_of(raw.get("value")),
        control=control if isinstance(control, str) and _WORD.fullmatch(control) else None,
        reason=_text(raw.get("reason")),
        taken=_taken(raw),
        boot=_boot(raw.get("boot")),
        seq=_seq(raw.get("seq")),
    )


def _hello(raw: Mapping[str, Any]) -> HelloMessage:
    version = raw.get("v")
    if type(version) is not int:
        raise _BadField("v")
    if version != VERSION:
        return HelloMessage(version=version, hello=None, raw={})
    bridge = raw.get("bridge")
    if not isinstance(bridge, str) or not _IDENTIFIER.fullmatch(bridge):
        raise _BadField("bridge")
    capabilities = raw.get("capabilities")
    controls, settings = _controls(raw.get("controls"))
    interval = number(raw.get("interval"))
    hello = Hello(
        bridge=bridge,
        boot=_boot(raw.get("boot")),
        firmware=_text(raw.get("firmware")),
        hardware=_text(raw.get("hardware")),
        name=_text(raw.get("name")),
        kind=_text(raw.get("kind")),
        capabilities=_flags(capabilities),
        interval=min(max(float(interval), 0.05), 86_400.0)
        if interval is not None and interval > 0
        else DEFAULT_INTERVAL,
        meters=_meters(raw.get("meters"), raw.get("common")),
        controls=controls,
        settings=settings,
    )
    return HelloMessage(version=version, hello=hello, raw=raw)


def _meters(raw: object, common: object) -> tuple[MeterHello, ...]:
    """The meters; `common` is what those have that do not say otherwise."""
    shared = common if isinstance(common, dict) else {}
    shared_controls = _controls(shared.get("controls"))
    meters: dict[str, MeterHello] = {}
    for given in raw if isinstance(raw, list) else ():
        if not isinstance(given, dict):
            continue
        try:
            meter_id = _meter_id(given.get("id"))
        except _BadField:
            continue
        if meter_id not in meters and len(meters) < MAX_METERS:
            controls, settings = (
                _controls(given["controls"]) if "controls" in given else shared_controls
            )
            meters[meter_id] = _meter(meter_id, shared | given, controls, settings)
    return tuple(meters.values())


def _meter(
    meter_id: str,
    raw: Mapping[str, Any],
    controls: tuple[Control, ...],
    settings: Mapping[str, Value],
) -> MeterHello:
    """A meter, of what it says itself and what all share.

    Args:
        meter_id: its id.
        raw: both together.
        controls: what is listed.
        settings: what is listed with a `value`.
    """
    without = raw.get("without")
    lacking = {
        spelling.key if (spelling := resolve(name)) is not None else name
        for name in (without[:_MAX_LACKING] if isinstance(without, list) else ())
        if isinstance(name, str)
    }
    controls = tuple(control for control in controls if control.key not in lacking)
    stand = raw.get("settings")
    stand = stand if isinstance(stand, dict) else {}
    quantities: list[str] = []
    names = raw.get("quantities")
    for name in names if isinstance(names, list) else ():
        spelling = resolve(name) if isinstance(name, str) else None
        if spelling is not None and spelling.key not in {*quantities, *lacking}:
            quantities.append(spelling.key)
    resolution: dict[str, float] = {}
    digits = raw.get("resolution")
    for name, given in (digits if isinstance(digits, dict) else {}).items():
        spelling, digit = resolve(name), number(given)
        if spelling is None or spelling.key in lacking:
            continue
        if digit is not None and digit > 0:
            resolution[spelling.key] = digit * spelling.times / spelling.divided_by
    phases, rated = raw.get("phases"), number(raw.get("rated_current"))
    return MeterHello(
        id=meter_id,
        name=_text(raw.get("name")),
        model=_text(raw.get("model")),
        manufacturer=_text(raw.get("manufacturer")),
        firmware=_text(raw.get("firmware")),
        serial=_text(raw.get("serial")),
        phases=phases if type(phases) is int and 1 <= phases <= 3 else phases_of(quantities),
        rated_current=float(rated) if rated is not None and rated > 0 else None,
        quantities=tuple(quantities),
        resolution=resolution,
        controls=controls,
        settings={
            control.key: state_of(stand[control.key])
            if control.key in stand
            else settings[control.key]
            for control in controls
            if control.key in stand or control.key in settings
        },
        capabilities=_flags(raw.get("capabilities")),
        parent=_text(raw.get("parent")),
        segment=_text(raw.get("segment")),
        address=_text(raw.get("address")),
    )


def phases_of(quantities: Iterable[str]) -> int:
    """How many phases these quantities speak of: the highest that is named, else 1."""
    return max(
        (int(key[-1]) for key in quantities if key.endswith(("_l1", "_l2", "_l3"))), default=1
    )


def _controls(raw: object) -> tuple[tuple[Control, ...], dict[str, Value]]:
    controls: dict[str, Control] = {}
    settings: dict[str, Value] = {}
    for given in raw[:64] if isinstance(raw, list) else ():
        if not isinstance(given, dict):
            continue
        key, kind = given.get("key"), given.get("kind")
        if not isinstance(key, str) or not _WORD.fullmatch(key) or key in controls:
            continue
        if not isinstance(kind, str) or kind not in set(ControlKind):
            continue
        options = given.get("options")
        controls[key] = Control(
            key=key,
            kind=ControlKind(kind),
            unit=_CONTROL_UNITS.get(key),
            minimum=_float(given.get("min")),
            maximum=_float(given.get("max")),
            step=_float(given.get("step")),
            options={
                int(value): text
                for value, spoken in (options if isinstance(options, dict) else {}).items()
                if re.fullmatch(r"-?[0-9]{1,9}", value) and (text := _text(spoken)) is not None
            },
        )
        if "value" in given:
            settings[key] = state_of(given["value"])
    return tuple(controls.values()), settings


def _health(raw: Mapping[str, Any]) -> HealthMessage:
    return HealthMessage(
        health=BridgeHealth(
            rssi=_float(raw.get("rssi")),
            uptime=_float(raw.get("uptime")),
            free_memory=_count(raw.get("free_memory")),
            buffered=_count(raw.get("buffered")),
            dropped=_count(raw.get("dropped")),
            lost=_count(raw.get("lost")),
            repeated=_count(raw.get("repeated")),
            errors=_count(raw.get("errors")),
            reset=_text(raw.get("reset")),
            problems=_problems(raw.get("problems")),
        )
    )


def _problems(raw: object) -> dict[str, tuple[str, ...]]:
    """{problem: places}, no more of either than a person reads."""
    given = raw if isinstance(raw, dict) else {}
    return {
        problem: tuple(
            place
            for each in (places[:_MAX_PLACES] if isinstance(places, list) else ())
            if (place := _text(each)) is not None
        )
        for problem, places in list(given.items())[:_MAX_PROBLEMS]
        if _WORD.fullmatch(problem)
    }


def _log(raw: Mapping[str, Any]) -> LogMessage:
    level, text = raw.get("level"), raw.get("text")
    if not isinstance(text, str):
        raise _BadField("text")
    return LogMessage(
        level=level if isinstance(level, str) and level in _LEVELS else "info",
        text=excerpt(text, 255),
    )


def _ack(raw: Mapping[str, Any]) -> Ack:
    ident, ok, error = raw.get("id"), raw.get("ok"), raw.get("error")
    if type(ident) is not int or type(ok) is not bool:
        raise _BadField("id")
    return Ack(
        id=ident,
        ok=ok,
        value=raw.get("value"),
        error=excerpt(error, 32) if isinstance(error, str) else None,
        text=_text(raw.get("text"), 255) or "",
    )


def _gone(raw: Mapping[str, Any]) -> Gone:
    first, last = _seq(raw.get("from")), _seq(raw.get("to"))
    if first is None or last is None or last < first:
        raise _BadField("from")
    return Gone(boot=_boot(raw.get("boot")), first=first, last=last)


_PARSERS: Final[Mapping[str, Callable[[Mapping[str, Any]], Message]]] = {
    "reading": _reading,
    "readings": _readings,
    "hello": _hello,
    "event": _event,
    "health": _health,
    "log": _log,
    "ack": _ack,
    "gone": _gone,
}


def _meter_id(raw: object) -> str:
    text = str(raw) if type(raw) is int else raw
    if not isinstance(text, str) or not _IDENTIFIER.fullmatch(text):
        raise _BadField("meter")
    return text


def _boot(raw: object) -> Boot:
    if raw is None:
        return None
    if type(raw) is int and 0 <= raw <= _MAX_SEQ:
        return raw
    if isinstance(raw, str) and _IDENTIFIER.fullmatch(raw):
        return raw
    raise _BadField("boot")


def _seq(raw: object) -> int | None:
    if raw is None:
        return None
    if type(raw) is int and 0 <= raw <= _MAX_SEQ:
        return raw
    raise _BadField("seq")


def _start(raw: object) -> int | None:
    if raw is None:
        return None
    if type(raw) is int and 0 <= raw <= _MAX_SEQ:
        return raw
    raise _BadField("start")


def _taken(raw: Mapping[str, Any]) -> Taken:
    """When; a time that is no number is an unknown one, so that counters are used all the same."""
    if "age" in raw:
        age = number(raw["age"])
        return Taken(age=None if age is None else age / 1000)
    if "at" in raw:
        return Taken(age=None, at=number(raw["at"]))
    return NOW


def _flags(raw: object) -> frozenset[str]:
    if not isinstance(raw, list):
        return frozenset()
    return frozenset(flag for flag in raw[:16] if isinstance(flag, str) and _WORD.fullmatch(flag))


def state_of(raw: object) -> Value:
    """What a control stands at: a number, or a truth value as 1 or 0."""
    return int(raw) if type(raw) is bool else number(raw)


def _float(raw: object) -> float | None:
    value = number(raw)
    return None if value is None else float(value)


def _count(raw: object) -> int | None:
    value = number(raw)
    return int(value) if value is not None and value >= 0 else None


def _text(raw: object, length: int = 64) -> str | None:
    """Text for people or for a key, cleaned and cut; a number as it is written."""
    if type(raw) is int:
        raw = str(raw)[:length]
    if not isinstance(raw, str):
        return None
    return " ".join(_printable(raw[:length], " ").split()) or None
