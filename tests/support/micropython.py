"""MicroPython's unix port, in which the ESP32's firmware runs on this machine."""

from functools import cache
from pathlib import Path
import subprocess

ROOT = Path(__file__).parents[2]
FIRMWARE = ROOT / "custom_components" / "energy_meter" / "firmware" / "esp32"
DOUBLES = ROOT / "tests" / "firmware" / "esp32" / "doubles"
ON_BOARD = ROOT / "tests" / "firmware" / "esp32" / "on_board"


@cache
def micropython() -> str:
    """The path of the interpreter; provided if need be."""
    script = ROOT / "scripts" / "provide-micropython"
    found = subprocess.run([script], check=True, stdout=subprocess.PIPE, text=True)
    return found.stdout.strip()


def run(
    folder: Path, *arguments: str | Path, heap: str = "2m", seconds: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run a file in `folder`, which stands for the board's flash; the output is in the result."""
    return subprocess.run(
        [micropython(), "-X", f"heapsize={heap}", *map(str, arguments)],
        check=False,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=seconds,
    )


def check(folder: Path, file: Path, function: str, seconds: float = 60) -> str:
    """Run a function of a file of `on_board`; its output. Fails with the traceback if it failed."""
    result = run(folder, DOUBLES / "run_check.py", FIRMWARE, file, function, seconds=seconds)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout
