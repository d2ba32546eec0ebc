"""The ESP32's firmware as a process on this machine, for tests from the wire to Home Assistant.

It runs in MicroPython's unix port with doubles for the chip's own modules (`tests/firmware/esp32/doubles`), on real
sockets of 127.0.0.1 and, if wanted, a real pty as its UART. A folder stands for its flash, so that it can be started again.
"""

import asyncio
from collections.abc import Mapping
import contextlib
import json
import os
from pathlib import Path
import shutil
import socket
from typing import Any

from tests.support.micropython import DOUBLES, FIRMWARE, micropython

KEY = "ABCDEFGHJKLMNPQRSTUV"
RESET, SLEEP = 75, 76
"""Exit statuses: the firmware asked for a restart, for a deep sleep."""


def free_port() -> int:
    """A TCP port that nobody listens on now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def settings(**changes: Any) -> dict[str, Any]:
    """A `config.json` with everything off that a test does not ask for."""
    plain: dict[str, Any] = {
        "name": "Workshop",
        "key": KEY,
        "wifi": {"ssid": "Home", "password": "secret"},
        "usb": {"on": False},
        "tcp": {"on": False},
        "mdns": False,
        "button": None,
        "led": {"pin": None},
        "watchdog": 0,
    }
    return {**plain, **changes}


class Board:
    """One board: its flash in a folder, and the process that runs from it."""

    def __init__(
        self,
        folder: Path,
        config: Mapping[str, Any] | None = None,
        uarts: Mapping[int, str] = {},
        usb: int | None = None,
        wire: int | None = None,
    ) -> None:
        """Flash the firmware into an empty folder.

        Args:
            folder: its flash.
            config: its `config.json`; none on a first start.
            uarts: number → path of a pty; a UART without one is fed by `do("uart")`.
            usb: descriptor of the pty that is its USB port; without one nothing comes from there.
            wire: port of the simulated I²C bus on its pins, see `i2c_wire`.
        """
        self.folder = folder
        self.console = folder / "console.txt"
        """What it printed."""
        self._usb = usb
        self._wire = wire
        self.control_port = free_port()
        self._uarts = dict(uarts)
        self._process: asyncio.subprocess.Process | None = None
        self._control: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        others = shutil.ignore_patterns("__pycache__")
        shutil.copytree(FIRMWARE, folder, ignore=others, dirs_exist_ok=True)
        if config is not None:
            (folder / "config.json").write_text(json.dumps(config))

    async def start(self, cause: int = 1, heap: str = "2m") -> None:
        """Power on; `cause` is one of `machine`'s reset causes. Returns once it runs."""
        environment = {f"UART{number}": path for number, path in self._uarts.items()}
        if self._wire is not None:
            environment["I2C_WIRE"] = str(self._wire)
        with self.console.open("ab") as console:
            self._process = await asyncio.create_subprocess_exec(
                micropython(),
                "-X",
                f"heapsize={heap}",
                str(DOUBLES / "run_board.py"),
                str(self.control_port),
                cwd=self.folder,
                env={**os.environ, **environment, "RESET_CAUSE": str(cause)},
                stdin=self._usb if self._usb is not None else asyncio.subprocess.DEVNULL,
                stdout=self._usb if self._usb is not None else console,
                stderr=console,
            )
        for _ in range(500):
            try:
                self._control = await asyncio.open_connection("127.0.0.1", self.control_port)
            except OSError:
                if self._process.returncode is not None:
                    text = self.console.read_text()
                    raise AssertionError(f"the firmware did not start:\n{text}") from None
                await asyncio.sleep(0.01)
            else:
                return
        raise AssertionError("the firmware does not answer")

    async def do(self, what: str, **more: Any) -> dict[str, Any]:
        """Let something happen to the board (see `doubles/run_board.py`); what it knows afterwards."""
        assert self._control is not None
        reader, writer = self._control
        writer.write(json.dumps({"do": what, **more}).encode() + b"\n")
        answer: dict[str, Any] = json.loads(await asyncio.wait_for(reader.readline(), 60))
        return answer

    async def look(self) -> dict[str, Any]:
        """What the firmware knows: totals, buffer, memory."""
        return await self.do("look")

    async def ended(self, seconds: float = 10) -> int:
        """Wait until the firmware ends its process by itself; the exit status."""
        assert self._process is not None
        return await asyncio.wait_for(self._process.wait(), seconds)

    async def cut_power(self) -> None:
        """End the process at once."""
        if self._control is not None:
            self._control[1].close()
            self._control = None
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
            self._process = None
