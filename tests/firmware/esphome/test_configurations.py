"""ESPHome takes every configuration that comes with the project, and makes of it what it should."""

from pathlib import Path
import shutil
from typing import Any

import pytest
import yaml

from tests.support.esphome import ROOT, esphome

FOLDER = ROOT / "firmware" / "esp32" / "esphome"
CONFIGURATIONS = sorted(
    path.name for path in FOLDER.glob("*.yaml") if not path.name.startswith("secrets")
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder as a user has it: copied, with secrets filled in."""
    folder = tmp_path / "esphome"
    shutil.copytree(FOLDER, folder)
    shutil.copy(folder / "secrets.example.yaml", folder / "secrets.yaml")
    return folder


class _Loader(yaml.SafeLoader):
    """Reads what ESPHome prints, in which secrets and code stay tagged."""


_Loader.add_multi_constructor("!", lambda _loader, _tag, node: node.value)


def _checked(configuration: Path) -> dict[str, Any]:
    """The configuration with everything that ESPHome adds to it."""
    printed: dict[str, Any] = yaml.load(esphome("config", configuration), _Loader)
    return printed


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_esphome_takes_it_and_makes_code_of_it(folder: Path, name: str) -> None:
    checked = _checked(folder / name)
    # Nobody without the key reads the meters or flashes the board.
    assert checked["api"]["encryption"]["key"] == "api_key"
    assert "encryption" in next(one for one in checked["ota"] if one["platform"] == "esphome")
    esphome("compile", "--only-generate", folder / name)
    [code] = folder.glob(".esphome/build/*/src/main.cpp")
    assert "serial_proxy::SerialProxy" in code.read_text()


def test_the_rs485_line_has_its_direction_pin_and_room_for_the_longest_frame(folder: Path) -> None:
    checked = _checked(folder / "rs485-meters.yaml")
    [uart] = checked["uart"]
    assert uart["flow_control_pin"]["number"] == 4
    assert uart["rx_buffer_size"] >= 256
    assert checked["serial_proxy"] == [
        {"uart_id": uart["id"], "name": "RS-485", "port_type": "RS485"}
    ]


def test_the_uno_is_on_plain_lines_at_its_speed(folder: Path) -> None:
    checked = _checked(folder / "uno-node.yaml")
    [uart] = checked["uart"]
    assert "flow_control_pin" not in uart
    assert (uart["baud_rate"], uart["data_bits"], uart["parity"]) == (9600, 8, "NONE")
    assert checked["serial_proxy"] == [{"uart_id": uart["id"], "name": "UNO", "port_type": "TTL"}]


def test_both_ports_fit_on_one_board_as_the_documentation_says(folder: Path) -> None:
    page = (ROOT / "docs" / "esphome.md").read_text()
    [example] = [block for block in page.split("```") if "uno: !include" in block]
    (folder / "both.yaml").write_text(example.removeprefix("yaml"))
    checked = _checked(folder / "both.yaml")
    assert {one["name"]: one["port_type"] for one in checked["serial_proxy"]} == {
        "RS-485": "RS485",
        "UNO": "TTL",
    }
    pins = [uart[pin]["number"] for uart in checked["uart"] for pin in ("tx_pin", "rx_pin")]
    assert len(set(pins)) == 4


def test_a_secret_that_was_forgotten_is_named(folder: Path) -> None:
    secrets = (folder / "secrets.yaml").read_text().splitlines()
    (folder / "secrets.yaml").write_text(
        "\n".join(line for line in secrets if not line.startswith("api_key"))
    )
    with pytest.raises(AssertionError, match="api_key"):
        esphome("config", folder / "uno-node.yaml")
