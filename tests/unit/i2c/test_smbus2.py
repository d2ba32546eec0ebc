"""The real smbus2 with its real system calls, on a simulated bus that a small library puts behind `/dev/i2c-7`."""

from collections.abc import Iterator
import json
import os
from pathlib import Path
import socket
import struct
import subprocess
import sys
import threading

import pytest
from smbus2 import i2c_msg

from custom_components.energy_meter.sources.simulated.panel import simulated_panel
from tests.support.i2c_monitors import FaultyBus, ForeignChip

ROOT = Path(__file__).parents[3]
SOURCE = ROOT / "tests" / "support" / "i2c_device.c"
PROGRAM = """
import asyncio, json, time
from custom_components.energy_meter.sources.i2c.bus import I2CBus, open_bus
from custom_components.energy_meter.sources.i2c.hub import I2CHub
from tests.support.i2c_monitors import Heard

async def main():
    heard = Heard()
    bus = I2CBus(lambda: open_bus(7), name="/dev/i2c-7")
    hub = I2CHub(heard, bus, hub_id="i2c-7", name="Panel", clock=lambda: (time.monotonic(), time.time()))
    await hub.start()
    await asyncio.sleep(2.5)
    relay = await hub.command("relay", 0, heard.hellos[-1].meters[5].id)
    await asyncio.sleep(0.2)
    places, errors = sorted(hub.places), hub.health.errors
    await hub.stop()
    print(json.dumps({
        "meters": [meter.id for meter in heard.hellos[-1].meters],
        "voltages": [reading.values["voltage"] for reading, _ in heard.readings],
        "relay": relay, "places": places, "errors": errors, "troubles": heard.troubles,
    }))

asyncio.run(main())
"""

pytestmark = pytest.mark.usefixtures("socket_enabled")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = tmp_path_factory.mktemp("i2c") / "i2c_device.so"
    subprocess.run(
        [
            "cc",
            "-shared",
            "-fPIC",
            "-O2",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-o",
            built,
            SOURCE,
            "-ldl",
        ],
        check=True,
    )
    return built


class Device:
    """What is at the other end of the socket."""

    def __init__(self, bus: FaultyBus, path: Path) -> None:
        self.bus = bus
        self.settings: list[tuple[int, int]] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rwb") as stream:
                while kind := stream.read(1):
                    if kind == b"S":
                        self.settings.append(struct.unpack("=II", stream.read(8)))
                        continue
                    messages = []
                    for _ in range(stream.read(1)[0]):
                        address, flags, length = struct.unpack("=HHH", stream.read(6))
                        messages.append(
                            i2c_msg.read(address, length)
                            if flags & 1
                            else i2c_msg.write(address, stream.read(length))
                        )
                    try:
                        self.bus.i2c_rdwr(*messages)
                    except OSError as err:
                        stream.write(struct.pack("=i", err.errno))
                    else:
                        stream.write(struct.pack("=i", 0))
                        for message in messages:
                            if message.flags & 1:
                                stream.write(bytes(message))
                    stream.flush()


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    panel = FaultyBus([*simulated_panel(6), ForeignChip(0x48)])
    found = Device(panel, tmp_path / "bus")
    yield found
    found.stop()


def test_monitors_are_found_read_and_switched_through_the_system_calls_of_linux(
    library: Path, device: Device, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env={
            **os.environ,
            "LD_PRELOAD": str(library),
            "I2C_DEVICE_SOCKET": str(tmp_path / "bus"),
            "PYTHONPATH": str(ROOT),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    monitors = device.bus.chips[:6]
    assert said["meters"] == [f"{monitor.id:016x}" for monitor in monitors]  # type: ignore[attr-defined]
    assert len(said["voltages"]) >= 12
    assert all(200 < voltage < 260 for voltage in said["voltages"])
    assert said["relay"] == 0
    assert said["places"] == ["0x48"]
    assert (said["errors"], said["troubles"]) == (0, [])
    assert device.settings == [(0x0701, 0), (0x0702, 10)]
    (stranger,) = [chip for chip in device.bus.chips if isinstance(chip, ForeignChip)]
    assert stranger.written == []
