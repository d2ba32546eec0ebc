"""The hub beside everything else that the ESP32 does, its rows against Home Assistant's own decoder, and chance."""

import asyncio
import json
from pathlib import Path
from random import Random
import time
from typing import Any

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.framer import FramerType
import pytest

from custom_components.energy_meter.sources.bridge.protocol import Readings, parse_line
from custom_components.energy_meter.sources.i2c.readings import measured_of
from custom_components.energy_meter.sources.i2c.registers import MEASUREMENT
from tests.firmware.esp32.counterparts import LINE, until
from tests.firmware.esp32.hubs import hub, id_of
from tests.firmware.esp32.test_gateway import Meter, listens
from tests.support.esp32 import free_port
from tests.support.i2c_monitors import EPOCH
from tests.support.micropython import FIRMWARE, run

pytestmark = pytest.mark.usefixtures("socket_enabled")


async def test_a_busy_bus_disturbs_neither_the_gateway_nor_a_board_on_a_uart(
    tmp_path: Path,
) -> None:
    """A hundred monitors whose transactions keep the processor as long as on the wire: Modbus is answered, no line is lost."""
    meter, port = Meter(), free_port()
    async with hub(
        tmp_path, 100, connected=False, uarts=[{"port": 1, "meter": "uno"}],
        rs485={"on": True, "listen": port, "baud": 115200}, uart_files={2: meter.path},
    ) as one:  # fmt: skip
        one.wire.paced = True
        answering = asyncio.create_task(meter.run())
        client = AsyncModbusTcpClient(
            "127.0.0.1", port=port, framer=FramerType.RTU, timeout=2, retries=0
        )
        try:
            await one.connect()
            await one.board.do("uart", port=1, text="\n")
            assert await listens(port)
            await client.connect()
            await until(lambda: len(one.rows) >= 100, 20)
            one.forget()
            slowest, began = 0.0, time.monotonic()
            for number in range(60):
                await one.board.do("uart", port=1, text=LINE + "\n")
                asked = time.monotonic()
                answer = await client.read_input_registers(100, count=20, device_id=1)
                slowest = max(slowest, time.monotonic() - asked)
                assert answer.registers == list(range(100, 120)), number
            seconds = time.monotonic() - began
            look = await one.board.look()
            assert look["hub"]["skipped"] <= 3
            assert look["hub"]["monitors"] == 100
            assert slowest < 0.5
            await until(lambda: len(one.rows) >= 80 * (seconds - 2))
            assert {m["id"] for m in one.hello["meters"]} >= {"uno"}
            assert any(m.get("meter") == "uno" for m in one.messages if m["type"] == "reading")
            assert look["errors"] == 0
            assert sum(look["failures"].values()) == 0
        finally:
            client.close()
            answering.cancel()
            await asyncio.wait({answering})
            meter.close()


async def test_a_defect_in_the_hub_is_logged_and_it_begins_again_while_the_rest_goes_on(
    tmp_path: Path,
) -> None:
    """The link stays, the boards on the UART are heard, and a second later the monitors are read again."""
    async with hub(tmp_path, 3, uarts=[{"port": 1, "meter": "uno"}]) as one:
        await one.board.do("uart", port=1, text="\n")
        for _ in range(2):
            one.forget()
            one.wire.tear()
            await one.board.do("uart", port=1, text=LINE + "\n")
            look = await one.passes(10)
            assert any(m.get("meter") == "uno" for m in one.messages if m["type"] == "reading")
            assert all(len(one.of(monitor)) >= 5 for monitor in one.monitors)
        assert look["failures"]["i2c"] == 2
        assert {name for name, count in look["failures"].items() if count} == {"i2c"}
        logs = [m for m in one.messages if m["type"] == "log"]
        assert any("i2c failed" in m["text"] for m in logs)
        assert one.events("meter_gone") == one.events("new_meter") == []


async def test_a_hub_runs_in_a_heap_like_a_chips(tmp_path: Path) -> None:
    """A hundred circuits for two minutes in little more than the code and the buffers take: no allocation fails."""
    async with hub(tmp_path, 100, heap="440k") as one:
        look = await one.passes(120)
        assert sum(look["failures"].values()) == 0
        assert look["hub"]["rounds"] >= 110
        assert "MemoryError" not in one.board.console.read_text()


_RENDER = f"""
import json, sys
sys.path.insert(0, {str(FIRMWARE / "lib")!r})
from energy_meter import i2c_blocks, i2c_rows
for text in open("blocks.txt"):
    block = bytes.fromhex(text.strip())
    assert i2c_blocks.is_good(0x40, block)
    body = bytearray(1 + i2c_rows.ROW)
    body[0] = i2c_rows.FORMAT
    i2c_rows.put(body, 1, bytes(range(8)), block, True)
    print(bytes(i2c_rows.line(body, 0, None, b'"boot":1,"seq":1,"age":0')).decode())
"""


def test_rows_say_what_home_assistants_own_decoder_reads_in_the_block(tmp_path: Path) -> None:
    """Six hundred blocks of chance and of extremes: every value, energy, flag and start agrees."""
    random = Random(8)
    blocks = []
    for _ in range(600):
        values: dict[str, int | None] = {}
        for name, field in MEASUREMENT.fields.items():
            bits = field.size * 8
            low, high = (
                (-(1 << bits - 1), (1 << bits - 1) - 1) if field.signed else (0, (1 << bits) - 1)
            )
            wide = random.randrange(bits + 1)
            number = random.getrandbits(wide) if wide else 0
            number = -number if field.signed and random.random() < 0.5 else number
            values[name] = random.choice([low, high, 0, min(max(number, low), high)])
        blocks.append(MEASUREMENT.encode(values))
    (tmp_path / "blocks.txt").write_text("\n".join(block.hex() for block in blocks))
    (tmp_path / "render.py").write_text(_RENDER)
    done = run(tmp_path, tmp_path / "render.py")
    lines = done.stdout.splitlines()
    assert len(lines) == len(blocks), done.stderr
    for block, line in zip(blocks, lines, strict=True):
        message, _ = parse_line(line.encode())
        assert isinstance(message, Readings)
        assert message.refused == ()
        (row,) = message.readings
        truth = measured_of(block)
        assert (row.meter, row.start, row.flags) == ("0706050403020100", truth.boot, truth.words)
        for key, value in row.values.items():
            if key.startswith("energy"):
                counted = truth.energies[key == "energy_export"]
                expected: Any = None if counted is None else counted / 1e6
            else:
                expected = truth.values[key]
            if expected is None or value is None:
                assert value is expected
                continue
            step = 0.0
            if key.endswith("power"):  # Beyond 10 W hundredths, beyond 1 kW tenths.
                step = 0.05 if abs(expected) >= 1000 else 0.005 if abs(expected) >= 10 else 0
            assert value == pytest.approx(expected, abs=step + 1e-9, rel=1e-12), (key, line)


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_whatever_happens_nothing_wrong_is_said_and_everybody_comes_back(
    tmp_path: Path, seed: int
) -> None:
    """Supplies, wires, noise and commands by chance: rows are true, numbers have no gap, and quiet heals everything."""
    random = Random(seed)
    async with hub(tmp_path, 8) as one:
        for _ in range(40):
            monitor = random.choice(one.monitors)
            match random.randrange(6):
                case 0:
                    monitor.power(not monitor.powered, forgets=random.random() / 1000)
                case 1:
                    one.bus.damage = random.choice([0.0, 0.02, 0.2])
                case 2:
                    one.bus.held = random.random() < 0.4
                case 3:
                    one.bus.reads_zero = random.random() < 0.4
                case 4:
                    monitor.frozen = int((monitor._clock() - monitor._since) / 0.2)
                case 5:
                    await one.command(monitor, random.choice(["identify", "relay", "capture"]), 1)
            await one.passes(random.randrange(1, 6))
            monitor.frozen = None
        one.bus.damage, one.bus.held, one.bus.reads_zero = 0.0, False, False
        for monitor in one.monitors:
            monitor.power(True)
        await one.passes(60)
        assert one.present == {id_of(monitor) for monitor in one.monitors}
        assert one.problems == {}
        by_id = {id_of(monitor): monitor for monitor in one.monitors}
        for row in one.rows:
            monitor = by_id[row.meter]
            assert 200 < row.values["voltage"] < 260
            assert 49 < row.values["frequency"] < 51
            came = EPOCH + row.second
            least, most = (monitor.circuit.energy(at).taken for at in (came - 30, came))
            assert least - 0.05 < row.values["energy_import"] <= most + 1e-6
        numbers = sorted({row.seq for row in one.rows})
        seqs = set(numbers) | {m["seq"] for m in one.messages if "seq" in m}
        assert seqs == set(range(1, max(seqs) + 1))
        assert json.dumps(one.hello)
