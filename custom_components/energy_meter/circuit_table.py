"""Many circuits in one table: written for a user to change, read back as CSV or YAML, checked, compared.

Pure. The columns: `id` (the monitor's own, or its address), `name`, `rating` (A), `phase`, `role`, `inside` (the name
or id of the meter that measures this circuit too).
"""

from collections.abc import Iterable, Mapping, Sequence
import csv
from dataclasses import dataclass, field
import io
import math
from typing import Any, Final

import yaml

from .const import PHASES, ROLE_DEVICE, ROLE_NONE, ROLES

COLUMNS: Final = ("id", "address", "name", "rating", "phase", "role", "inside")
LONGEST: Final = 100_000
"""Characters of a table."""
HIGHEST_RATING: Final = 10_000.0
_DELIMITERS: Final = ";\t,"


@dataclass(frozen=True, slots=True, kw_only=True)
class Circuit:
    """What a user can say of one circuit."""

    id: str
    name: str
    rating: float | None = None
    """A."""
    phase: str | None = None
    role: str = ROLE_NONE
    inside: str | None = None
    """The id of the circuit that measures this one too."""
    address: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, where: `key` is a phrase, `line` the line of the table, 0 for all of it."""

    key: str
    line: int = 0
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Change:
    """A circuit as it is, and as it is going to be."""

    before: Circuit
    after: Circuit


class TableError(ValueError):
    """A table that cannot be used."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        """Keep all that is wrong, not the first alone."""
        super().__init__(problems)
        self.problems = tuple(problems)


def write_table(circuits: Iterable[Circuit]) -> str:
    """The circuits as CSV with semicolons, which spreadsheets of most countries understand."""
    circuits = list(circuits)
    names = {circuit.id: circuit.name for circuit in circuits}
    unique = {name for name in names.values() if list(names.values()).count(name) == 1}
    out = io.StringIO()
    writer = csv.writer(out, delimiter=";", lineterminator="\n")
    writer.writerow(COLUMNS)
    for each in circuits:
        outer = each.inside and names.get(each.inside)
        writer.writerow(
            (
                each.id,
                each.address,
                each.name,
                "" if each.rating is None else f"{each.rating:g}",
                (each.phase or "").upper(),
                each.role,
                (outer if outer in unique else each.inside) or "",
            )
        )
    return out.getvalue()


def read_table(text: str, present: Iterable[Circuit]) -> list[Change]:
    """What a table changes; circuits and columns that it does not name stay as they are.

    Raises:
        TableError: with everything that is wrong in it.
    """
    if len(text) > LONGEST:
        raise TableError([Problem("table_too_long")])
    known = {circuit.id: circuit for circuit in present}
    rows = _rows(text)
    if not rows:
        raise TableError([Problem("table_empty")])
    problems: list[Problem] = []
    taken: dict[str, tuple[int, dict[str, str]]] = {}
    for line, row in rows:
        if odd := [column for column in row if column not in COLUMNS]:
            problems.append(Problem("table_column", line, {"value": ", ".join(odd)[:80]}))
            continue
        found = _find(row, known)
        if found is None:
            said = row.get("id") or row.get("address") or "–"
            problems.append(Problem("table_unknown", line, {"value": said[:40]}))
        elif found in taken:
            problems.append(Problem("table_twice", line, {"value": found}))
        else:
            taken[found] = (line, row)
    names = {meter: row.get("name", "").strip() for meter, (_, row) in taken.items()}
    names = {meter: names.get(meter) or circuit.name for meter, circuit in known.items()}
    after = dict(known)
    for meter, (line, row) in taken.items():
        try:
            after[meter] = _changed(known[meter], row, names)
        except TableError as err:
            problems += [Problem(each.key, line, each.values) for each in err.problems]
    if not problems:
        problems = _circles(after, {meter: line for meter, (line, _) in taken.items()})
    if problems:
        raise TableError(sorted(problems, key=lambda problem: problem.line))
    return [
        Change(known[meter], circuit) for meter, circuit in after.items() if circuit != known[meter]
    ]


def _rows(text: str) -> list[tuple[int, dict[str, str]]]:
    """(line, {column: text}) of a table in either form."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").lstrip("\ufeff")
    first = next((line for line in text.split("\n") if line.strip()), "").strip()
    if first.startswith(("-", "{", "[")) or (first.endswith(":") and ";" not in first):
        return _yaml_rows(text)
    delimiter = max(_DELIMITERS, key=first.count)
    try:
        reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
        lines = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as err:
        raise TableError([Problem("table_not_csv", 0, {"value": str(err)})]) from err
    if not lines:
        return []
    columns = [cell.strip().lower() for cell in lines[0][1]]
    if "id" not in columns and "address" not in columns:
        raise TableError([Problem("table_header", lines[0][0])])
    if long := [line for line, row in lines[1:] if len(row) > len(columns)]:
        raise TableError([Problem("table_cells", line) for line in long])
    return [
        (line, {column: cell.strip() for column, cell in zip(columns, row, strict=False)})
        for line, row in lines[1:]
    ]


def _yaml_rows(text: str) -> list[tuple[int, dict[str, str]]]:
    """A list of mappings, or a mapping of ids to mappings."""
    try:
        content = yaml.load(
            text, Loader=yaml.BaseLoader
        )  # Text stays text: ids may look like numbers.
    except (yaml.YAMLError, ValueError, RecursionError) as err:
        detail = " ".join(str(err).split())[:120]
        raise TableError([Problem("table_not_yaml", 0, {"value": detail})]) from err
    if isinstance(content, dict):
        content = [
            {"id": meter, **about} if isinstance(about, dict) else about
            for meter, about in content.items()
        ]
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        raise TableError([Problem("table_not_rows")])
    return [
        (number, {str(column).lower(): _plain(value) for column, value in row.items()})
        for number, row in enumerate(content, 1)
    ]


def _plain(value: Any) -> str:
    """What stands in YAML as it would in CSV."""
    return str(value).strip()


def _find(row: Mapping[str, str], known: Mapping[str, Circuit]) -> str | None:
    """The circuit that a row is about: by its id, else by an address that only one has."""
    said = row.get("id", "").lower()
    if said:
        # A spreadsheet shows long ids as it likes; at least it does not change their case only.
        return next((meter for meter in known if meter.lower() == said), None)
    address = row.get("address", "").lower()
    there = [meter for meter, each in known.items() if address and each.address.lower() == address]
    return there[0] if len(there) == 1 else None


def _changed(circuit: Circuit, row: Mapping[str, str], names: Mapping[str, str]) -> Circuit:
    problems: list[Problem] = []
    rating, phase, role, inside = circuit.rating, circuit.phase, circuit.role, circuit.inside
    if "rating" in row:
        rating = _rating(row["rating"], problems)
    if "phase" in row:
        phase = row["phase"].lower().removeprefix("l") or None
        phase = phase and f"l{phase}"
        if phase not in (None, *PHASES):
            problems.append(Problem("table_phase", 0, {"value": row["phase"][:40]}))
    if "role" in row:
        role = row["role"].lower() or ROLE_NONE
        if role not in ROLES:
            values = {"value": row["role"][:40], "roles": ", ".join(ROLES)}
            problems.append(Problem("table_role", 0, values))
    if "inside" in row:
        inside = _inside(row["inside"], names, problems)
        if inside == circuit.id:
            problems.append(Problem("table_circle", 0, {"value": names[circuit.id]}))
        if inside is not None and "role" not in row and role == ROLE_NONE:
            role = ROLE_DEVICE
        if inside is not None and role in ROLES and role not in (ROLE_DEVICE, ROLE_NONE):
            problems.append(Problem("table_inside_role", 0, {"value": names[circuit.id]}))
    if problems:
        raise TableError(problems)
    return Circuit(
        id=circuit.id,
        name=names[circuit.id],
        rating=rating,
        phase=phase,
        role=role,
        inside=inside,
        address=circuit.address,
    )


def _rating(text: str, problems: list[Problem]) -> float | None:
    number = text.lower().removesuffix("a").strip().replace(",", ".")
    if not number:
        return None
    try:
        rating = float(number)
    except ValueError:
        rating = math.nan
    if not 0 < rating <= HIGHEST_RATING:
        problems.append(Problem("table_rating", 0, {"value": text[:40]}))
        return None
    return rating


def _inside(text: str, names: Mapping[str, str], problems: list[Problem]) -> str | None:
    if not text:
        return None
    if text.lower() in names:
        return text.lower()
    called = [meter for meter, name in names.items() if name.lower() == text.lower()]
    if len(called) != 1:
        key = "table_inside_twice" if called else "table_inside_unknown"
        problems.append(Problem(key, 0, {"value": text[:40]}))
        return None
    return called[0]


def _circles(circuits: Mapping[str, Circuit], lines: Mapping[str, int]) -> list[Problem]:
    """Circuits that are inside themselves, by a way however long."""
    problems = []
    for meter, circuit in circuits.items():
        seen, outer = {meter}, circuit.inside
        while outer is not None and outer in circuits and outer not in seen:
            seen.add(outer)
            outer = circuits[outer].inside
        if outer == meter:
            problems.append(Problem("table_circle", lines.get(meter, 0), {"value": circuit.name}))
    return problems
