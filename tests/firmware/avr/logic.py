"""The AVR firmware's logic, compiled for this PC: what needs more runs than a simulated board can give."""

import ctypes
from functools import cache
from pathlib import Path
import subprocess
from typing import Any

from tests.support.avr_bench import parse

SETTINGS = (
    "voltage_gain", "voltage_offset", "current_gain", "current_offset", "phase_shift", "dead_band",
    "relay_output", "relay_feedback", "relay_at_start", "minimum_off_time", "form",
)  # fmt: skip
FLAGS = (
    "clipping", "no_voltage", "no_zero_crossing", "overrun", "stuck", "uncalibrated", "restarted",
    "off_frequency",
)  # fmt: skip


class Calibration(ctypes.Structure):
    """`struct calibration` of measure.h."""

    _fields_ = [
        ("voltage_gain", ctypes.c_float),
        ("voltage_offset", ctypes.c_float),
        ("current_gain", ctypes.c_float),
        ("current_offset", ctypes.c_float),
        ("phase_shift", ctypes.c_float),
        ("dead_band", ctypes.c_float),
    ]


class Measured(ctypes.Structure):
    """`struct measured` of measure.h."""

    _fields_ = [
        ("mv", ctypes.c_int32),
        ("ma", ctypes.c_int32),
        ("mw", ctypes.c_int32),
        ("mva", ctypes.c_int32),
        ("mv_seen", ctypes.c_int32),
        ("mvar", ctypes.c_int32),
        ("factor", ctypes.c_int32),
        ("mhz", ctypes.c_int32),
        ("crest", ctypes.c_uint16),
        ("has_factor", ctypes.c_bool),
        ("has_frequency", ctypes.c_bool),
        ("flags", ctypes.c_uint8),
        ("ticks", ctypes.c_uint32),
    ]

    def flag_names(self) -> set[str]:
        """Its flags by name."""
        return {name for bit, name in enumerate(FLAGS) if self.flags >> bit & 1}


NO_CALIBRATION = Calibration(1, 0, 1, 0, 0, 0)


@cache
def load(name: str) -> ctypes.CDLL:
    """Load one of the libraries, built where it is not up to date."""
    script = Path(__file__).parent / "host" / "build"
    done = subprocess.run([script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return ctypes.CDLL(str(Path(done.stdout.strip()) / f"avr_{name}.so"))


@cache
def logic() -> ctypes.CDLL:
    """The UNO node's library."""
    library = load("uno")
    for name in ("told_import", "told_export", "counted_import", "counted_export"):
        getattr(library, f"host_{name}").restype = ctypes.c_uint64
    library.host_boot.restype = ctypes.c_uint32
    library.crc16.restype = ctypes.c_uint16
    for name in ("host_dead", "host_energy_save", "host_energy_reset", "number_parse"):
        getattr(library, name).restype = ctypes.c_bool
    library.number_text.restype = ctypes.c_char_p
    library.number_text.argtypes = [ctypes.c_int64, ctypes.c_uint8, ctypes.c_char_p]
    return library


def variable(name: str, kind: type[Any]) -> Any:
    """A global of the library; `.value` reads and writes it."""
    return kind.in_dll(logic(), name)


def storage() -> ctypes.Array[ctypes.c_uint8]:
    """What stands in for the EEPROM."""
    array: ctypes.Array[ctypes.c_uint8] = (ctypes.c_uint8 * 1024).in_dll(logic(), "host_storage")
    return array


def erase() -> None:
    """A board that has never been used, in good health."""
    logic().host_power_on()
    variable("host_worn", ctypes.c_bool).value = False
    ctypes.memset(storage(), 0xFF, 1024)


def fail_after(count: int, spoilt: int) -> None:
    """Let the supply fail while the `count`-th byte from now is written; it then holds `spoilt`."""
    variable("host_cut_after", ctypes.c_long).value = count
    variable("host_spoilt", ctypes.c_uint8).value = spoilt


class LogicNode:
    """A UNO node without its board."""

    def __init__(self) -> None:
        """Start it, with what is in the storage, and let it see its first window."""
        logic().host_start()
        self.window()

    def window(self, volts: float = 230, amperes: float = 0) -> None:
        """A window of a plain sine, whose current is in phase."""
        v, i = volts / 1.953125, amperes / 0.048828125
        logic().host_window(round(v * v * 1000), round(i * i * 1000), round(v * i * 1000))

    def line(self, line: bytes) -> None:
        """A line from the host, as the receiving buffer would hand it over."""
        logic().host_line(line[:192], min(len(line), 192), len(line) <= 192)

    def work(self) -> None:
        """What the main loop does."""
        logic().host_work()

    def pass_time(self, seconds: int) -> None:
        """Let seconds pass, with work in each."""
        for _ in range(seconds):
            variable("host_uptime", ctypes.c_uint32).value += 1
            self.work()

    def sent(self) -> bytes:
        """What it has sent since the last call."""
        length = variable("host_sent_length", ctypes.c_ulong)
        data = bytes((ctypes.c_uint8 * 65536).in_dll(logic(), "host_sent")[: length.value])
        length.value = 0
        return data

    def messages(self) -> list[dict[str, Any]]:
        """The messages that it has sent since the last call, with their CRCs checked."""
        return [parse(line.decode()) for line in self.sent().splitlines() if line]

    def setting(self, name: str) -> int:
        """What a setting stands at, in its steps."""
        return int(logic().host_setting(SETTINGS.index(name)))

    @property
    def errors(self) -> int:
        """Lines that could not be used."""
        return int(logic().host_errors())
