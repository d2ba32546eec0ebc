"""A real ESPHome node on this machine: compiled by ESPHome, with a serial proxy in front of an emulated line."""

import os
from pathlib import Path
import shutil
import socket
import subprocess
import time
from types import TracebackType
from typing import Final, Self

ROOT: Final = Path(__file__).parents[2]
ESPHOME: Final = ROOT / ".venv-esphome" / "bin" / "esphome"
PACKAGES: Final = Path("firmware/esp32/esphome/packages")
CONFIGURATION: Final = Path("tests/firmware/esphome/host.yaml")
NAME: Final = "rs485-meters"
"""What the node calls itself."""
PORT_NAME: Final = "RS-485"


def esphome(*arguments: str | Path) -> str:
    """Run ESPHome and return what it prints.

    Raises:
        AssertionError: it is not there, or ends with an error.
    """
    assert ESPHOME.exists(), "ESPHome is missing: scripts/setup esphome provides it"
    done = subprocess.run(
        [ESPHOME, *arguments], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def free_port() -> int:
    """A TCP port that nobody has."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Node:
    """The node; a context manager that runs it. It can be switched off and on again."""

    def __init__(self, directory: Path, device: Path) -> None:
        """Compile it.

        Args:
            directory: where it is built; what is there already is built upon.
            device: the serial port that it offers: a path of exactly two parts, as ESPHome wants it.
        """
        self.port = free_port()
        """Of the API, on 127.0.0.1."""
        self.device = device
        self._directory = directory
        self._log = directory / "log"
        self._process: subprocess.Popen[bytes] | None = None
        shutil.copytree(ROOT / PACKAGES, directory / PACKAGES, dirs_exist_ok=True)
        (directory / CONFIGURATION).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / CONFIGURATION, directory / CONFIGURATION)
        substitutions = ("-s", "device", str(device), "-s", "api_port", str(self.port))
        esphome(*substitutions, "compile", directory / CONFIGURATION)
        [self._program] = (directory / CONFIGURATION).parent.glob(
            f".esphome/build/{NAME}/.pioenvs/*/program"
        )

    @property
    def log(self) -> str:
        """What it has said since it was switched on."""
        return self._log.read_text(errors="replace")

    def __enter__(self) -> Self:
        """Switch it on."""
        self.on()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Switch it off."""
        self.off()

    def on(self) -> None:
        """Start it, and wait until it listens."""
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [self._program],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "ESPHOME_PREFDIR": str(self._directory)},
            )
        end = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                assert time.monotonic() < end, self.log
                time.sleep(0.02)
            else:
                return

    def off(self) -> None:
        """Take its power away."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(5)
