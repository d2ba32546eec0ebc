"""The firmware that comes with the integration: `firmware/<kind>/manifest.json` and the files that it lists.

`scripts/pack_firmware` makes both from the sources of the firmware. All functions here read files, and block.
"""

from collections.abc import Mapping
from dataclasses import dataclass
import hashlib
import json
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent / "firmware"
MANIFEST: Final = "manifest.json"


class DamagedFirmwareError(Exception):
    """The installation of the integration is incomplete; the argument names the file."""


@dataclass(frozen=True, slots=True)
class ShippedFile:
    """One file as the manifest lists it."""

    name: str
    """Path on the board, and below the manifest's folder."""
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ShippedFirmware:
    """The firmware for one kind of board."""

    folder: Path
    version: str
    files: tuple[ShippedFile, ...]

    def read(self) -> Mapping[str, bytes]:
        """Return {path on the board: content}.

        Raises:
            DamagedFirmwareError: a file is missing or is not what the manifest says.
        """
        contents: dict[str, bytes] = {}
        for file in self.files:
            try:
                content = (self.folder / file.name).read_bytes()
            except OSError as err:
                raise DamagedFirmwareError(file.name) from err
            if len(content) != file.size or hashlib.sha256(content).hexdigest() != file.sha256:
                raise DamagedFirmwareError(file.name)
            contents[file.name] = content
        return contents


def shipped_firmware(kind: str, folder: Path = FOLDER) -> ShippedFirmware | None:
    """Return what comes with the integration for boards of a kind; None if nothing does."""
    try:
        manifest = json.loads((folder / kind / MANIFEST).read_text("utf-8"))
        return ShippedFirmware(
            folder / kind,
            str(manifest["version"]),
            tuple(
                ShippedFile(str(each["name"]), int(each["size"]), str(each["sha256"]))
                for each in manifest["files"]
            ),
        )
    except OSError, ValueError, KeyError, TypeError:
        return None
