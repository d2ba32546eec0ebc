"""The AVR firmware is built by one command and fits, with room for its stack."""

from collections.abc import Callable
import re
import subprocess

import pytest

from custom_components.energy_meter.sources.i2c.registers import Opcode
from tests.support.avr_bench import ARTIFACTS, ROOT, AvrBench, uno_node

from .monitor import STARTED, Monitor, monitors

RAM_START = 0x100
INTERRUPTS = 120
"""Bytes that the nested interrupts may still push after the stack pointer was looked at."""


def report(name: str) -> dict[str, int]:
    """What the build says that a firmware needs, bytes."""
    script = ROOT / "firmware" / "avr" / "build"
    said = subprocess.run([script, name], check=True, capture_output=True, text=True).stdout
    found = re.search(
        r"flash (?P<flash>\d+) of .* RAM (?P<ram>\d+) of .* EEPROM (?P<eeprom>\d+) of", said
    )
    pairs = re.search(r"(\d+) pairs of samples per second", said)
    assert found is not None and pairs is not None, said
    return {**{key: int(value) for key, value in found.groupdict().items()}, "pairs": int(pairs[1])}


@pytest.mark.parametrize("name", ["uno_node", "i2c_monitor"])
def test_it_fits_and_is_there_to_be_flashed(name: str) -> None:
    needs = report(name)
    assert needs["flash"] < 0.9 * 32_256
    assert needs["ram"] < 0.75 * 2048
    assert needs["eeprom"] <= 1024
    assert needs["pairs"] >= 1800
    lines = (ARTIFACTS / f"{name}.hex").read_text().splitlines()
    assert lines[-1] == ":00000001FF"


def busy_node(bench: AvrBench) -> None:
    for number in range(1, 6):
        bench.say({"type": "hello?"})
        bench.say({"type": "command", "id": number, "control": "dead_band", "value": number / 10})
        bench.run(3)


def busy_monitor(bench: AvrBench) -> None:
    bench.run(STARTED)
    monitor = Monitor(bench)
    for number in range(20):
        monitor.guarded(Opcode.DEAD_BAND, number)
        monitor.order(Opcode.CAPTURE, 2)
        bench.i2c(monitor.address, bytes((0xE0, number % 8)), 62)


@pytest.mark.parametrize(
    ("name", "start", "keep_busy"),
    [("uno_node", uno_node, busy_node), ("i2c_monitor", monitors, busy_monitor)],
)
def test_the_stack_stays_clear_of_the_variables(
    name: str, start: Callable[[], AvrBench], keep_busy: Callable[[AvrBench], None]
) -> None:
    with start() as bench:
        bench.run(2)
        keep_busy(bench)
        assert bench.stat()["stack"] - INTERRUPTS > RAM_START + report(name)["ram"]
