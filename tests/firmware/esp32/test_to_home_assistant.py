"""From a board's bytes through the ESP32's firmware and a real TCP connection to the entity in Home Assistant.

Nothing between is doubled but the chip: the firmware runs in MicroPython, the connection is a socket, Home Assistant
is Home Assistant. Hours without a link pass at once, because the board's clock can be moved.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
import time
from typing import Any

from homeassistant.const import ATTR_ENTITY_ID
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import entity_registry as er
from homeassistant.util import dt as dt_util
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from custom_components.energy_meter import bridge_runtime
from custom_components.energy_meter.bridge_runtime import BridgeRuntime
from custom_components.energy_meter.const import DOMAIN
from custom_components.energy_meter.shipped_firmware import shipped_firmware
from tests.firmware.esp32.counterparts import board as plain_board
from tests.integration.bridge_ways.test_mqtt_way import with_mqtt
from tests.integration.runtime_support import until
from tests.support.broker import broker as running_broker
from tests.support.entries import loaded
from tests.support.esp32 import KEY, RESET, Board, free_port, settings

pytestmark = pytest.mark.usefixtures("socket_enabled")

BRIDGE = "a4cf12d3e4f5"
LINE = '{"Voltage": 230.0, "Current": 40.0, "PF": 1.0}'
"""9.2 kW. While a host is connected less than 45 s may pass at once: its clock is not moved, and it would be taken for dead."""
STEP = 0.01 + 2 * 9.2 / 3600
"""kWh: what may be counted and not be written down yet: 10 Wh, and what two seconds bring."""


class _Later:
    """A module with its clocks put forward, where the conversation with a bridge looks at them."""

    def __init__(self, module: Any) -> None:
        """Begin with the module's own time."""
        self._module = module
        self.seconds = 0.0

    def __getattr__(self, name: str) -> Any:
        """Everything else is the module's."""
        return getattr(self._module, name)

    def monotonic(self) -> float:
        """As `time.monotonic`."""
        return time.monotonic() + self.seconds

    def utcnow(self) -> datetime:
        """As `dt_util.utcnow`."""
        return dt_util.utcnow() + timedelta(seconds=self.seconds)


@asynccontextmanager
async def board(folder: Path, **changes: Any) -> AsyncIterator[tuple[Board, int]]:
    """A board that runs, and the port that it listens on."""
    port = free_port()
    one = Board(folder, settings(tcp={"on": True, "port": port}, **changes))
    try:
        await one.start()
        yield one, port
    finally:
        await one.cut_power()


@asynccontextmanager
async def home(hass: HomeAssistant, port: int) -> AsyncIterator[MockConfigEntry]:
    """An entry for the bridge, loaded."""
    entry = MockConfigEntry(
        domain=DOMAIN,
        title="Workshop",
        unique_id=BRIDGE,
        data={"kind": "bridge", "way": "tcp", "host": "127.0.0.1", "port": port, "key": KEY},
    )
    async with loaded(hass, entry):
        yield entry


def entity(hass: HomeAssistant, key: str, platform: str = "sensor") -> str:
    """The entity of the only meter for a key; empty while there is none."""
    unique_id = f"{BRIDGE}_main_{key}"
    return er.async_get(hass).async_get_entity_id(platform, DOMAIN, unique_id) or ""


def shown(hass: HomeAssistant, key: str, platform: str = "sensor") -> str:
    """What it shows; empty while it is not there."""
    state = hass.states.get(entity(hass, key, platform) or "sensor.none")
    return state.state if state else ""


def number(hass: HomeAssistant, key: str) -> float:
    """The same as a number; -1 if it shows none."""
    try:
        return float(shown(hass, key))
    except ValueError:
        return -1.0


def session(entry: MockConfigEntry) -> Any:
    """The conversation with the bridge."""
    runtime = entry.runtime_data
    assert isinstance(runtime, BridgeRuntime)
    return runtime.session


async def test_hours_without_a_link_cost_no_watt_hour(
    hass: HomeAssistant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was counted while Home Assistant was away is there, to the last step, once it is back; nothing comes twice."""
    async with board(tmp_path) as (bridge, port):
        await bridge.do("uart", port=1, text="\n")
        async with home(hass, port) as entry:
            await bridge.do("lines", seconds=20, port=1, every=1000, line=LINE)
            await until(lambda: number(hass, "energy_import") > 0.02)
            assert number(hass, "power") == pytest.approx(9200)
            before = number(hass, "energy_import")
            await hass.config_entries.async_unload(entry.entry_id)
            for module in ("time", "dt_util"):
                later = _Later(getattr(bridge_runtime, module))
                later.seconds = 3 * 3600
                monkeypatch.setattr(bridge_runtime, module, later)
            away = await bridge.do("lines", seconds=3 * 3600, port=1, every=4000, line=LINE)
            assert away["buffered"] > 900
            assert away["dropped"] == 0
            assert await hass.config_entries.async_setup(entry.entry_id)
            # What it says seldom, while nobody is there, would keep the last step from being seen.
            last = away["totals"]["main"][0] / 1e6 - 0.06
            await until(lambda: number(hass, "energy_import") > last, 30)
            looked = await bridge.do("lines", seconds=10, port=1, every=1000, line=LINE)
            truth = looked["totals"]["main"][0] / 1e6
            await until(lambda: number(hass, "energy_import") > truth - STEP, 30)
            assert number(hass, "energy_import") <= truth
            assert truth - before == pytest.approx(9.2 * (3 * 3600 + 10) / 3600, abs=0.03)
            assert session(entry).counters.lost == 0


async def test_a_power_cut_takes_one_step_at_most_and_no_total_falls(
    hass: HomeAssistant, tmp_path: Path
) -> None:
    """After a power cut the counter goes on where Home Assistant saw it last, neither lower nor doubled."""
    async with board(tmp_path) as (bridge, port), home(hass, port):
        await bridge.do("uart", port=1, text="\n")
        before = await bridge.do("lines", seconds=30, port=1, every=1000, line=LINE)
        await until(lambda: number(hass, "energy_import") > 0.05)
        seen = number(hass, "energy_import")
        for _ in range(2):
            await bridge.cut_power()
            await bridge.start()
        kept = (await bridge.do("uart", port=1, text="\n"))["boot"]
        after = await bridge.do("lines", seconds=21, port=1, every=1000, line=LINE)
        counted = before["totals"]["main"][0] + 9.2e6 * 20 / 3600
        # The machine's own milliseconds are counted too; what was there twice would be five times as much.
        assert abs(counted - after["totals"]["main"][0]) <= STEP * 1e6
        truth = after["totals"]["main"][0] / 1e6
        await until(lambda: number(hass, "energy_import") > truth - STEP, 60)
        assert seen <= number(hass, "energy_import") <= truth
        assert kept == 3


async def test_home_assistant_installs_firmware_and_sees_it_run(
    hass: HomeAssistant, tmp_path: Path
) -> None:
    """The integration's own end of an update brings new firmware to the board, which restarts into it and stays with it."""
    shipped = shipped_firmware("esp32")
    assert shipped is not None
    files = {**shipped.read(), "version.txt": b"1.1.0\n"}
    shares: list[float] = []
    async with board(tmp_path) as (bridge, port), home(hass, port) as entry:
        await bridge.do("uart", port=1, text="\n" + LINE + "\n")
        await until(lambda: session(entry).hello is not None)
        update = asyncio.create_task(session(entry).update("1.1.0", files, shares.append))
        assert await bridge.ended(30) == RESET
        await bridge.cut_power()
        await bridge.start(cause=5)
        await asyncio.wait_for(update, 30)
        assert shares[-1] == 1.0
        assert session(entry).hello.firmware == "1.1.0"


async def test_a_relay_is_switched_and_read_back(hass: HomeAssistant, tmp_path: Path) -> None:
    """The switch in Home Assistant follows the pin; what the minimum off time forbids is said in words."""
    relay = {"meter": "main", "pin": 32, "min_off": 30}
    async with board(tmp_path, relays=[relay]) as (bridge, port), home(hass, port):
        await bridge.do("uart", port=1, text="\n")
        await bridge.do("lines", seconds=31, port=1, every=1000, line=LINE)
        await until(lambda: shown(hass, "relay", "switch") == "off")
        target = {ATTR_ENTITY_ID: entity(hass, "relay", "switch")}
        await hass.services.async_call("switch", "turn_on", target, blocking=True)
        await until(lambda: shown(hass, "relay", "switch") == "on")
        await hass.services.async_call("switch", "turn_off", target, blocking=True)
        await until(lambda: shown(hass, "relay", "switch") == "off")
        with pytest.raises(HomeAssistantError) as refused:
            await hass.services.async_call("switch", "turn_on", target, blocking=True)
        assert refused.value.translation_key == "bridge_minimum_off_time"
        assert shown(hass, "relay", "switch") == "off"


@asynccontextmanager
async def entry_for(hass: HomeAssistant, **data: Any) -> AsyncIterator[MockConfigEntry]:
    """An entry for the bridge by another way, loaded."""
    data = {"kind": "bridge", **data}
    entry = MockConfigEntry(domain=DOMAIN, title="Workshop", unique_id=BRIDGE, data=data)
    entry.add_to_hass(hass)
    assert await hass.config_entries.async_setup(entry.entry_id)
    try:
        yield entry
    finally:
        await hass.config_entries.async_unload(entry.entry_id)
        await hass.async_block_till_done()


async def measure(bridge: Board, hass: HomeAssistant, key: str, value: float) -> None:
    """Let the UNO print until Home Assistant shows a value."""
    for _ in range(200):
        await bridge.do("lines", seconds=1, port=1, every=1000, line=LINE)
        await asyncio.sleep(0.05)
        if number(hass, key) >= value:
            return
    raise AssertionError(shown(hass, key))


async def test_over_a_broker_and_over_a_webhook_the_same_arrives(
    hass: HomeAssistant, hass_client_no_auth: ClientSessionGenerator, tmp_path: Path
) -> None:
    """MQTT through a real broker and Home Assistant's mqtt; signed posts to its real web server; commands by both."""
    (tmp_path / "broker").mkdir()
    with running_broker(tmp_path / "broker") as broker:
        link = {"on": True, "host": "127.0.0.1", "port": broker.port}
        place = {"way": "mqtt", "prefix": "energy_meter", "bridge": BRIDGE}
        async with with_mqtt(hass, broker), plain_board(tmp_path / "1", mqtt=link) as bridge:
            async with entry_for(hass, **place) as entry:
                await measure(bridge, hass, "power", 9200)
                await measure(bridge, hass, "energy_import", 0.02)
                await session(entry).command("identify", None)
                assert session(entry).counters.bad == session(entry).counters.lost == 0
            await hass.config_entries.async_remove(entry.entry_id)
    client = await hass_client_no_auth()
    secret = "5" * 64
    url = f"http://127.0.0.1:{client.server.port}/api/webhook/{secret}"
    post = {"on": True, "url": url, "every": 0.2}
    async with (
        entry_for(hass, way="http", webhook_id=secret, key=KEY) as entry,
        plain_board(tmp_path / "2", http=post) as bridge,
    ):
        await measure(bridge, hass, "energy_import", 0.02)
        await session(entry).command("identify", None)
        assert session(entry).counters.bad == session(entry).counters.lost == 0
