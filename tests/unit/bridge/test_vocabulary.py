"""How boards spell quantities."""

from pathlib import Path
import re

from hypothesis import given, strategies as st
import pytest

from custom_components.energy_meter.model import QUANTITIES
from custom_components.energy_meter.sources.bridge.vocabulary import (
    Spelling,
    convert,
    looks_like_quantity,
    resolve,
)

DOCUMENT = Path(__file__).parents[3] / "docs" / "bridge-protocol.md"
UNITS = {
    "mV": 1e-3,
    "mA": 1e-3,
    "kW": 1e3,
    "kVA": 1e3,
    "kvar": 1e3,
    "Wh": 1e-3,
    "J": 1 / 3.6e6,
}
"""Where the documented unit is not the quantity's own."""


def documented() -> list[tuple[str, str, str]]:
    """`[(quantity, unit, spelling)]` of the table in the protocol's document."""
    found, key = [], ""
    rows = re.findall(r"^\|(.*?)\|(.*?)\|(.*?)\|$", DOCUMENT.read_text("utf-8"), re.MULTILINE)
    for quantity, unit, names in ([cell.strip() for cell in row] for row in rows):
        if unit not in {*UNITS, "V", "A", "W", "VA", "var", "1", "Hz", "kWh", "°C"}:
            continue
        key = quantity.strip("`") or key
        found += [(key, unit, name) for name in names.split(", ")]
    return found


def test_the_table_is_found_in_the_document() -> None:
    assert len(documented()) > 70


@pytest.mark.parametrize(("key", "unit", "name"), documented())
def test_every_documented_spelling_means_what_is_documented(key: str, unit: str, name: str) -> None:
    spelling = resolve(name)
    assert spelling is not None
    assert spelling.key == key
    assert convert(spelling, 1000.0)[1] == pytest.approx(1000 * UNITS.get(unit, 1), abs=1e-12)


def test_no_spelling_means_two_things() -> None:
    names = [name for _, _, name in documented()]
    assert len(names) == len(set(names))


@given(st.sampled_from(documented()), st.sampled_from([" ", "-", ".", "_", "__", " - "]), st.data())
def test_case_and_separators_do_not_matter(
    row: tuple[str, str, str], separator: str, data: st.DataObject
) -> None:
    key, _, name = row
    letters = [data.draw(st.sampled_from([letter, letter.upper()])) for letter in name]
    spelling = resolve(" " + "".join(letters).replace("_", separator) + " ")
    assert spelling is not None
    assert spelling.key == key


@pytest.mark.parametrize("key", sorted(QUANTITIES))
def test_every_key_of_the_vocabulary_is_accepted_as_it_is_spelled(key: str) -> None:
    assert resolve(key) == Spelling(key)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("voltage_l1", "voltage_l1"),
        ("v_l2", "voltage_l2"),
        ("V1", "voltage_l1"),
        ("U3", "voltage_l3"),
        ("i3", "current_l3"),
        ("p1", "power_l1"),
        ("Power_L1_W", "power_l1"),
        ("power_w_l1", "power_l1"),
        ("L2 current", "current_l2"),
        ("current_2", "current_l2"),
        ("pf_l3", "power_factor_l3"),
        ("energy_l1", "energy_import_l1"),
    ],
)
def test_a_phase_is_added_to_the_name(name: str, key: str) -> None:
    assert resolve(name) == Spelling(key)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "_",
        "A0",
        "A1",
        "f1",
        "s1",
        "l1",
        "v4",
        "v12",
        "v_l4",
        "v_l1_l1",
        "temp1",
        "temperature_l1",
        "power_hp",
        "mw",
        "energy_mwh",
        "uptime",
        "type",
        "voltage" * 20,
        "spannung",
    ],
)
def test_what_is_no_quantity_is_none(name: str) -> None:
    assert resolve(name) is None


def test_a_number_in_a_smaller_unit_has_no_crumbs() -> None:
    spelling = resolve("mA")
    assert spelling is not None
    assert convert(spelling, 1420) == (True, 1.42)


@pytest.mark.parametrize(
    "raw", [True, False, "1", [], {}, float("nan"), float("inf"), -float("inf"), 1e13, 10**400]
)
def test_what_is_no_number_cannot_be_used(raw: object) -> None:
    assert convert(Spelling("voltage"), raw) == (False, None)


def test_null_is_not_available() -> None:
    assert convert(Spelling("voltage", 1, 1000), None) == (True, None)


@given(st.text(max_size=100))
def test_any_name_has_an_answer(name: str) -> None:
    spelling = resolve(name)
    assert spelling is None or spelling.key in QUANTITIES
    assert looks_like_quantity(name) in {True, False}
