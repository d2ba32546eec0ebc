"""Memory of the ESP32's firmware over a simulated week without a host, and of its hub role with 100 circuits.

    python -m benchmarks.esp32_memory [DAYS]

The firmware runs in MicroPython's unix port with the doubles of the tests; a line comes every five seconds, nobody takes
anything, so that the buffer is full and drops all the time. What is printed is the heap in use after a collection.
Then the hub: what it takes more than a board without one, by circuits, with a host that listens; the bytes of a message
and of the hello; and the smallest heap in which it runs with all that a message costs on its way.
Pointers are twice as wide as on an ESP32: its figures are smaller, and the trend is what counts.
"""

import asyncio
from pathlib import Path
import sys
import tempfile
import time

from tests.firmware.esp32.hubs import hub
from tests.support.esp32 import Board, free_port, settings

LINE = '{"Voltage": 230.1, "Current": 4.02, "PF": 0.97, "Frequency": 50.01}'
OFF = {"on": False}


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


async def without_hub() -> int:
    """Heap in use of a board that does the same without a bus, with a host."""
    with tempfile.TemporaryDirectory() as folder:
        async with hub(Path(folder), 0, i2c=OFF) as one:
            return int((await one.passes(20))["allocated"])


async def measure_hub() -> None:
    """The hub's heap and bytes by circuits."""
    plain = await without_hub()
    print(f"\n{'circuits':>8} {'more heap':>10} {'readings':>9} {'hello':>6}   (bytes)")
    for circuits in (1, 25, 50, 100):
        with tempfile.TemporaryDirectory() as folder:
            async with hub(Path(folder), circuits, heap="4m") as one:
                look = await one.passes(20)
                hello = one.hello_size
                print(
                    f"{circuits:8d} {look['allocated'] - plain:10d} {max(one.sizes):9d} {hello:6d}"
                )
    for kilobytes in range(200, 700, 20):
        if await runs_in(kilobytes):
            print(
                f"100 circuits run for a minute in a heap of {kilobytes} KB; a board without a hub takes {plain // 1024} KB"
            )
            return


async def runs_in(kilobytes: int) -> bool:
    """Whether a hub with 100 circuits says everything in such a heap."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            async with hub(Path(folder), 100, heap=f"{kilobytes}k") as one:
                look = await one.passes(60)
                failures = sum(look["failures"].values())
                return failures == 0 and look["hub"]["rounds"] >= 55 and len(one.present) == 100
        except AssertionError, OSError, ValueError, KeyError:
            return False


if __name__ == "__main__":
    asyncio.run(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 7))
    asyncio.run(measure_hub())
