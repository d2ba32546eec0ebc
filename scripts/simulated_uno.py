"""Run the UNO node on a simulated board, in real time, on a serial port of this machine.

    .venv/bin/python scripts/simulated_uno.py

It prints the port, to be typed into Home Assistant (Add bridge → Serial port, 9600 baud) or opened with a terminal. What is typed
here changes the mains and the load, for example `irms=8 phi=30` or `vrms=0`; `off` and `on` are the board's supply.
"""

from pathlib import Path
import select
import sys
import time

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.avr_bench import AvrBench, BenchError, uno_node

SLICE, LONGEST = 0.02, 0.5
"""Seconds that pass at once, where the machine keeps up and where it does not."""


def obey(bench: AvrBench, line: str) -> None:
    """Carry out what was typed."""
    try:
        if line in {"on", "off"}:
            bench.power(line == "on")
        else:
            pairs = (word.partition("=") for word in line.split())
            bench.set(**{key: float(value) for key, _, value in pairs})
    except (BenchError, ValueError) as err:
        print(f"not understood: {err}")
        return
    print(", ".join(f"{key} {value:.3f}" for key, value in bench.true().items()))


def main() -> None:
    """Run until the end of the input."""
    with uno_node() as bench:
        print(f"The UNO is at {bench.pty()}. Change its mains with KEY=VALUE …, end with Ctrl-D.")
        bench.set(noise=2)
        now = bench.run(0)
        start = time.monotonic() - now
        while True:
            behind = time.monotonic() - start - now
            now = bench.run(min(max(SLICE, behind), LONGEST))
            ahead = now - (time.monotonic() - start)
            ready, _, _ = select.select([sys.stdin], [], [], max(ahead, 0))
            if not ready:
                continue
            line = sys.stdin.readline()
            if not line:
                return
            obey(bench, line.strip())


if __name__ == "__main__":
    main()
