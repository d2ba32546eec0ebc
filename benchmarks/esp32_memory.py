"""Memory of the ESP32's firmware over a simulated week without a host, and the time that takes.

    python -m benchmarks.esp32_memory [DAYS]

The firmware runs in MicroPython's unix port with the doubles of the tests; a line comes every five seconds, nobody takes
anything, so that the buffer is full and drops all the time. What is printed is the heap in use after a collection.
Pointers are twice as wide as on an ESP32: its figures are smaller, and the trend is what counts.
"""

import asyncio
from pathlib import Path
import sys
import tempfile
import time

from tests.support.esp32 import Board, free_port, settings

LINE = '{"Voltage": 230.1, "Current": 4.02, "PF": 0.97, "Frequency": 50.01}'


async def measure(days: int) -> None:
    """Let the days pass, six hours at a time."""
    with tempfile.TemporaryDirectory() as folder:
        config = settings(tcp={"on": True, "port": free_port()})
        board = Board(Path(folder), config)
        await board.start()
        try:
            await board.do("uart", port=1, text="\n")
            print(
                f"{'day':>5} {'heap in use':>12} {'said':>8} {'buffered':>9} {'dropped':>8} {'seconds':>8}"
            )
            for quarter in range(4 * days):
                began = time.monotonic()
                look = await board.do("lines", seconds=21_600, port=1, every=5000, line=LINE)
                print(
                    f"{(quarter + 1) / 4:5.2f} {look['allocated']:12d} {look['seq']:8d}"
                    f" {look['buffered']:9d} {look['dropped']:8d} {time.monotonic() - began:8.1f}",
                    flush=True,
                )
        finally:
            await board.cut_power()


if __name__ == "__main__":
    asyncio.run(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 7))
