"""Every profile, served by pymodbus and read back over TCP in blocks that the meter allows.

The registers are written by `tests.support.own_encoder` straight from the YAML; the words that come back
go through the codec. So each quantity of each model is decoded once with a known value, sign, scale,
factor and word order.
"""

from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import Any, cast, override

from modbus_connection import (
    IllegalDataAddressError,
    ModbusProtocolError,
    ModbusTcpParams,
    ModbusUnit,
)
from modbus_connection.tmodbus import ModbusConnection
from pymodbus.constants import ExcCodes
import pytest
import pytest_socket
import yaml

from custom_components.energy_meter.sources.modbus.access import read_span
from custom_components.energy_meter.sources.modbus.codec import RegisterImage, decode
from custom_components.energy_meter.sources.modbus.library import BUILT_IN, ProfileLibrary
from custom_components.energy_meter.sources.modbus.profile import Profile, Span, Table
from custom_components.energy_meter.sources.modbus.wide_registers import wide_words
from tests.support.meters import Meter, MeterServer
from tests.support.own_encoder import OwnEncoder

BASE = 40069
LIBRARY = ProfileLibrary()
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _document(slug: str) -> dict[str, Any]:
    text = (BUILT_IN / f"{slug}.yaml").read_text(encoding="utf-8")
    return cast("dict[str, Any]", yaml.load(text, Loader=LOADER))


def _cases() -> list[tuple[str, str | None]]:
    cases: list[tuple[str, str | None]] = []
    for path in sorted(Path(BUILT_IN).glob("*.yaml")):
        profile = LIBRARY.load(path.stem)
        cases += [(path.stem, None), *((path.stem, each.key) for each in profile.variants)]
    return cases


def _rows(document: dict[str, Any], variant: str | None) -> list[dict[str, Any]]:
    """The measurements that a meter of this variant has, as the file says."""
    rows = list(document["registers"])
    if variant is None:
        return rows
    chosen = next(each for each in document["variants"] if each["key"] == variant)
    own = {row["key"] for row in chosen["registers"]}
    kept = [] if chosen.get("replaces", True) else [row for row in rows if row["key"] not in own]
    return kept + list(chosen["registers"])


class WideMeter(Meter):
    """A meter that sends four bytes per register."""

    @override
    def answer_read(self, table: Table, address: int, count: int) -> list[int] | ExcCodes:
        answer = super().answer_read(table, address, count)
        if not isinstance(answer, list):
            return answer
        return [half for word in answer for half in divmod(word, 0x10000)]


def _meter(profile: Profile, encoder: OwnEncoder) -> Meter:
    kind = WideMeter if profile.wide_registers else Meter
    meter = kind(
        unit_id=1,
        strict=profile.strict,
        alignment=profile.alignment,
        max_registers=profile.max_registers,
    )
    for (table, address), word in encoder.words.items():
        meter.table(Table(table))[address] = word
    return meter


def _blocks(profile: Profile) -> Iterator[Span]:
    """Requests that cover every register with its factor and sign, none larger than allowed."""
    spans: set[Span] = set()
    for register in profile.registers:
        together = register.coherent_spans
        start = min(span.address for span in together)
        end = max(span.end for span in together)
        span = Span(register.span.table, start, end - start)
        if profile.strict and len(together) > 1:
            spans.update(together)
        elif register.alone:
            yield span
        else:
            spans.add(span)
        spans.update(register.factor_spans)
    block: Span | None = None
    for span in sorted(spans):
        if block is not None and block.table is span.table:
            end = max(block.end, span.end)
            bridged = span.address <= block.end or not profile.strict
            if bridged and end - block.address <= profile.max_registers:
                block = Span(block.table, block.address, end - block.address)
                continue
        if block is not None:
            yield block
        block = span
    if block is not None:
        yield block


async def _read(unit: ModbusUnit, span: Span, profile: Profile) -> list[int]:
    try:
        return await read_span(span, unit)
    except ModbusProtocolError as error:
        words = wide_words(error, span.count) if profile.wide_registers else None
        if words is None:
            raise
        return words


async def _image(unit: ModbusUnit, profile: Profile) -> RegisterImage:
    image = RegisterImage()
    for span in _blocks(profile):
        assert span.count <= profile.max_registers
        image.set(span, await _read(unit, span, profile))
    return image


@pytest.fixture(scope="module")
def server() -> Iterator[MeterServer]:
    with MeterServer([]) as running:
        yield running


@pytest.fixture(scope="module")
def port(server: MeterServer) -> int:
    pytest_socket.enable_socket()  # The test plugin closes it, and this fixture outlives a test.
    return server.serve_tcp()


@pytest.fixture
async def unit(port: int, socket_enabled: None) -> AsyncIterator[ModbusUnit]:
    connection = ModbusConnection(ModbusTcpParams(host="127.0.0.1", port=port), timeout=2)
    try:
        yield connection.for_unit(1)
    finally:
        await connection.close()


@pytest.mark.parametrize(("slug", "variant"), _cases())
async def test_every_quantity_is_read_back_with_its_value(
    slug: str, variant: str | None, server: MeterServer, unit: ModbusUnit
) -> None:
    document = _document(slug)
    family = LIBRARY.load(slug)
    base = BASE if family.relocatable else 0
    profile = family.arranged(variant, base)
    encoder = OwnEncoder(document, base)
    expected = encoder.show(_rows(document, variant))
    server.meters[1] = _meter(profile, encoder)

    image = await _image(unit, profile)

    read = {register.key: decode(register, image) for register in profile.registers}
    assert read == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert len(set(expected.values())) > len(expected) / 2, "values must differ to prove anything"


@pytest.mark.parametrize(("slug", "variant"), _cases())
async def test_what_a_meter_marks_as_not_available_is_none(
    slug: str, variant: str | None, server: MeterServer, unit: ModbusUnit
) -> None:
    document = _document(slug)
    family = LIBRARY.load(slug)
    base = BASE if family.relocatable else 0
    profile = family.arranged(variant, base)
    encoder = OwnEncoder(document, base)
    rows = _rows(document, variant)
    encoder.show(rows)
    marked = {row["key"]: encoder.marks(row) for row in rows}
    for index, row in enumerate(rows):
        if marks := marked[row["key"]]:
            encoder.put_mark(row, marks[index % len(marks)])
    server.meters[1] = _meter(profile, encoder)

    image = await _image(unit, profile)

    for register in profile.registers:
        value = decode(register, image)
        assert (value is None) == bool(marked[register.key]), register.key


def _hole(profile: Profile) -> Span | None:
    """A request within the limits that runs over a place where a strict meter has nothing."""
    defined: dict[Table, set[int]] = {table: set() for table in Table}
    for register in (*profile.registers, *profile.info):
        for span in (*register.coherent_spans, *register.factor_spans):
            defined[span.table].update(range(span.address, span.end))
    for register in profile.registers:
        span = register.span
        if span.end not in defined[span.table] and span.count + 2 <= profile.max_registers:
            return Span(span.table, span.address, span.count + profile.alignment)
    return None


def _strict() -> Iterable[str]:
    return (profile.slug for profile in LIBRARY.load_all().values() if profile.strict)


@pytest.mark.parametrize("slug", _strict())
async def test_a_strict_meter_refuses_holes(
    slug: str, server: MeterServer, unit: ModbusUnit
) -> None:
    profile = LIBRARY.load(slug)
    encoder = OwnEncoder(_document(slug))
    encoder.show(_document(slug)["registers"])
    server.meters[1] = _meter(profile, encoder)
    hole = _hole(profile)
    assert hole is not None

    with pytest.raises(IllegalDataAddressError):
        await _read(unit, hole, profile)
