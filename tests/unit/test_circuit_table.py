"""The table of circuits: what is written can be read, and what is wrong is said, all of it."""

from contextlib import suppress

from hypothesis import given, strategies as st
import pytest

from custom_components.energy_meter.circuit_table import (
    Circuit,
    TableError,
    read_table,
    write_table,
)
from custom_components.energy_meter.const import PHASES, ROLES

PRESENT = [
    Circuit(id="aa01", name="Main L1", rating=63, phase="l1", role="grid", address="0x08"),
    Circuit(id="aa02", name="Oven", address="0x09"),
    Circuit(id="aa03", name="Pump", address="0x0A"),
]

names = st.text(
    st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=20
)


def problems(text: str) -> list[tuple[str, int]]:
    with pytest.raises(TableError) as wrong:
        read_table(text, PRESENT)
    return [(problem.key, problem.line) for problem in wrong.value.problems]


@given(
    st.lists(
        st.builds(
            lambda name, rating, phase, role: {
                "name": name,
                "rating": rating,
                "phase": phase,
                "role": role,
            },
            names,
            st.none() | st.integers(1, 1000).map(float),
            st.none() | st.sampled_from(PHASES),
            st.sampled_from(ROLES),
        ),
        max_size=8,
    )
)
def test_what_is_written_changes_nothing_when_it_is_read(rows: list[dict[str, object]]) -> None:
    circuits = [
        Circuit(id=f"m{number}", address=f"0x{number:02X}", **row)  # type: ignore[arg-type]
        for number, row in enumerate(rows)
    ]
    if circuits:
        assert read_table(write_table(circuits), circuits) == []


@given(st.text(max_size=300))
def test_whatever_is_filled_in_is_a_table_or_a_table_error(text: str) -> None:
    with suppress(TableError):
        assert len(read_table(text, PRESENT)) <= len(PRESENT)


def test_an_id_that_looks_like_a_number_is_text() -> None:
    odd = [Circuit(id="0000000000012e07", name="Oven"), Circuit(id="0000000000000012", name="Pump")]
    text = "0000000000012e07:\n  name: A\n0000000000000012:\n  name: B\n"
    assert [change.after.name for change in read_table(text, odd)] == ["A", "B"]


def test_csv_and_yaml_say_the_same() -> None:
    comma = "id,name,rating,phase,role,inside\naa02,Oven new,16 A,L1,device,Main L1\n"
    semicolon = "address;name;rating;phase;role;inside\n0x09;Oven new;16,0;1;device;aa01\n"
    listed = "- id: aa02\n  name: Oven new\n  rating: 16\n  phase: L1\n  role: device\n  inside: Main L1\n"
    mapped = (
        "aa02:\n  name: Oven new\n  rating: 16\n  phase: 1\n  role: device\n  inside: main l1\n"
    )
    (after,) = {
        change.after
        for text in (comma, semicolon, listed, mapped)
        for change in read_table(text, PRESENT)
    }
    assert (after.name, after.rating, after.phase) == ("Oven new", 16, "l1")
    assert (after.role, after.inside) == ("device", "aa01")


def test_columns_and_circuits_that_are_not_named_stay_as_they_are() -> None:
    (change,) = read_table("id,name\naa01,Feed L1\n", PRESENT)
    assert change.after.rating == 63
    assert change.after.role == "grid"
    assert change.before.name == "Main L1"


def test_what_is_emptied_is_none() -> None:
    (change,) = read_table("id,rating,phase\naa01,,\n", PRESENT)
    assert change.after.rating is None
    assert change.after.phase is None
    assert change.after.name == "Main L1"


def test_everything_that_is_wrong_is_said_with_its_line() -> None:
    text = (
        "id;name;rating;phase;role;inside\n"
        "aa01;Main;much;L4;king;\n"
        "aa09;Nobody;;;;\n"
        "aa02;Oven;16;L1;device;Cellar\n"
        "aa02;Oven;16;L1;device;\n"
    )
    assert problems(text) == [
        ("table_rating", 2),
        ("table_phase", 2),
        ("table_role", 2),
        ("table_unknown", 3),
        ("table_inside_unknown", 4),
        ("table_twice", 5),
    ]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("", "table_empty"),
        ("name;rating\nOven;16\n", "table_header"),
        ("id;colour\naa02;red\n", "table_column"),
        ("id;name\naa02;Oven;16\n", "table_cells"),
        ("- a: [", "table_not_yaml"),
        ("- 3\n- 4\n", "table_not_rows"),
        ("x" * 200_000, "table_too_long"),
        ("id;inside\naa02;aa02\n", "table_circle"),
        ("id;inside\naa02;aa03\naa03;aa02\n", "table_circle"),
        ("id;inside\naa01;aa03\n", "table_inside_role"),
        ("id;name;inside\naa01;Pump;\naa02;;Pump\n", "table_inside_twice"),
    ],
)
def test_a_table_that_cannot_be_used_says_why(text: str, key: str) -> None:
    assert key in [problem for problem, _line in problems(text)]
