"""The hub role of the ESP32's firmware on a simulated bus: who is there, what it says of them, what goes wrong."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from custom_components.energy_meter.sources.bridge import tcp_probe
from custom_components.energy_meter.sources.i2c.registers import Capability, Flag
from custom_components.energy_meter.sources.simulated.panel import (
    SimulatedMonitor,
    SimulatedMultiplexer,
)
from tests.firmware.esp32.counterparts import until
from tests.firmware.esp32.hubs import Hub, hub, id_of
from tests.support.esp32 import KEY
from tests.support.i2c_monitors import ForeignChip, GarblingMonitor

pytestmark = pytest.mark.usefixtures("socket_enabled")

QUANTITIES = {
    "voltage", "current", "power", "reactive_power", "apparent_power", "power_factor", "frequency",
    "current_crest_factor", "energy_import", "energy_export",
}  # fmt: skip


def garbling(monitor: SimulatedMonitor) -> GarblingMonitor:
    """The same monitor, which can be made to answer nonsense."""
    return GarblingMonitor(
        monitor.id, monitor.address, monitor.circuit, clock=monitor._clock,
        capabilities=monitor.capabilities,
    )  # fmt: skip


def gaps(one: Hub, monitor: SimulatedMonitor) -> list[int]:
    """Rounds from each row of a monitor to its next, by the numbers of the messages."""
    starts = [m["seq"] for m in one.messages if m["type"] == "readings"]
    rounds = [
        sum(start <= row.seq for start in starts) for row in one.of(monitor)
    ]  # fmt: skip
    return [later - earlier for earlier, later in pairwise(rounds)]


async def test_every_circuit_is_said_once_a_second_in_one_message(tmp_path: Path) -> None:
    """Values, energies as the monitors count them, their start; 100 at 100 kHz keep the second, in 11 000 bytes."""
    async with hub(tmp_path, 100) as one:
        began = len(one.messages)
        before = (await one.board.look())["hub"]
        after = (await one.passes(20))["hub"]
        rounds = [m for m in one.messages[began:] if m["type"] == "readings"]
        # The machine's own time counts, too: on a busy one a round may be late.
        assert after["rounds"] - before["rounds"] >= 17
        assert after["skipped"] <= 2
        assert (after["errors"], after["problems"]) == (0, {})
        assert len(rounds) >= 17
        assert all(len(m["rows"]) == 100 for m in rounds)
        assert max(one.sizes) < 11_000
        assert len(one.present) == 100
        for monitor in one.monitors:
            last = one.of(monitor)[-1]
            assert set(last.values) == QUANTITIES
            truth = monitor.circuit.energy(one.wire.board.unix())
            assert last.values["energy_import"] == pytest.approx(truth.taken, abs=0.01)
            assert last.start == 1
            assert last.values["voltage"] == pytest.approx(229, abs=12)


async def test_a_hello_with_a_hundred_circuits_fits_a_line(tmp_path: Path) -> None:
    """What all share is said once; who lacks something says so; each says where it hangs and stands."""

    def odd_ones(monitors: list[SimulatedMonitor]) -> list[SimulatedMonitor]:
        for number, monitor in enumerate(monitors):
            if number % 2:
                monitor.capabilities &= ~(Capability.EXPORT | Capability.WAVEFORM | Capability.LED)
            else:
                monitor.capabilities |= Capability.RELAY
            monitor.calibration["voltage_gain"] = 1_002_345
            monitor.calibration["phase_shift"] = -1234
        return monitors

    async with hub(tmp_path, 100, arrange=odd_ones) as one:
        hello = await tcp_probe("127.0.0.1", one.port, KEY)
        assert (hello.kind, len(hello.meters), hello.interval) == ("i2c_hub", 100, 1)
        by_id = {meter.id: meter for meter in hello.meters}
        for monitor in one.monitors:
            meter = by_id[id_of(monitor)]
            assert meter.address == f"0x{monitor.address:02X}"
            assert meter.rated_current == monitor.circuit.rated_current
            keys = {control.key for control in meter.controls}
            assert ("relay" in keys) == bool(monitor.capabilities & Capability.RELAY)
            assert ("identify" in keys) == bool(monitor.capabilities & Capability.LED)
            assert meter.settings["voltage_gain"] == pytest.approx(1.002345)
            assert meter.settings["phase_shift"] == pytest.approx(-12.34)
            assert meter.settings["i2c_address"] == monitor.address
            exports = bool(monitor.capabilities & Capability.EXPORT)
            assert ("energy_export" in meter.quantities) == exports
            assert ("waveform" in meter.capabilities) == bool(
                monitor.capabilities & Capability.WAVEFORM
            )
            row = one.of(monitor)[-1]
            assert ("energy_export" in row.values) == exports


async def test_searching_never_writes_and_foreign_chips_are_left_alone(tmp_path: Path) -> None:
    """Chips of others are asked by plain reads, twice, and never again; not one byte is written to them."""
    strangers = [
        ForeignChip(0x3C),
        ForeignChip(0x50, b"\xff"),
        ForeignChip(0x68, b"EMIX"),
        ForeignChip(0x20, b"\x00\x01"),
    ]
    async with hub(tmp_path, 3, arrange=lambda monitors: [*monitors, *strangers]) as one:
        await one.passes(60)
        reads = [stranger.reads for stranger in strangers]
        await one.passes(120)
        assert [stranger.reads for stranger in strangers] == reads
        assert all(stranger.written == [] for stranger in strangers)
        assert one.present == {id_of(monitor) for monitor in one.monitors}
        assert one.problems == {}


async def test_monitors_behind_multiplexers_are_found_by_segment(tmp_path: Path) -> None:
    """The same address on two segments and the trunk beside; one multiplexer that fails keeps only its own away."""

    def arrange(monitors: list[SimulatedMonitor]) -> list[Any]:
        monitors[1].address = monitors[2].address = 0x12
        first = SimulatedMultiplexer(0x70, {0: [monitors[1]], 3: [monitors[2]]})
        second = SimulatedMultiplexer(0x71, {7: [monitors[3]]})
        return [monitors[0], first, second]

    async with hub(tmp_path, 4, arrange=arrange, i2c={"multiplexers": [0x70, 0x71]}) as one:
        await one.passes(2)
        places = {m["id"]: (m.get("segment"), m["address"]) for m in one.hello["meters"]}
        assert [places[id_of(monitor)] for monitor in one.monitors] == [
            (None, "0x08"), ("0x70/0", "0x12"), ("0x70/3", "0x12"), ("0x71/7", "0x0B"),
        ]  # fmt: skip
        gain = await one.command(one.monitors[2], "voltage_gain", 1.05)
        assert (gain["ok"], gain["value"]) == (True, 1.05)
        assert one.monitors[2].calibration["voltage_gain"] == 1_050_000
        assert one.monitors[1].calibration["voltage_gain"] == 1_000_000
        gone = one.bus.chips.pop(1)
        one.forget()
        await one.passes(10)
        assert one.present == {id_of(one.monitors[0]), id_of(one.monitors[3])}
        assert len(one.of(one.monitors[0])) >= 8
        assert len(one.of(one.monitors[3])) >= 8
        one.bus.chips.append(gone)
        await one.passes(20)
        assert one.present == {id_of(monitor) for monitor in one.monitors}


async def test_somebody_behind_a_monitor_on_the_trunk_is_told(tmp_path: Path) -> None:
    """The same address on a segment as on the trunk cannot be read; who is on the trunk goes on."""

    def arrange(monitors: list[SimulatedMonitor]) -> list[Any]:
        monitors[2].address = monitors[0].address
        return [*monitors[:2], SimulatedMultiplexer(0x70, {3: [monitors[2]]})]

    async with hub(tmp_path, 3, arrange=arrange, i2c={"multiplexers": [0x70]}) as one:
        await one.passes(20)
        assert one.problems == {"address_hidden": ["0x70/3 0x08"]}
        assert one.present == {id_of(monitor) for monitor in one.monitors[:2]}
        assert all(set(gaps(one, monitor)) == {1} for monitor in one.monitors[:2])
        one.monitors[2].power(False)
        await one.passes(20)
        assert one.problems == {}


async def test_a_monitor_that_is_plugged_into_the_trunk_is_found_there(tmp_path: Path) -> None:
    """It answers with every segment selected, and is nobody's twin; one on a segment takes its address after it has gone."""
    third: list[Any] = []

    def arrange(monitors: list[SimulatedMonitor]) -> list[Any]:
        third.append(monitors[2])
        return [monitors[0], SimulatedMultiplexer(0x70, {0: [monitors[1]], 3: third})]

    async with hub(tmp_path, 5, arrange=arrange, i2c={"multiplexers": [0x70]}) as one:
        late = one.monitors[3]
        one.bus.chips.append(late)
        await one.passes(40)
        place = {m["id"]: (m.get("segment"), m["address"]) for m in one.hello["meters"]}
        assert place[id_of(late)] == (None, "0x0B")
        assert one.problems == {}
        assert all(set(gaps(one, monitor)) == {1} for monitor in one.monitors[:3])
        one.bus.chips.remove(late)
        await one.passes(5)
        behind = one.monitors[4]
        behind.address = late.address
        third.append(behind)
        await one.passes(40)
        place = {m["id"]: (m.get("segment"), m["address"]) for m in one.hello["meters"]}
        assert place.get(id_of(behind)) == ("0x70/3", "0x0B")
        assert one.problems == {}


async def test_two_monitors_at_one_address_are_told_and_nothing_is_taken_of_them(
    tmp_path: Path,
) -> None:
    """The address is a problem in the health and a line in the log; once one has gone the other is read."""

    def arrange(monitors: list[SimulatedMonitor]) -> list[SimulatedMonitor]:
        monitors[2].address = monitors[1].address
        return monitors

    async with hub(tmp_path, 3, arrange=arrange) as one:
        await one.passes(30)
        assert one.present == {id_of(one.monitors[0])}
        assert one.problems == {"address_shared": ["0x09"]}
        assert {row.meter for row in one.rows} == {id_of(one.monitors[0])}
        logs = [m["text"] for m in one.messages if m["type"] == "log"]
        assert sum("two monitors at 0x09" in text for text in logs) == 1
        one.monitors[2].power(False)
        await one.passes(40)
        assert one.present == {id_of(one.monitors[0]), id_of(one.monitors[1])}
        assert one.problems == {}


async def test_a_second_one_that_comes_to_an_address_ends_the_first_ones_readings(
    tmp_path: Path,
) -> None:
    """From then on nothing is taken from there."""
    async with hub(tmp_path, 3) as one:
        one.monitors[2].power(False)
        await one.passes(6)
        one.monitors[2].address = one.monitors[1].address
        one.monitors[2].power(True)
        await one.passes(4)
        one.forget()
        await one.passes(20)
        assert {row.meter for row in one.rows} == {id_of(one.monitors[0])}
        assert one.problems == {"address_shared": ["0x09"]}
        assert [m["meter"] for m in one.events("meter_gone")] == []
        assert one.present == {id_of(one.monitors[0])}


async def test_an_id_that_is_there_twice_is_told(tmp_path: Path) -> None:
    """The first one goes on, the other is a problem until it has gone."""

    def arrange(monitors: list[SimulatedMonitor]) -> list[SimulatedMonitor]:
        monitors[2].id = monitors[1].id
        return monitors

    async with hub(tmp_path, 3, arrange=arrange) as one:
        await one.passes(10)
        assert one.problems == {"id_twice": ["0x09", "0x0A"]}
        assert len(one.present) == 2
        one.monitors[2].power(False)
        await one.passes(60)
        assert one.problems == {}
        assert set(gaps(one, one.monitors[1])) == {1}


async def test_a_monitor_of_another_version_is_told_and_left_alone(tmp_path: Path) -> None:
    """Nothing but its identity is asked for."""

    class Newer(SimulatedMonitor):
        def _identity(self) -> dict[str, int | None]:
            return {**super()._identity(), "version": 2}

    def arrange(monitors: list[SimulatedMonitor]) -> list[SimulatedMonitor]:
        old = monitors[2]
        monitors[2] = Newer(old.id, old.address, old.circuit, clock=old._clock)
        return monitors

    async with hub(tmp_path, 3, arrange=arrange) as one:
        await one.passes(10)
        assert one.problems == {"monitor_version": ["0x0A"]}
        assert id_of(one.monitors[2]) not in one.present


async def test_one_percent_of_damaged_blocks_costs_no_rate_and_no_wrong_value(
    tmp_path: Path,
) -> None:
    """A damaged block is read again; every value that is said is one that a monitor had."""
    async with hub(tmp_path, 20) as one:
        one.bus.damage = 0.01
        one.forget()
        look = await one.passes(120)
        assert one.bus.damaged > 20
        assert look["hub"]["errors"] > 0
        assert look["hub"]["monitors"] == 20
        for monitor in one.monitors:
            rows = one.of(monitor)
            assert len(rows) >= 114
            truth = monitor.circuit.energy(one.wire.board.unix()).taken
            for earlier, later in pairwise(rows):
                assert later.values["energy_import"] >= earlier.values["energy_import"]
                assert 200 < later.values["voltage"] < 260
            assert rows[-1].values["energy_import"] <= truth + 0.001
        assert one.events("meter_gone") == []


async def test_garbage_from_one_monitor_is_never_said_and_its_neighbours_keep_their_rate(
    tmp_path: Path,
) -> None:
    """It is gone after three rounds, and comes back by itself."""
    async with hub(tmp_path, 5, arrange=lambda m: m.__setitem__(2, garbling(m[2])) or m) as one:
        bad = one.monitors[2]
        assert isinstance(bad, GarblingMonitor)
        assert len(one.of(bad)) >= 1
        bad.garbles = True
        await one.passes(2)  # What was under way.
        one.rows.clear()
        await one.passes(60)
        assert one.of(bad) == []
        for monitor in one.monitors:
            if monitor is not bad:
                assert len(one.of(monitor)) >= 56
        assert id_of(bad) not in one.present
        assert [m["meter"] for m in one.events("meter_gone")] == [id_of(bad)]
        bad.garbles = False
        await one.passes(40)
        assert id_of(bad) in one.present
        assert [m["meter"] for m in one.events("new_meter")] == [id_of(bad)]


async def test_a_monitor_that_measures_no_more_is_gone_though_it_answers(tmp_path: Path) -> None:
    """The same window again is nothing new: nothing is said of it."""
    async with hub(tmp_path, 3) as one:
        monitor = one.monitors[1]
        monitor.frozen = 7
        await one.passes(2)
        one.forget()
        await one.passes(30)
        assert one.of(monitor) == []
        assert len(one.of(one.monitors[0])) >= 27
        assert id_of(monitor) not in one.present
        monitor.frozen = None
        await one.passes(30)
        assert id_of(monitor) in one.present


async def test_a_dead_monitor_is_asked_ever_more_seldom_and_comes_back(tmp_path: Path) -> None:
    """Removal and return are told by an event and a hello; its counters go on from what it had saved, with a new start."""
    async with hub(tmp_path, 4) as one:
        monitor = one.monitors[1]
        last = one.of(monitor)[-1]
        monitor.power(False)
        await one.passes(5)
        assert id_of(monitor) not in one.present
        assert len(one.events("meter_gone")) == 1
        before = one.bus.transactions
        await one.passes(60)
        # Three measurements, eight free addresses a round, one more for diagnostics, and a look now and then.
        assert one.bus.transactions - before < 60 * 14
        monitor.power(True, forgets=0.002)
        await one.passes(12)
        assert id_of(monitor) in one.present
        assert [m["meter"] for m in one.events("new_meter")] == [id_of(monitor)]
        again = one.of(monitor)[-1]
        assert (last.start, again.start) == (1, 2)
        others = [m for m in one.monitors if m is not monitor]
        assert all(set(gaps(one, other)) == {1} for other in others)


async def test_a_monitor_that_is_plugged_in_appears_within_a_quarter_of_a_minute(
    tmp_path: Path,
) -> None:
    """Event and hello; it never appears in a row before the hello that names it."""
    async with hub(tmp_path, 3) as one:
        late = one.bus.chips.pop()
        await one.passes(30)
        assert len(one.present) == 2
        one.forget()
        one.bus.chips.append(late)
        await one.passes(16)
        assert len(one.present) == 3
        named = next(
            number for number, m in enumerate(one.messages)
            if m["type"] == "hello" and len(m["meters"]) == 3
        )  # fmt: skip
        said = next(
            number for number, m in enumerate(one.messages)
            if any(row[0] == id_of(one.monitors[2]) for row in m.get("rows", []))
        )  # fmt: skip
        assert named < said
        assert [m["meter"] for m in one.events("new_meter")] == [id_of(one.monitors[2])]


async def test_power_cycles_in_the_middle_harm_nobody_else(tmp_path: Path) -> None:
    """Monitors that lose their supply at any time, over and over: no wrong value, the others keep their second."""
    async with hub(tmp_path, 6) as one:
        one.forget()
        for turn in range(20):
            victim = one.monitors[turn % 3]
            victim.power(not victim.powered, forgets=0.001)
            await one.passes(3)
        for monitor in one.monitors[3:]:
            assert set(gaps(one, monitor)) == {1}
        for monitor in one.monitors[:3]:
            rows = one.of(monitor)
            for earlier, later in pairwise(rows):
                if later.start == earlier.start:
                    assert later.values["energy_import"] >= earlier.values["energy_import"]


@pytest.mark.parametrize("kind", ["held", "reads_zero"])
async def test_a_bus_that_is_held_is_clocked_free(tmp_path: Path, kind: str) -> None:
    """SDA stuck low: a problem in the health, nine clocks, and everybody is read again; nothing wrong is said."""
    async with hub(tmp_path, 4) as one:
        one.forget()
        setattr(one.bus, kind, True)
        await one.passes(30)
        assert set(one.problems) == {"bus_held"}
        assert len(one.rows) <= 4, "a round that was under way"
        backend: Any = one.wire.backend
        assert backend.clocks >= 9
        backend.clocks, backend.clocks_to_free = 0, 9
        await one.passes(20)
        assert one.problems == {}
        one.forget()
        await one.passes(10)
        assert all(len(one.of(monitor)) >= 8 for monitor in one.monitors)
        assert one.events("meter_gone") == []
        assert one.wire.opened > 2


async def test_what_a_monitor_says_of_its_start_becomes_an_event(tmp_path: Path) -> None:
    """Watchdog and brown-out, once each; flags go in the message, for all or row by row."""
    async with hub(tmp_path, 3) as one:
        monitor = one.monitors[1]
        monitor.power(False)
        await one.passes(1)
        monitor.flags = Flag.WATCHDOG | Flag.UNCALIBRATED | Flag.VOLTAGE_CLIPS
        monitor.power(True)
        await one.passes(12)
        assert [m["meter"] for m in one.events("watchdog")] == [id_of(monitor)]
        assert one.events("brown_out") == []
        assert {"uncalibrated", "clipping"} <= one.of(monitor)[-1].flags
        assert one.of(one.monitors[0])[-1].flags == frozenset()


async def test_what_monitors_drop_is_counted_in_the_health(tmp_path: Path) -> None:
    """The diagnostics are read once a minute."""
    dropped = [0]

    class Counting(SimulatedMonitor):
        def _diagnostics(self) -> dict[str, int | None]:
            return {**super()._diagnostics(), "bus_errors": dropped[0]}

    def arrange(monitors: list[SimulatedMonitor]) -> list[SimulatedMonitor]:
        old = monitors[1]
        monitors[1] = Counting(old.id, old.address, old.circuit, clock=old._clock)
        return monitors

    async with hub(tmp_path, 3, arrange=arrange) as one:
        await one.passes(70)
        dropped[0] = 12
        assert (await one.passes(130))["hub"]["errors"] == 12
        health = [m for m in one.messages if m["type"] == "health"][-1]
        assert health["errors"] == 12


async def test_commands_are_carried_out_and_read_back(tmp_path: Path) -> None:
    """Every control, its limits, and what the monitor itself refuses."""
    async with hub(tmp_path, 8) as one:
        pump, other = one.monitors[5], one.monitors[1]
        value: Any
        for value in (0, 1):
            answer = await one.command(pump, "relay", value)
            assert (answer["ok"], answer["value"], pump.relay) == (True, value, value)
        for control, value, written in (
            ("voltage_gain", 1.0123, 1_012_300),
            ("current_gain", 9.5, 9_500_000),
            ("phase_shift", -1.25, -125),
            ("dead_band", 0.05, 50),
        ):
            answer = await one.command(other, control, value)
            assert (answer["ok"], answer["value"]) == (True, pytest.approx(value))
            assert other.calibration[control] == written
        for control in ("identify", "learn_zero", "reset_energy", "restart"):
            answer = await one.command(other, control)
            assert (answer["ok"], answer["value"]) == (True, None)
        for control, value, error in (
            ("relay", 1, "unknown_control"),
            ("nonsense", 1, "unknown_control"),
            ("voltage_gain", 3, "bad_value"),
            ("voltage_gain", None, "bad_value"),
            ("phase_shift", -21, "bad_value"),
            ("i2c_address", 7, "bad_value"),
            ("i2c_address", 8.5, "bad_value"),
            ("i2c_address", 8, "not_allowed"),
        ):
            answer = await one.command(other, control, value)
            assert (answer["ok"], answer["error"]) == (False, error), control
            assert answer["text"]
        for value in (0.5, 2, -1, "on", True):
            answer = await one.command(pump, "relay", value)
            assert answer["error"] == "bad_value"
        answer = await one.ask(type="command", meter="0" * 16, control="relay", value=1)
        assert answer["error"] == "unknown_meter"
        await one.passes(3)
        others = [monitor for monitor in one.monitors if monitor is not other]
        assert all(set(gaps(one, monitor)) == {1} for monitor in others)


async def test_a_monitor_that_moves_keeps_its_id(tmp_path: Path) -> None:
    """Its address is changed over the bus; the hello says where it is now, its rows go on."""
    async with hub(tmp_path, 3) as one:
        monitor = one.monitors[1]
        answer = await one.command(monitor, "i2c_address", 0x50)
        assert (answer["ok"], answer["value"], monitor.address) == (True, 0x50, 0x50)
        await one.passes(10)
        place = {m["id"]: m["address"] for m in one.hello["meters"]}[id_of(monitor)]
        assert place == "0x50"
        assert set(gaps(one, monitor)) == {1}
        assert one.events("meter_gone") == one.events("new_meter") == []
        monitor.capabilities &= ~Capability.ADDRESS
        answer = await one.command(monitor, "i2c_address", 0x51)
        assert (answer["ok"], answer["error"]) == (False, "not_allowed")
        assert "switch" in answer["text"]


async def test_a_relay_that_moves_by_itself_is_told(tmp_path: Path) -> None:
    """The state in the measurement block is compared from round to round."""
    async with hub(tmp_path, 8) as one:
        pump = one.monitors[5]
        pump.relay = 0
        await one.passes(2)
        (event,) = one.events("relay")
        assert (event["meter"], event["value"], event.get("reason")) == (id_of(pump), 0, None)
        pump.power(False)
        pump.relay, pump.flags = 1, Flag.WATCHDOG
        await one.passes(1)
        pump.power(True)
        await one.passes(2)
        event = one.events("relay")[-1]
        assert (event["value"], event["reason"]) == (1, "watchdog")


async def test_a_command_to_a_monitor_that_has_gone_is_answered(tmp_path: Path) -> None:
    """At once when it is known to be gone, within a second when it has just died; the others go on."""
    async with hub(tmp_path, 3) as one:
        monitor = one.monitors[1]
        monitor.power(False)
        answer = await one.command(monitor, "identify")
        assert answer["error"] == "no_answer"
        await one.passes(5)
        answer = await one.command(monitor, "identify")
        assert answer["error"] == "no_answer"
        assert set(gaps(one, one.monitors[0])) == {1}


async def test_a_waveform_is_fetched_and_who_cannot_says_so(tmp_path: Path) -> None:
    """One or two cycles as counts with their scale and zero; the samples give the effective values back."""

    def arrange(monitors: list[SimulatedMonitor]) -> list[SimulatedMonitor]:
        monitors[2].capabilities &= ~Capability.WAVEFORM
        return monitors

    async with hub(tmp_path, 3, arrange=arrange) as one:
        for cycles in (1, 2):
            answer = await one.command(one.monitors[1], "capture", cycles)
            assert answer["ok"], answer
            found = answer["value"]
            assert found["cycles"] == cycles
            voltage, current = found["voltage"], found["current"]
            pairs = len(voltage["samples"])
            assert pairs == len(current["samples"]) == round(found["rate"] * cycles / 50)
            volts = [(s - voltage["zero"]) * voltage["scale"] for s in voltage["samples"]]
            rms = (sum(v * v for v in volts) / pairs) ** 0.5
            assert rms == pytest.approx(one.of(one.monitors[1])[-1].values["voltage"], rel=0.02)
            assert found["delay"] == pytest.approx(0.00011)
        for value, error in ((3, "bad_value"), (0, "bad_value")):
            assert (await one.command(one.monitors[1], "capture", value))["error"] == error
        answer = await one.command(one.monitors[2], "capture", 1)
        assert (answer["ok"], answer["error"]) == (False, "unsupported")
        one.monitors[0].power(False)
        answer = await one.command(one.monitors[0], "capture", 1)
        assert answer["error"] == "no_answer"


async def test_a_command_goes_before_what_waits_for_the_bus(tmp_path: Path) -> None:
    """It does not wait for the end of a round: a transaction or two pass before it is written."""
    async with hub(tmp_path, 100) as one:
        asked: list[int] = []
        backend: Any = one.wire.backend
        transact = backend.transact

        def noted(address: int, written: bytes, read: int) -> tuple[bytes, float]:
            asked.append(written[0] if written else -1)
            found: tuple[bytes, float] = transact(address, written, read)
            return found

        backend.transact = noted
        await until(lambda: asked.count(0x40) > 20)
        asked.clear()
        assert (await one.command(one.monitors[5], "relay", 0))["ok"]
        assert asked.index(0xC0) <= 5, "a measurement that was under way, and one more"


async def test_wires_that_are_wrong_are_said_and_nothing_else_suffers(tmp_path: Path) -> None:
    """A bus without anybody, then with somebody: the board says hello all the time."""
    async with hub(tmp_path, 2, arrange=lambda _: []) as one:
        await one.passes(20)
        assert one.present == set()
        assert one.problems == {}
        one.bus.chips += one.monitors
        await one.passes(20)
        assert len(one.present) == 2


async def test_what_was_kept_is_said_first_and_no_number_is_missing(tmp_path: Path) -> None:
    """Twenty minutes alone: the rounds that were kept come at their own times, then what is new, without a gap."""
    async with hub(tmp_path, 6, i2c={"keep": 60}) as one:
        await one.disconnect()
        look = await one.passes(1200)
        assert look["dropped"] == 0
        one.forget()
        began = one.seq
        await one.connect()
        await one.passes(10)
        rounds = [m for m in one.messages if m["type"] == "readings" and m["seq"] > began]
        kept = [m["at"] for m in rounds if "at" in m]
        # The first of these was said before Home Assistant went, and not acknowledged.
        assert 12 <= len(kept) <= 25
        assert all(55 <= later - earlier <= 70 for earlier, later in pairwise(kept[1:]))
        assert all(m["age"] < 5000 for m in rounds[-5:])
        numbers = [number for m in rounds for number in range(m["seq"], m["seq"] + len(m["rows"]))]
        events = [m["seq"] for m in one.messages if m["type"] == "event"]
        assert {*numbers, *events} >= set(range(min(numbers), max(numbers) + 1))
