"""The firmware that the integration ships: the one of this repository, and nothing that is damaged."""

import hashlib
import json
from pathlib import Path

import pytest

from custom_components.energy_meter.shipped_firmware import DamagedFirmwareError, shipped_firmware
from scripts.pack_firmware import MANIFEST, packed, present, sources


def test_what_is_shipped_is_what_the_sources_are() -> None:
    assert present() == packed(sources()), "run scripts/pack_firmware"


def test_the_shipped_firmware_can_be_read_whole() -> None:
    firmware = shipped_firmware("esp32")
    assert firmware is not None
    files = firmware.read()
    assert files["version.txt"].decode().strip() == firmware.version
    assert {"main.py", "boot.py", "lib/energy_meter/app.py"} <= files.keys()


def test_nothing_is_shipped_for_other_boards(tmp_path: Path) -> None:
    assert shipped_firmware("uno") is None
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / MANIFEST).write_text("{]")
    assert shipped_firmware("odd", tmp_path) is None


@pytest.mark.parametrize("content", [b"other", None])
def test_a_damaged_file_is_not_sent(tmp_path: Path, content: bytes | None) -> None:
    folder = tmp_path / "esp32"
    folder.mkdir()
    right = b"right"
    digest = hashlib.sha256(right).hexdigest()
    manifest = {"version": "1", "files": [{"name": "a.py", "size": 5, "sha256": digest}]}
    (folder / MANIFEST).write_text(json.dumps(manifest))
    firmware = shipped_firmware("esp32", tmp_path)
    assert firmware is not None
    if content is not None:
        (folder / "a.py").write_bytes(content)
    with pytest.raises(DamagedFirmwareError, match=r"a\.py"):
        firmware.read()
    (folder / "a.py").write_bytes(right)
    assert firmware.read() == {"a.py": right}
