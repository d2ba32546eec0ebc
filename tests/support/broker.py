"""A real MQTT broker (mosquitto) on a free loopback port, that can be stopped and started again."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
import shutil
import socket
import subprocess
import time

_PLACES = ("/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto")
_START_LIMIT = 10.0


def program() -> str:
    """Where the broker is; Debian puts it where an ordinary user's path does not lead."""
    found = shutil.which("mosquitto") or next((one for one in _PLACES if Path(one).exists()), None)
    assert found, "mosquitto is missing: scripts/setup services installs it."
    return found


class Broker:
    """One broker; what it is asked to keep survives its restart."""

    def __init__(self, directory: Path) -> None:
        """Choose the port; nothing runs before `start`."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None
        self._configuration = directory / "mosquitto.conf"
        self._configuration.write_text(
            f"listener {self.port} 127.0.0.1\n"
            "allow_anonymous true\n"
            "persistence true\n"
            f"persistence_location {directory}/\n"
            "user root\n"
            "log_dest none\n"
        )

    def start(self) -> None:
        """Run, and return when clients are let in."""
        self._process = subprocess.Popen(
            [program(), "-c", str(self._configuration)], stderr=subprocess.DEVNULL
        )
        end = time.monotonic() + _START_LIMIT
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                assert time.monotonic() < end, "the broker does not start"
                time.sleep(0.02)
            else:
                return

    def stop(self) -> None:
        """End."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None


@contextmanager
def broker(directory: Path) -> Iterator[Broker]:
    """A running broker."""
    one = Broker(directory)
    one.start()
    try:
        yield one
    finally:
        one.stop()
