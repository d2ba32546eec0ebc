"""Measure, print a table, write JSON: `python -m benchmarks [--quick] [scenario …]`."""

import argparse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import sys
import time
from typing import Final

from .report import Row, machine, save, table
from .scenarios import SCENARIOS, Bench

ALONE: Final = frozenset(
    {"load", "bridge_lines", "bridge_state", "load_shedding", "i2c_panel", "hub_panel"}
)
"""Scenarios that measure the processor."""


def main() -> int:
    """Run the scenarios asked for; return 1 if a target was missed."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument(
        "scenarios",
        nargs="*",
        choices=[*SCENARIOS, []],
        metavar="scenario",
        help=f"one or more of {', '.join(SCENARIOS)}; all if none is given",
    )
    parser.add_argument("--quick", action="store_true", help="a short form, less than two minutes")
    parser.add_argument("--json", type=Path, default=Path("artifacts/benchmarks.json"))
    arguments = parser.parse_args()

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    started = time.monotonic()
    bench = Bench(quick=arguments.quick, say=say)
    names = arguments.scenarios or list(SCENARIOS)
    # Scenarios mostly wait for a line; only those that measure the processor have to have it for themselves.
    together = [name for name in names if arguments.quick and name not in ALONE]
    with ThreadPoolExecutor(max_workers=max(1, len(together))) as pool:
        done = dict(
            zip(
                together, pool.map(lambda name: list(SCENARIOS[name](bench)), together), strict=True
            )
        )
    rows: list[Row] = []
    for name in names:
        rows += done[name] if name in done else SCENARIOS[name](bench)
    print(table(rows))
    mean = max((mean for mean, _ in bench.lateness), default=0.0)
    most = max((most for _, most in bench.lateness), default=0.0)
    print(
        f"\n{machine()}; {time.monotonic() - started:.0f} s. The emulated line handed replies over"
        f" {mean * 1000:.2f} ms late on average in its worst run, {most * 1000:.2f} ms at most."
    )
    save(
        rows,
        arguments.json,
        quick=arguments.quick,
        notes={"lateness_mean": mean, "lateness_max": most},
    )
    return int(any(row.passed is False for row in rows))


if __name__ == "__main__":
    sys.exit(main())
