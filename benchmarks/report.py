"""Rows of results, as a table for people and as JSON for machines."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
import json
import os
from pathlib import Path
import platform
from typing import Any, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure of one client in one scenario."""

    scenario: str
    client: str
    figure: str
    """What was measured, with its unit."""
    value: float
    compared: float | None = None
    """The same figure as a ratio to what `against` names, from the same run."""
    against: str = ""
    target: float | None = None
    """The most that `compared` (or, without it, `value`) may be; None if nothing is asked of this client."""

    @property
    def passed(self) -> bool | None:
        """Whether the target is reached; None without one."""
        if self.target is None:
            return None
        return (self.value if self.compared is None else self.compared) <= self.target

    @property
    def verdict(self) -> Literal["PASS", "FAIL", ""]:
        """The same as a word."""
        if self.passed is None:
            return ""
        return "PASS" if self.passed else "FAIL"


def machine() -> str:
    """Return the class of machine that a run was made on."""
    model = ""
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return f"{os.cpu_count()} × {model or platform.machine()}, Linux {platform.release().split('-')[0]}"


def _number(value: float) -> str:
    if value == int(value) and abs(value) < 1e6:
        return str(int(value))
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table."""
    header = ("scenario", "client", "figure", "value", "ratio", "to", "target", "")
    cells = [
        (
            row.scenario,
            row.client,
            row.figure,
            _number(row.value),
            "" if row.compared is None else _number(row.compared),
            row.against,
            "" if row.target is None else f"≤ {_number(row.target)}",
            row.verdict,
        )
        for row in rows
    ]
    widths = [max(len(line[column]) for line in (header, *cells)) for column in range(len(header))]

    def line(values: Sequence[str]) -> str:
        padded = (value.ljust(width) for value, width in zip(values, widths, strict=True))
        return f"| {' | '.join(padded)} |"

    rule = f"|{'|'.join('-' * (width + 2) for width in widths)}|"
    return "\n".join((line(header), rule, *map(line, cells)))


def save(rows: Sequence[Row], path: Path, *, quick: bool, notes: dict[str, Any]) -> None:
    """Write everything as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "python": platform.python_version(),
        "quick": quick,
        **notes,
        "rows": [{**asdict(row), "passed": row.passed} for row in rows],
    }
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
