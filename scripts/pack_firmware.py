"""Pack firmware/esp32 into custom_components/energy_meter/firmware/esp32: the files and a manifest of them.

`--check` changes nothing and fails if what is packed is not what the sources are.
"""

from collections.abc import Mapping
import hashlib
import json
from pathlib import Path
import shutil
import sys
from typing import Final

ROOT: Final = Path(__file__).parents[1]
SOURCE: Final = ROOT / "firmware" / "esp32"
TARGET: Final = ROOT / "custom_components" / "energy_meter" / "firmware" / "esp32"
VERSION_FILE: Final = "version.txt"
MANIFEST: Final = "manifest.json"


def sources(folder: Path = SOURCE) -> dict[str, bytes]:
    """{path on the board: content} of all that a board runs, in a fixed order."""
    paths = [*folder.glob("*.py"), *folder.glob("lib/**/*.py"), folder / VERSION_FILE]
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(paths)
        if "__pycache__" not in path.parts
    }


def packed(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """What the integration ships: the files and their manifest."""
    manifest = {
        "version": files[VERSION_FILE].decode("ascii").strip(),
        "files": [
            {"name": name, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in files.items()
        ],
    }
    return {**files, MANIFEST: f"{json.dumps(manifest, indent=2)}\n".encode()}


def present(folder: Path = TARGET) -> dict[str, bytes]:
    """What is packed now."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def main(arguments: list[str]) -> int:
    """Pack, or look whether that is needed; return the exit code."""
    wanted = packed(sources())
    if "--check" in arguments:
        if present() == wanted:
            return 0
        print("The packed firmware is not that of firmware/esp32: run scripts/pack_firmware")
        return 1
    shutil.rmtree(TARGET, ignore_errors=True)
    for name, content in wanted.items():
        path = TARGET / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    print(f"Packed {len(wanted) - 1} files")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
