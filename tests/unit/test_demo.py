"""The demo's start: a free port or one clear sentence, and a directory that is really its own."""

from collections.abc import Iterator
import json
from pathlib import Path
import socket

import pytest

from scripts.demo_home import DemoError, free_port, write_configuration

BRIDGE = (8_731, "ABCDEFGHJKLMNPQRSTUV")
HUB = (8_732, "VUTSRQPNMLKJHGFEDCBA")

pytestmark = pytest.mark.usefixtures("socket_enabled")


@pytest.fixture
def busy_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_busy_port_is_named_with_what_to_do(busy_port: int) -> None:
    with pytest.raises(DemoError, match=f"Port {busy_port} is busy; choose another one"):
        free_port(busy_port)


def test_without_a_wish_the_next_free_port_is_taken() -> None:
    first = free_port(None)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", first))
        listener.listen()
        assert first < free_port(None) < 8143


def test_zero_is_any_free_port() -> None:
    assert free_port(0) > 1_024


def test_an_earlier_demo_makes_room_for_the_next(tmp_path: Path) -> None:
    home = tmp_path / "home"
    write_configuration(home, 8_199, days=3, meters=True, shedding=True, bridge=BRIDGE, hub=HUB)
    (home / "home-assistant_v2.db").touch()
    write_configuration(
        home, 8_200, days=3, meters=False, shedding=False, bridge=BRIDGE, hub=HUB, circuits=100
    )
    assert "circuits: 100" in (home / "configuration.yaml").read_text()
    assert not (home / "home-assistant_v2.db").exists()
    assert "meters: false" in (home / "configuration.yaml").read_text()
    server = json.loads((home / ".storage" / "http").read_text())["data"]
    assert server["stable"]["server_port"] == 8_200
    assert (home / "custom_components" / "energy_meter" / "manifest.json").exists()


def test_somebody_elses_directory_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(DemoError, match="is not a directory of this demo"):
        write_configuration(
            tmp_path, 8_199, days=3, meters=True, shedding=True, bridge=BRIDGE, hub=HUB
        )
    assert (tmp_path / "thesis.txt").exists()
