"""Searching a line: what is found, how fast, and what is left behind."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
import errno
from typing import Final

from hypothesis import given, settings as hypothesis_settings, strategies as st
from modbus_connection import ModbusConnectionError, ModbusUnit
from modbus_connection.tmodbus import ModbusConnection
import pytest

from custom_components.energy_meter.model import MeterInfo, Reading
from custom_components.energy_meter.sources.modbus.discovery import (
    Finding,
    SearchPlan,
    SearchProgress,
    SearchResult,
    Stage,
    plan_search,
    search,
    settings_by_likelihood,
)
from custom_components.energy_meter.sources.modbus.library import ProfileLibrary
from custom_components.energy_meter.sources.modbus.line import ModbusLine
from custom_components.energy_meter.sources.modbus.link import (
    LinkSettings,
    RtuOverTcpLink,
    SerialLink,
    SerialSettings,
    TcpLink,
)
from custom_components.energy_meter.sources.modbus.meter import MeterConfig
from custom_components.energy_meter.sources.modbus.probe import ProbeChannel, TemporaryChannel
from custom_components.energy_meter.sources.modbus.profile import Table
from tests.support.frames import Adu
from tests.support.meters import Meter
from tests.support.models import SERIAL_NUMBER, model_meter
from tests.support.virtual_line import VirtualLine, VirtualMeter
from tests.support.virtual_time import run_virtual
from tests.support.wire import ByteTiming, Wire

PROFILES: Final = tuple(ProfileLibrary(None).load_all().values())
BY_SLUG: Final = {profile.slug: profile for profile in PROFILES}
READS: Final = {1, 2, 3, 4, 0x11, 0x2B}
"""Function codes that change nothing: the tables, report server id, device identification."""

USUAL: Final = SerialSettings()
LINK: Final = SerialLink(device="/dev/virtual")


@asynccontextmanager
async def _own_connection(link: LinkSettings) -> AsyncIterator[ProbeChannel]:
    """A connection for one setting, closed behind it, as Home Assistant lends it to a flow."""
    connection = ModbusConnection(link.params)

    @asynccontextmanager
    async def borrow(unit_id: int) -> AsyncIterator[ModbusUnit]:
        yield connection.for_unit(unit_id)

    try:
        async with TemporaryChannel(borrow) as channel:
            yield channel
    finally:
        await connection.close()


type Damage = Callable[[Adu, bytes], bytes]


def _sound(_request: Adu, frame: bytes) -> bytes:
    return frame


class VirtualLines:
    """One line at one speed, in virtual time; at any other speed its meters hear nothing."""

    def __init__(
        self, meters: Iterable[VirtualMeter], settings: SerialSettings, damage: Damage
    ) -> None:
        self.meters = list(meters)
        self.settings = settings
        self.damage = damage
        self.tried: list[SerialSettings] = []
        self.open = 0

    @asynccontextmanager
    async def __call__(self, link: LinkSettings) -> AsyncIterator[ProbeChannel]:
        settings = link.serial_settings
        assert settings is not None
        self.tried.append(settings)
        line = VirtualLine(settings.baudrate)
        if settings == self.settings:
            for meter in self.meters:
                line.add(meter)
        line.damage = self.damage
        with line.installed():
            self.open += 1
            try:
                async with _own_connection(link) as channel:
                    yield channel
            finally:
                self.open -= 1


def _meter(unit_id: int, *, turnaround: float = 0.02) -> VirtualMeter:
    return VirtualMeter(
        unit_id,
        {(Table.HOLDING, 0): 1, (Table.HOLDING, 1): 2, (Table.INPUT, 0): 3, (Table.INPUT, 1): 4},
        turnaround=lambda: turnaround,
        strict=True,
    )


def _searched(
    meters: Iterable[VirtualMeter],
    settings: SerialSettings = USUAL,
    *,
    thorough: bool = False,
    fixed: bool = False,
    damage: Damage = _sound,
) -> tuple[SearchResult, VirtualLines]:
    lines = VirtualLines(meters, settings, damage)
    plan = plan_search(LINK, PROFILES, thorough=thorough, fixed=fixed)
    return run_virtual(search(plan, lines, ())), lines


def _units(result: SearchResult) -> list[int]:
    return sorted(one.unit_id for one in result.found)


# For real: true byte timing on a pty


def test_all_addresses_at_9600_baud_take_less_than_15_seconds() -> None:
    meters = [
        Meter(unit_id=1, input={0: 1, 1: 2}),
        Meter(unit_id=77, holding={0: 1, 1: 2}),
        Meter(unit_id=203, holding={0: 1}, turnaround=0.022),
    ]

    async def run(path: str) -> SearchResult:
        plan = plan_search(SerialLink(device=path), PROFILES, fixed=True)
        return await search(plan, _own_connection, ())

    with Wire(meters, timing=ByteTiming(9600), turnaround=0.02, insist_on_silence=True) as wire:
        result = asyncio.run(run(wire.path))
        asked = {exchange.request.unit_id for exchange in wire.log}
        functions = {exchange.request.pdu[0] for exchange in wire.log}
    assert _units(result) == [1, 77, 203]
    assert asked == set(range(1, 248))
    assert functions <= {3, 4}
    assert result.seconds < 15


def test_found_meters_are_named_and_nothing_is_ever_written() -> None:
    meters = [
        model_meter(BY_SLUG["eastron_sdm120m"], 1),
        model_meter(BY_SLUG["eastron_sdm630"], 2),
        model_meter(BY_SLUG["orno_or_we_514"], 3),
    ]

    async def run(path: str) -> SearchResult:
        plan = plan_search(SerialLink(device=path), PROFILES, fixed=True, addresses=range(1, 6))
        return await search(plan, _own_connection, PROFILES)

    with Wire(meters, timing=ByteTiming(115200), turnaround=0.005) as wire:
        result = asyncio.run(run(wire.path))
        functions = {exchange.request.pdu[0] for exchange in wire.log}
    assert {one.unit_id: one.best.slug for one in result.found if one.best} == {
        1: "eastron_sdm120m",
        2: "eastron_sdm630",
        3: "orno_or_we_514",
    }
    assert functions <= READS
    assert not any(meter.writes for meter in meters)
    best = result.found[0].best
    assert best is not None
    assert best.serial_number == str(SERIAL_NUMBER)
    assert best.values["power"] == pytest.approx(1393.9, abs=0.1)


# In virtual time: any line, any trouble


@pytest.mark.parametrize(
    ("settings", "unit_id"),
    [
        (SerialSettings(), 1),
        (SerialSettings(parity="E"), 1),
        (SerialSettings(baudrate=2400), 1),
        (SerialSettings(baudrate=19200, parity="E"), 1),
        (SerialSettings(baudrate=115200), 33),
        (SerialSettings(baudrate=38400), 5),
        (SerialSettings(baudrate=9600), 142),
        (SerialSettings(baudrate=19200), 202),
    ],
)
def test_a_meter_is_found_at_its_settings(settings: SerialSettings, unit_id: int) -> None:
    result, lines = _searched([_meter(unit_id)], settings)
    assert _units(result) == [unit_id]
    assert result.found[0].link == LINK.with_settings(settings)
    assert lines.open == 0


def test_factory_settings_are_found_within_half_a_minute() -> None:
    for settings in settings_by_likelihood(PROFILES)[:6]:
        result, _lines = _searched([_meter(1)], settings)
        assert result.found[0].unit_id == 1
        # At 2400 baud the sweep of the other addresses alone takes 26 s.
        assert result.seconds < (45 if settings.baudrate == 2400 else 30)


def test_the_commonest_settings_are_tried_first() -> None:
    order = settings_by_likelihood(PROFILES)
    assert order[:2] == (SerialSettings(), SerialSettings(parity="E"))
    assert {one.baudrate for one in order} >= {1200, 2400, 4800, 9600, 19200, 38400, 115200}
    own = SerialLink(device="/dev/x", settings=SerialSettings(baudrate=57600))
    assert plan_search(own, PROFILES).settings[0].link == own


def test_a_running_line_is_searched_at_its_own_settings_only() -> None:
    plan = plan_search(LINK, PROFILES, fixed=True)
    assert [setting.link for setting in plan.settings] == [LINK]


def test_the_search_ends_with_the_settings_at_which_meters_are() -> None:
    result, lines = _searched([_meter(9), _meter(1)])
    assert _units(result) == [1, 9]
    assert lines.tried == [SerialSettings()]


def test_a_thorough_search_tries_everything() -> None:
    result, lines = _searched([_meter(1)], SerialSettings(baudrate=2400), thorough=True)
    assert _units(result) == [1]
    assert set(lines.tried) == set(settings_by_likelihood(PROFILES))


def test_a_meter_that_knows_input_registers_only_is_found() -> None:
    deaf = {3: b""}
    result, _lines = _searched(
        [_meter(1)],
        fixed=True,
        damage=lambda request, frame: deaf.get(request.function, frame),
    )
    assert _units(result) == [1]


def test_slow_meters_are_found_in_the_second_look() -> None:
    for turnaround in (0.08, 0.5, 0.9):
        result, _lines = _searched([_meter(1, turnaround=turnaround)], fixed=True)
        assert _units(result) == [1]


def test_beside_a_slow_meter_its_like_are_found_at_any_address() -> None:
    meters = [_meter(1, turnaround=0.08), _meter(150, turnaround=0.085)]
    result, _lines = _searched(meters, fixed=True)
    assert _units(result) == [1, 150]


def test_a_late_answer_is_not_taken_for_the_next_addresss() -> None:
    meters = [_meter(1), *(_meter(unit_id, turnaround=0.06) for unit_id in (50, 120))]
    for meter in meters:
        meter.queues = True
    result, _lines = _searched(meters, fixed=True)
    assert set(_units(result)) <= {1, 50, 120}
    assert 1 in _units(result)


def test_two_meters_with_one_address_are_reported_as_unclear() -> None:
    def collide(request: Adu, frame: bytes) -> bytes:
        if request.unit_id != 4:
            return frame
        # What two meters of one kind say together: the same header, then a mixture.
        return frame[:3] + bytes(byte ^ 0x5A for byte in frame[3:])

    result, _lines = _searched([_meter(1), _meter(4), _meter(5)], fixed=True, damage=collide)
    assert {one.unit_id: one.clear for one in result.found} == {1: True, 4: False, 5: True}


def test_one_damaged_answer_makes_no_meter_unclear() -> None:
    damaged: set[int] = set()

    def damage_first(request: Adu, frame: bytes) -> bytes:
        if request.unit_id in damaged:
            return frame
        damaged.add(request.unit_id)
        return frame[:-1] + bytes([frame[-1] ^ 0xFF])

    result, _lines = _searched([_meter(1), _meter(60)], fixed=True, damage=damage_first)
    assert {one.unit_id: one.clear for one in result.found} == {1: True, 60: True}


def test_an_adapter_that_makes_noise_at_every_address_is_named_and_finds_no_meters() -> None:
    def garble(_request: Adu, frame: bytes) -> bytes:
        return frame[:2] + b"\xff" * (len(frame) - 2)

    meters = [_meter(unit_id) for unit_id in range(1, 248)]
    result, _lines = _searched(meters, fixed=True, damage=garble)
    assert result.found == ()
    assert result.findings == {Finding.NOISE}


def test_nothing_is_found_on_an_empty_line_and_the_whole_of_it_was_tried() -> None:
    result, lines = _searched([])
    assert result.found == ()
    assert set(lines.tried) == set(settings_by_likelihood(PROFILES))


def test_progress_tells_settings_finds_and_the_time_left() -> None:
    seen: list[SearchProgress] = []
    lines = VirtualLines([_meter(1), _meter(100)], SerialSettings(parity="E"), _sound)
    plan = plan_search(LINK, PROFILES)
    result = run_virtual(search(plan, lines, (), seen.append))
    fractions = [one.fraction for one in seen]
    assert fractions == sorted(fractions)
    assert 0 <= fractions[0] < 0.05
    assert fractions[-1] <= 1
    assert all(one.seconds_left >= 0 for one in seen)
    assert seen[0].link == LINK
    assert {one.unit_id for one in seen if one.stage is Stage.SWEEP} >= set(range(40, 99))
    assert seen[-1].found == result.found
    # The estimate for what is planned is near what it takes.
    alone: list[SearchProgress] = []
    empty = VirtualLines([_meter(1)], SerialSettings(), _sound)
    fixed = run_virtual(search(plan_search(LINK, PROFILES, fixed=True), empty, (), alone.append))
    assert alone[0].seconds_left == pytest.approx(fixed.seconds, rel=0.2)


@hypothesis_settings(max_examples=60, deadline=None)
@given(st.floats(0, 16))
def test_a_search_may_be_cancelled_at_any_moment(moment: float) -> None:
    """Afterwards nothing runs, nothing is held, and the next read on the same line is right."""
    line = VirtualLine(9600)
    meter = line.add(_meter(1, turnaround=0.03))
    line.add(_meter(9, turnaround=0.07))

    @asynccontextmanager
    async def shared(_link: LinkSettings) -> AsyncIterator[ProbeChannel]:
        @asynccontextmanager
        async def borrow(unit_id: int) -> AsyncIterator[ModbusUnit]:
            yield line.unit(unit_id)

        async with TemporaryChannel(borrow) as channel:
            yield channel

    async def run() -> tuple[list[int], int]:
        with line.installed():
            running = asyncio.create_task(
                search(plan_search(LINK, PROFILES, fixed=True), shared, PROFILES)
            )
            await asyncio.sleep(moment)
            running.cancel()
            await asyncio.wait((running,))
            others = len(asyncio.all_tasks()) - 1
            words = await line.unit(1).read_holding_registers(0, 2)
            await line.connection.close()
            return words, others

    words, others = run_virtual(run())
    assert words == [1, 2]
    assert others == 0
    assert not meter.written


@pytest.mark.parametrize("noticed", [True, False])
def test_a_line_that_is_unplugged_ends_the_search_with_the_reason(noticed: bool) -> None:
    """Or breaks while it is written to, before anybody has noticed."""
    line = VirtualLine(9600)
    line.add(_meter(1))

    async def run() -> None:
        with line.installed():
            task = asyncio.create_task(
                search(plan_search(LINK, PROFILES, fixed=True), _own_connection, ())
            )
            await asyncio.sleep(2)
            if noticed:
                line.unplug()
            else:
                line.broken = OSError(errno.EIO, "gone")
            await task

    with pytest.raises(ModbusConnectionError):
        run_virtual(run())


def test_a_port_that_does_not_open_ends_the_search_at_once() -> None:
    line = VirtualLine(9600)
    line.unplug()

    async def run() -> None:
        with line.installed():
            await search(plan_search(LINK, PROFILES), _own_connection, ())

    with pytest.raises(ModbusConnectionError):
        run_virtual(run())


class _Watcher:
    """Takes a meter's readings."""

    def __init__(self) -> None:
        self.readings: list[Reading] = []
        self.silences = 0

    def on_reading(self, reading: Reading) -> None:
        self.readings.append(reading)

    def on_silent(self, meter_id: str) -> None:
        self.silences += 1

    def on_stale(self, meter_id: str, keys: frozenset[str]) -> None:
        self.silences += 1

    def on_back(self, meter_id: str) -> None: ...

    def on_info(self, info: MeterInfo) -> None: ...

    def on_wrong_meter(self, meter_id: str, expected: str, found: str) -> None:
        raise AssertionError


def test_a_running_line_is_searched_while_it_goes_on_polling() -> None:
    polled = model_meter(BY_SLUG["eastron_sdm120m"], 1)
    line = VirtualLine(9600)
    line.add(
        VirtualMeter(
            1,
            {(Table.INPUT, place): word for place, word in polled.input.items()}
            | {(Table.HOLDING, place): word for place, word in polled.holding.items()},
        )
    )
    line.add(_meter(40))
    line.add(_meter(200))
    watcher = _Watcher()

    async def run() -> tuple[SearchResult, int]:
        loop = asyncio.get_running_loop()
        with line.installed():
            modbus = ModbusLine(
                line.unit,
                line.timing,
                clock=loop.time,
                utc=lambda: datetime.fromtimestamp(loop.time(), UTC),
            )
            modbus.add_meter(_config(), watcher)
            await modbus.start()
            await asyncio.sleep(20)
            before = len(watcher.readings)

            @asynccontextmanager
            async def running(_link: LinkSettings) -> AsyncIterator[ProbeChannel]:
                yield modbus

            result = await search(plan_search(LINK, PROFILES, fixed=True), running, ())
            during = len(watcher.readings) - before
            await modbus.stop()
            await line.connection.close()
            return result, during

    result, during = run_virtual(run())
    assert _units(result) == [1, 40, 200]
    assert during >= result.seconds / 5 - 1
    assert watcher.silences == 0
    # Polling keeps half of a busy line; this one needs little.
    assert result.seconds < 30


def _config() -> MeterConfig:
    return MeterConfig(
        meter_id="polled",
        profile=BY_SLUG["eastron_sdm120m"],
        unit_id=1,
        fast_interval=5,
        counter_interval=30,
        slow_interval=60,
    )


# Over Modbus TCP: gateways and meters with a network port


type Answer = Callable[[int, bytes], bytes | None]
"""A gateway: from unit id and request PDU to the reply PDU; None to stay silent."""


class HangUp(Exception):
    """The gateway closes the connection."""


@asynccontextmanager
async def _gateway(answer: Answer) -> AsyncIterator[TcpLink]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                header = await reader.readexactly(7)
                pdu = await reader.readexactly(int.from_bytes(header[4:6]) - 1)
                reply = answer(header[6], pdu)
                if reply is not None:
                    size = (len(reply) + 1).to_bytes(2)
                    writer.write(header[:4] + size + header[6:7] + reply)
        except HangUp, asyncio.IncompleteReadError, ConnectionError:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield TcpLink(host="127.0.0.1", port=server.sockets[0].getsockname()[1])


def _registers(meters: Mapping[int, Mapping[int, int]], unit_id: int, pdu: bytes) -> bytes | None:
    """Answer a read of holding or input registers; None where there is no such unit."""
    registers = meters.get(unit_id)
    if registers is None:
        return None
    address, count = int.from_bytes(pdu[1:3]), int.from_bytes(pdu[3:5])
    if pdu[0] not in (3, 4) or any(one not in registers for one in range(address, address + count)):
        return bytes([pdu[0] | 0x80, 2])
    words = b"".join(registers[one].to_bytes(2) for one in range(address, address + count))
    return bytes([pdu[0], len(words)]) + words


async def _search_gateway(answer: Answer, *, profiles: bool = False) -> SearchResult:
    async with _gateway(answer) as link:
        known = PROFILES if profiles else ()
        return await search(plan_search(link, PROFILES), _own_connection, known)


METERS: Final = {1: {0: 5, 1: 6}, 12: {7: 1}}


@pytest.mark.usefixtures("socket_enabled")
@pytest.mark.parametrize("code", [0x0A, 0x0B, 0x04])
async def test_a_gateways_refusals_are_no_meters(code: int) -> None:
    result = await _search_gateway(
        lambda unit_id, pdu: _registers(METERS, unit_id, pdu) or bytes([pdu[0] | 0x80, code])
    )
    assert _units(result) == [1, 12]
    assert all(one.clear for one in result.found)


@pytest.mark.usefixtures("socket_enabled")
async def test_a_gateway_that_hangs_up_on_unknown_addresses_is_searched_all_the_same() -> None:
    def answer(unit_id: int, pdu: bytes) -> bytes | None:
        reply = _registers(METERS, unit_id, pdu)
        if reply is None:
            raise HangUp
        return reply

    assert _units(await _search_gateway(answer)) == [1, 12]


@pytest.mark.usefixtures("socket_enabled")
async def test_a_meter_that_answers_for_every_address_is_found_once() -> None:
    meter = model_meter(BY_SLUG["siemens_pac2200"], 1)
    asked: set[int] = set()

    def answer(unit_id: int, pdu: bytes) -> bytes | None:
        asked.add(unit_id)
        return _registers({unit_id: meter.input}, unit_id, pdu)

    result = await _search_gateway(answer, profiles=True)
    assert len(result.found) == 1
    assert result.findings == {Finding.IGNORES_UNIT_ID}
    assert result.found[0].best is not None
    assert result.found[0].best.slug == "siemens_pac2200"
    assert len(asked) < 10


@pytest.mark.usefixtures("socket_enabled")
async def test_a_gateway_full_of_meters_is_not_taken_for_one_meter() -> None:
    """They differ in their serial numbers."""
    profile = BY_SLUG["eastron_sdm630"]
    meter = model_meter(profile, 1)
    serial = profile.info_register("serial_number")
    assert serial is not None

    def answer(unit_id: int, pdu: bytes) -> bytes | None:
        table = dict(meter.holding if pdu[0] == 3 else meter.input)
        if pdu[0] == 3:
            table |= {span.address: words[0] for span, words in meter.codes.items()}
            table[serial.span.end - 1] = unit_id
        return _registers({unit_id: table}, unit_id, pdu)

    result = await _search_gateway(answer, profiles=True)
    assert not result.findings
    assert set(_units(result)) >= set(range(1, 33))


# Plans


def test_plans_ask_every_wanted_address_once_per_setting() -> None:
    plans: tuple[SearchPlan, ...] = (
        plan_search(LINK, PROFILES),
        plan_search(TcpLink(host="gw"), PROFILES, thorough=True),
        plan_search(RtuOverTcpLink(host="gw", port=4196), PROFILES),
        plan_search(SerialLink(device="socket://gw:4196"), PROFILES),
        plan_search(LINK, PROFILES, addresses=[7, 9]),
    )
    for plan in plans:
        for setting in plan.settings:
            asked = [*setting.likely, *setting.others]
            assert len(asked) == len(set(asked))
    assert {*plans[0].settings[0].likely, *plans[0].settings[0].others} == set(range(1, 248))
    assert len(plans[2].settings) == len(plans[3].settings) == 1
    only = plans[4].settings[0]
    assert {*only.likely, *only.others} == {7, 9}
