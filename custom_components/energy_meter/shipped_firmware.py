"""The firmware that comes with the integration: `firmware/<kind>`, as it is on a board.

All functions here read files, and block.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent / "firmware"
VERSION_FILE: Final = "version.txt"
_LIBRARY: Final = "lib"


class DamagedFirmwareError(Exception):
    """The installation of the integration is incomplete; the argument names the file."""


@dataclass(frozen=True, slots=True)
class ShippedFirmware:
    """The firmware for one kind of board."""

    folder: Path
    version: str

    def read(self) -> Mapping[str, bytes]:
        """Return {path on the board: content}, in a fixed order.

        Raises:
            DamagedFirmwareError: a file cannot be read, or is none that a board could run.
        """
        contents: dict[str, bytes] = {}
        for path in sorted([*self.folder.glob("*.py"), *(self.folder / _LIBRARY).rglob("*.py")]):
            name = path.relative_to(self.folder).as_posix()
            try:
                contents[name] = path.read_bytes()
                # A file that was cut off somewhere is hardly ever still a program.
                compile(contents[name], name, "exec", dont_inherit=True)
            except (OSError, SyntaxError, ValueError) as err:
                raise DamagedFirmwareError(name) from err
        return {**contents, VERSION_FILE: f"{self.version}\n".encode()}


def shipped_firmware(kind: str, folder: Path = FOLDER) -> ShippedFirmware | None:
    """Return what comes with the integration for boards of a kind; None if nothing does."""
    try:
        version = (folder / kind / VERSION_FILE).read_text("ascii").strip()
    except OSError, ValueError:
        return None
    return ShippedFirmware(folder / kind, version) if version else None
