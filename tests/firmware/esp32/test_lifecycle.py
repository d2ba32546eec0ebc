"""A board's life: first start, updates and their way back, resets, deep sleep; each start is a process of its own."""

import asyncio
import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from zeroconf._protocol.incoming import DNSIncoming

from tests.firmware.esp32.counterparts import LINE, TcpHost, Webhook, board, until
from tests.support.esp32 import RESET, SLEEP, Board, free_port, settings
from tests.support.micropython import DOUBLES, FIRMWARE, run

pytestmark = pytest.mark.usefixtures("socket_enabled")


def firmware(**replaced: bytes) -> dict[str, bytes]:
    """What the integration sends: all files, some of them replaced (`app` for lib/energy_meter/app.py)."""
    paths = [*FIRMWARE.glob("*.py"), *FIRMWARE.glob("lib/**/*.py"), FIRMWARE / "version.txt"]
    files = {path.relative_to(FIRMWARE).as_posix(): path.read_bytes() for path in paths}
    for name, data in replaced.items():
        files["version.txt" if name == "version" else f"lib/energy_meter/{name}.py"] = data
    return files


async def install(host: TcpHost, files: dict[str, bytes]) -> int:
    """Send firmware over the link as the document says; how many files had to be sent."""
    announced = [
        {"name": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in files.items()
    ]
    number = iter(range(1, 10_000))

    async def step(**message: Any) -> Any:
        answer = await host.ask({"type": "update", "id": next(number), **message})
        assert answer["ok"], answer
        return answer["value"]

    have = (await step(step="begin", version="1.1.0", files=announced))["have"]
    for name, data in files.items():
        if name not in have:
            for offset in range(0, max(1, len(data)), 1024):
                piece = base64.b64encode(data[offset : offset + 1024]).decode()
                await step(step="data", name=name, offset=offset, data=piece)
    await step(step="commit")
    return len(files) - len(have)


async def acknowledged(bridge: Board, port: int) -> dict[str, Any]:
    """Connect, acknowledge a reading, and give back the hello."""
    await bridge.do("uart", port=1, text="\n" + LINE + "\n")
    host = await TcpHost.connect(port)
    hello = await host.message("hello")
    reading = await host.message("reading")
    await host.say({"type": "ack", "boot": reading["boot"], "seq": reading["seq"]})
    await asyncio.sleep(0.1)
    return hello


async def test_an_update_proves_itself_and_stays(tmp_path: Path) -> None:
    """New firmware starts from the other slot; once a host acknowledges something it is there for good."""
    port = free_port()
    async with board(tmp_path, tcp={"on": True, "port": port}) as bridge:
        host = await TcpHost.connect(port)
        assert await install(host, firmware(version=b"1.1.0\n")) == 1
        assert await bridge.ended() == RESET
        await bridge.cut_power()
        await bridge.start(cause=5)
        assert (await acknowledged(bridge, port))["firmware"] == "1.1.0"
        for _ in range(4):
            await bridge.cut_power()
            await bridge.start()
        host = await TcpHost.connect(port)
        assert (await host.message("hello"))["firmware"] == "1.1.0"


@pytest.mark.parametrize("broken", [b"this is no Python", b"raise ValueError\n", b""])
async def test_an_update_that_does_not_start_is_taken_back(tmp_path: Path, broken: bytes) -> None:
    """Three starts, then the old firmware runs again and says so."""
    port = free_port()
    async with board(tmp_path, tcp={"on": True, "port": port}) as bridge:
        host = await TcpHost.connect(port)
        await install(host, firmware(version=b"1.1.0\n", app=broken))
        assert await bridge.ended() == RESET
        for _ in range(3):
            done = await asyncio.to_thread(run, tmp_path, DOUBLES / "run_board.py", "0")
            assert done.returncode == RESET, done.stdout + done.stderr
        await bridge.cut_power()
        await bridge.start(cause=5)
        host = await TcpHost.connect(port)
        assert (await host.message("hello"))["firmware"] == "1.0.0"
        assert (await host.message("event"))["event"] == "rolled_back"


async def test_an_update_that_reaches_nobody_is_taken_back(tmp_path: Path) -> None:
    """Five minutes without an acknowledgement, and the old firmware is back."""
    port = free_port()
    async with board(tmp_path, tcp={"on": True, "port": port}) as bridge:
        host = await TcpHost.connect(port)
        await install(host, firmware(version=b"1.1.0\n"))
        assert await bridge.ended() == RESET
        await bridge.cut_power()
        await bridge.start(cause=5)
        await bridge.do("lines", seconds=299, port=1, every=1000, line=LINE)
        with pytest.raises((json.JSONDecodeError, ConnectionError)):
            await bridge.do("lines", seconds=10, port=1, every=1000, line=LINE)
        assert await bridge.ended() == RESET
        await bridge.cut_power()
        await bridge.start(cause=5)
        host = await TcpHost.connect(port)
        assert (await host.message("hello"))["firmware"] == "1.0.0"


async def test_a_first_start_makes_a_key_and_offers_the_set_up(tmp_path: Path) -> None:
    """Without settings the board has a pairing key of its own, which stays, and waits to be set up."""
    config = settings(key="", wifi={"ssid": ""})
    bridge = Board(tmp_path, config)
    try:
        await bridge.start()
        key = json.loads((tmp_path / "config.json").read_text())["key"]
        assert len(key) == 20
        assert "set-up" in (await bridge.look())["failures"]
        await bridge.cut_power()
        await bridge.start()
        assert json.loads((tmp_path / "config.json").read_text())["key"] == key
    finally:
        await bridge.cut_power()


@pytest.mark.parametrize(("cause", "event"), [(1, "brown_out"), (3, "watchdog")])
async def test_a_dip_of_the_supply_and_the_watchdog_are_told(
    tmp_path: Path, cause: int, event: str
) -> None:
    """A start after a loss of power says nothing; one whose clock chip still remembers the last was a brown-out."""
    port = free_port()
    async with board(tmp_path, tcp={"on": True, "port": port}) as bridge:
        assert (await bridge.look())["seq"] == 0
        await bridge.cut_power()
        await bridge.start(cause)
        host = await TcpHost.connect(port)
        assert (await host.message("event"))["event"] == event
        await bridge.cut_power()
        (tmp_path / "rtc.bin").unlink()
        await bridge.start(1)
        assert (await bridge.look())["seq"] == 0


async def test_a_board_that_sleeps_sends_what_it_read_under_one_start(tmp_path: Path) -> None:
    """Wake, read, post, sleep: the numbers go on, and every reading arrives."""
    hook = Webhook()
    server = await hook.start()
    url = f"http://127.0.0.1:{hook.port}/api/webhook/secret"
    config = settings(
        http={"on": True, "url": url, "every": 0.2}, sleep={"on": True, "seconds": 300, "awake": 20}
    )
    bridge = Board(tmp_path, config)
    async with server:
        try:
            for wake in range(3):
                await bridge.start(cause=4 if wake else 1)
                await bridge.do("uart", port=1, text="\n" + LINE + "\n")
                assert await bridge.ended(20) == SLEEP
                assert (tmp_path / "sleep.txt").read_text() == "300000"
                await bridge.cut_power()
        finally:
            await bridge.cut_power()
    assert set(hook.numbered()) == {(1, 1), (1, 2), (1, 3)}
    assert hook.numbers == sorted(set(hook.numbers))


async def test_it_announces_itself_in_the_network(tmp_path: Path) -> None:
    """The announcement and the answer to a question are what Home Assistant's zeroconf reads."""
    script = tmp_path / "say.py"
    script.write_text(
        "import sys, binascii\n"
        f"sys.path.insert(0, {str(FIRMWARE / 'lib')!r})\n"
        "from energy_meter.mdns import Responder\n"
        "responder = Responder('a4cf12d3e4f5', 'Workshop', 8731)\n"
        "query = binascii.unhexlify(sys.argv[1])\n"
        "answer = responder.answer(query, '192.168.1.5')\n"
        "for packet in (responder.announcement('192.168.1.5'), answer[0], responder.announcement('192.168.1.5', 0)):\n"
        "    print(binascii.hexlify(packet).decode())\n"
    )
    question = b"\0\0\0\0\0\1\0\0\0\0\0\0\x0d_Energy-Meter\4_tcp\5local\0\0\x0c\0\1"
    done = run(tmp_path, script, question.hex())
    assert done.returncode == 0, done.stderr
    service = "_energy-meter._tcp.local."
    for line in done.stdout.split():
        packet = DNSIncoming(bytes.fromhex(line))
        assert packet.valid
        records: dict[str, Any] = {
            type(record).__name__: record
            for record in packet.answers()
            if record.name != "_services._dns-sd._udp.local."
        }
        assert set(records) == {"DNSPointer", "DNSService", "DNSText", "DNSAddress"}
        pointer, service_record = records["DNSPointer"], records["DNSService"]
        assert pointer.name == service
        assert pointer.alias == service_record.name == f"Workshop (d3e4f5).{service}"
        assert service_record.port == 8731
        assert (
            service_record.server
            == records["DNSAddress"].name
            == "energy-meter-a4cf12d3e4f5.local."
        )
        assert records["DNSText"].text == b"\x0fid=a4cf12d3e4f5\x03v=1\x0dname=Workshop"
        assert records["DNSAddress"].address == bytes((192, 168, 1, 5))


async def test_a_part_that_fails_leaves_the_others_running(tmp_path: Path) -> None:
    """Without the display's chip, and with a broker that is not there, readings go up all the same."""
    port = free_port()
    async with board(
        tmp_path,
        tcp={"on": True, "port": port},
        display={"on": True, "address": 61},
        mqtt={"on": True, "host": "127.0.0.1", "port": free_port()},
    ) as bridge:
        looked = await bridge.do("lines", seconds=30, port=1, every=1000, line=LINE)
        assert looked["failures"]["display"] >= 3
        assert looked["failures"]["uart 1"] == looked["failures"]["tcp"] == 0
        host = await TcpHost.connect(port)
        await host.message("reading")


async def test_hours_leave_the_memory_level(tmp_path: Path) -> None:
    """While Home Assistant is away the buffer fills and overflows, and nothing grows but the count of what was dropped."""
    port = free_port()
    buffer = {"flash": 64, "ram": 8, "thin": 2}
    async with board(tmp_path, tcp={"on": True, "port": port}, buffer=buffer) as bridge:
        first = await bridge.do("lines", seconds=3600, port=1, every=2000, line=LINE)
        second = await bridge.do("lines", seconds=3600, port=1, every=2000, line=LINE)
        assert second["dropped"] > first["dropped"] > 0
        assert second["seq"] == second["dropped"] + second["buffered"]
        assert abs(second["allocated"] - first["allocated"]) < 4096
        used = sum(path.stat().st_size for path in (tmp_path / "data" / "queue").iterdir())
        assert used <= 64 * 1024


async def test_wifi_that_goes_and_comes_is_told(tmp_path: Path) -> None:
    """The board joins again by itself."""
    port = free_port()
    async with board(tmp_path, tcp={"on": True, "port": port}) as bridge:
        await bridge.do("wifi", there=False)
        await bridge.do("lines", seconds=200, port=1, every=1000, line=LINE)
        await bridge.do("wifi", there=True)
        await bridge.do("lines", seconds=3, port=1, every=1000, line=LINE)
        await until(lambda: bridge.console.read_text().count("connected, 127.0.0.1") == 2)
        assert "connection lost" in bridge.console.read_text()
