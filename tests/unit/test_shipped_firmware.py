"""The firmware that the integration ships: whole, and nothing that is damaged."""

from pathlib import Path

import pytest

from custom_components.energy_meter.shipped_firmware import (
    VERSION_FILE,
    DamagedFirmwareError,
    shipped_firmware,
)
from tests.support.micropython import FIRMWARE


def test_all_of_the_firmware_is_shipped() -> None:
    firmware = shipped_firmware("esp32")
    assert firmware is not None
    files = firmware.read()
    assert files[VERSION_FILE].decode().strip() == firmware.version
    assert {"main.py", "boot.py", "slots.py", "lib/energy_meter/app.py"} <= files.keys()
    assert set(files) == {
        path.relative_to(FIRMWARE).as_posix()
        for path in FIRMWARE.rglob("*.*")
        if "__pycache__" not in path.parts
    }


@pytest.mark.parametrize("version", [None, b"", b" \n", "1.0\u00e9".encode()])
def test_nothing_is_shipped_for_other_boards(tmp_path: Path, version: bytes | None) -> None:
    assert shipped_firmware("uno") is None
    (tmp_path / "odd").mkdir()
    if version is not None:
        (tmp_path / "odd" / VERSION_FILE).write_bytes(version)
    assert shipped_firmware("odd", tmp_path) is None


def test_a_damaged_file_is_not_sent(tmp_path: Path) -> None:
    library = tmp_path / "esp32" / "lib" / "energy_meter"
    library.mkdir(parents=True)
    (tmp_path / "esp32" / VERSION_FILE).write_text("1.0.0\n")
    file = library / "a.py"
    firmware = shipped_firmware("esp32", tmp_path)
    assert firmware is not None
    for damaged in (b"def run(", b"x = 1\x00", b"\xff\xfe"):
        file.write_bytes(damaged)
        with pytest.raises(DamagedFirmwareError, match=r"lib/energy_meter/a\.py"):
            firmware.read()
    file.unlink()
    file.mkdir()
    with pytest.raises(DamagedFirmwareError):
        firmware.read()
    file.rmdir()
    file.write_bytes(b"x = 1\n")
    assert firmware.read() == {"lib/energy_meter/a.py": b"x = 1\n", VERSION_FILE: b"1.0.0\n"}
