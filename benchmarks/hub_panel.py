"""A hundred circuits behind a remote hub, ten quantities each, every second; and what of them is written to a database.

The hub runs in a thread of the parent process, with its own bus and panel, so that the client's processor time is
Home Assistant's alone. For the database an hour passes in a minute: the same messages, with clocks that are moved.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
import json
from pathlib import Path
import threading
import time
from types import MappingProxyType, SimpleNamespace
from typing import Any, Final, override
from unittest.mock import patch

from homeassistant.config_entries import SOURCE_USER, ConfigEntry
from homeassistant.const import EVENT_STATE_CHANGED, STATE_UNAVAILABLE, STATE_UNKNOWN
from homeassistant.core import Event, EventStateChangedData, HomeAssistant, callback
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.recorder import async_initialize_recorder, get_instance, session_scope
from homeassistant.setup import async_setup_component
from sqlalchemy import text

from custom_components.energy_meter import meter_entry, sensor
from custom_components.energy_meter.burst import AT_ONCE
from custom_components.energy_meter.const import DOMAIN
from custom_components.energy_meter.sources.bridge import BridgeLink, BridgeSession
from custom_components.energy_meter.sources.simulated.hub import DIGITS, HUB, PANEL, SimulatedHub
from custom_components.energy_meter.sources.simulated.panel import (
    PanelCircuit,
    panel_circuits,
    panel_id,
)

from .near_end import Client, NearEnd, Published
from .setting import SDM120, Setting

CIRCUITS: Final = 100
ENTITIES: Final = "entities"
START_UP: Final = "start_up"
STATES: Final = "states"
ELAPSED: Final = "elapsed"
"""The note with the seconds in which states were counted."""
ROWS: Final = "rows"
"""The note with the rows of each hour that was looked at."""
CHANGES: Final = "changes"
"""The note with the values that changed in it, without a filter."""
_PATIENCE: Final = 40.0
_SETTLING: Final = 5
"""Seconds after a leap in time that are not counted: everything has changed."""
_DAY: Final = 1_780_272_000.0
"""A Monday of the simulated house, 00:00 UTC."""


@contextmanager
def running_hub() -> Iterator[tuple[SimulatedHub, int]]:
    """A hub with all its circuits, in a thread of its own; gives it and its port."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def make() -> tuple[SimulatedHub, int]:
        hub = SimulatedHub(CIRCUITS)
        return hub, await hub.start()

    hub, port = asyncio.run_coroutine_threadsafe(make(), loop).result()
    try:
        yield hub, port
    finally:
        asyncio.run_coroutine_threadsafe(hub.stop(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def hub_entry(**data: Any) -> ConfigEntry[Any]:
    """An entry of the hub."""
    return ConfigEntry(
        data={"kind": "bridge", "way": "tcp", **data},
        discovery_keys=MappingProxyType({}),
        domain=DOMAIN,
        minor_version=1,
        options=None,
        source=SOURCE_USER,
        subentries_data=[],
        title="Hub",
        unique_id=HUB,
        version=1,
    )


async def until_shown(hass: HomeAssistant) -> int:
    """Wait until every quantity of every circuit is shown; return how many entities that are."""
    end = time.monotonic() + _PATIENCE
    ids = {f"{panel_id(number, PANEL):016x}" for number in range(CIRCUITS)}
    known: list[str] = []
    shown = 0
    while time.monotonic() < end:
        known = [
            entity.entity_id
            for entity in er.async_get(hass).entities.values()
            if entity.unique_id.partition("_")[0] in ids
            and entity.unique_id.partition("_")[2] in DIGITS
        ]
        shown = sum(
            (state := hass.states.get(each)) is not None
            and state.state not in (STATE_UNAVAILABLE, STATE_UNKNOWN)
            for each in known
        )
        # A circuit without load has no crest factor and perhaps no power factor.
        if len(known) >= CIRCUITS * len(DIGITS) and shown >= CIRCUITS * (len(DIGITS) - 2):
            return len(known)
        await asyncio.sleep(0.1)
    raise RuntimeError(f"not every circuit was shown: {shown} of {len(known)}")


class HubClient(Client):
    """One entry with a hundred circuits behind a hub."""

    def __init__(self, setting: Setting, address: str | int) -> None:
        """The address is the hub's `port key`."""
        port, key = str(address).split()
        self._entry = hub_entry(host="127.0.0.1", port=int(port), key=key)

    @override
    async def start(self, hass: HomeAssistant, published: Published) -> None:
        self._hass = hass
        await hass.config_entries.async_add(self._entry)
        await until_shown(hass)
        # Once more with all entities known: that is what a start of Home Assistant is.
        await hass.config_entries.async_unload(self._entry.entry_id)
        began = time.monotonic()
        await hass.config_entries.async_setup(self._entry.entry_id)
        published.notes[ENTITIES] = await until_shown(hass)
        published.notes[START_UP] = time.monotonic() - began
        published.notes[STATES] = 0

        @callback
        def changed(event: Event[EventStateChangedData]) -> None:
            published.notes[STATES] += event.data["entity_id"].startswith("sensor.")

        self._unlisten = hass.bus.async_listen(EVENT_STATE_CHANGED, changed)
        published.notes[ELAPSED] = -time.monotonic()
        self._notes = published.notes

    @override
    async def stop(self) -> None:
        self._unlisten()  # Everything becomes unavailable now.
        self._notes[ELAPSED] += time.monotonic()
        await self._hass.config_entries.async_unload(self._entry.entry_id)


def run_hub(*, seconds: float) -> tuple[Published, float, int]:
    """Let it run for a while; (what was published, bytes of a message, bytes of the hello)."""
    setting = Setting(model=SDM120, count=1, started=time.monotonic())
    with (
        running_hub() as (hub, port),
        NearEnd(HubClient, setting, f"{port} {hub.key}") as near,
    ):
        time.sleep(2)
        near.begin()
        rounds, sent = hub.rounds, hub.bytes
        time.sleep(seconds)
        size = (hub.bytes - sent) / (hub.rounds - rounds)
        return near.end(), size, len(json.dumps(hub.hello(), separators=(",", ":")).encode())


# What is written


class _NoWire(BridgeLink):
    """A link by which a benchmark says when what comes."""

    session: BridgeSession

    @override
    async def start(self, session: BridgeSession) -> None:
        self.session = session
        session.connected()

    @override
    async def stop(self) -> None:
        self.session.disconnected()

    @override
    def send(self, line: bytes) -> None:
        """Nobody is there."""

    @property
    @override
    def connected(self) -> bool:
        return True

    @override
    def describe(self) -> str:
        return "a benchmark"


class RecordedClient(Client):
    """A hundred circuits in a Home Assistant with a recorder, for some minutes of several hours of a day."""

    def __init__(self, setting: Setting, address: str | int) -> None:
        """The address is `seconds of each hour, then the hours`."""
        seconds, *self._hours = (float(each) for each in str(address).split())
        self._seconds = int(seconds)
        self._monotonic, self._unix = 1e6, _DAY
        self._link = _NoWire()
        self._sequence = 1
        self._before: dict[tuple[str, str], float] = {}
        self._changed = 0

    def _clock(self) -> tuple[float, float]:
        return self._monotonic, self._unix

    @override
    async def start(self, hass: HomeAssistant, published: Published) -> None:
        async_initialize_recorder(hass)
        url = f"sqlite:///{Path(hass.config.path('home-assistant_v2.db'))}"
        recorder = {"recorder": {"db_url": url, "commit_interval": 1}}
        if not await async_setup_component(hass, "recorder", recorder):
            raise RuntimeError("Home Assistant did not start its recorder")
        panel = await hass.async_add_executor_job(panel_circuits, CIRCUITS)
        named = [
            (f"{panel_id(number, PANEL):016x}", circuit) for number, circuit in enumerate(panel)
        ]
        entry = hub_entry(host="127.0.0.1", port=1, key="A" * 20)
        moved = SimpleNamespace(monotonic=lambda: self._monotonic)
        with (
            patch.object(meter_entry, "make_link", lambda _hass, _entry: self._link),
            patch.object(sensor, "time", moved),
        ):
            await hass.config_entries.async_add(entry)
            # Its clock is moved from here on: there is no other way to let hours pass.
            self._link.session._clock = self._clock  # noqa: SLF001
            self._feed(_hello([meter for meter, _ in named]))
            await hass.async_block_till_done(wait_background_tasks=True)
            published.notes[ROWS], published.notes[CHANGES] = [], []
            for hour in self._hours:
                leap = _DAY + 3600 * hour - self._unix
                self._monotonic, self._unix = self._monotonic + leap, self._unix + leap
                await self._pass(named, _SETTLING)
                rows = await _rows(hass)
                self._changed = 0
                await self._pass(named, self._seconds)
                published.notes[ROWS].append(await _rows(hass) - rows)
                published.notes[CHANGES].append(self._changed)
            published.notes[ENTITIES] = len(hass.states.async_entity_ids("sensor"))
            await hass.config_entries.async_unload(entry.entry_id)

    def _feed(self, message: dict[str, Any]) -> None:
        self._link.session.feed_lines([json.dumps(message).encode()])

    async def _pass(self, named: Sequence[tuple[str, PanelCircuit]], seconds: int) -> None:
        for _ in range(seconds):
            self._monotonic, self._unix = self._monotonic + 1, self._unix + 1
            rows = []
            for meter, circuit in named:
                values = _values(circuit, self._unix)
                rows.append([meter, *values])
                for key, value in zip(DIGITS, values, strict=True):
                    if value is not None and self._before.get((meter, key)) != value:
                        self._before[meter, key] = value
                        self._changed += 1
            self._feed(
                {
                    "type": "readings",
                    "boot": 1,
                    "seq": self._sequence,
                    "age": 0,
                    "start": 1,
                    "columns": ["meter", *DIGITS],
                    "rows": rows,
                }
            )
            self._sequence += len(rows)
            for _ in range(CIRCUITS // AT_ONCE + 1):
                await asyncio.sleep(0)

    @override
    async def stop(self) -> None:
        """All is done by now."""


def _hello(meters: Sequence[str]) -> dict[str, Any]:
    common = {"quantities": [*DIGITS], "resolution": {"energy_import": 1e-6, "energy_export": 1e-6}}
    return {
        "type": "hello",
        "v": 1,
        "bridge": HUB,
        "boot": 1,
        "kind": "i2c_hub",
        "interval": 1,
        "common": common,
        "meters": [{"id": meter} for meter in meters],
    }


def _values(circuit: PanelCircuit, at: float) -> list[float | None]:
    """What a monitor says, in the order of `DIGITS`."""
    now, energy = circuit.at(at), circuit.energy(at)
    apparent = now.voltage * now.current
    values: dict[str, float | None] = {
        "voltage": now.voltage,
        "current": now.current,
        "power": now.power,
        "reactive_power": now.reactive,
        "apparent_power": apparent,
        "power_factor": now.factor if apparent >= 0.5 else None,
        "frequency": circuit.circuit.mains.frequency(at),
        "current_crest_factor": circuit.crest_factor if now.current >= 0.02 else None,
        "energy_import": energy.taken,
        "energy_export": energy.given,
    }
    return [
        None if (value := values[key]) is None else round(value, digits)
        for key, digits in DIGITS.items()
    ]


async def _rows(hass: HomeAssistant) -> int:
    """Rows of the circuits' states in the database, when everything has been written."""
    recorder = get_instance(hass)
    await hass.async_block_till_done()
    await recorder.async_block_till_done()

    def count() -> int:
        with session_scope(hass=hass, read_only=True) as session:
            found = session.execute(
                text(
                    "SELECT COUNT(*) FROM states JOIN states_meta AS about USING (metadata_id)"
                    " WHERE about.entity_id LIKE 'sensor.%' AND about.entity_id NOT LIKE 'sensor.hub%'"
                )
            )
            return int(found.scalar_one())

    counter: Callable[[], int] = count
    return await recorder.async_add_executor_job(counter)


def run_recorded(*, seconds: int, hours: Sequence[float]) -> tuple[float, float]:
    """(rows that a recorder writes, values that change without a filter), each per hour, over these hours of a day."""
    setting = Setting(model=SDM120, count=1, started=time.monotonic())
    address = " ".join(map(str, (seconds, *hours)))
    with NearEnd(RecordedClient, setting, address) as near:
        near.begin()
        notes = near.end().notes
    times = 3600 / (seconds * len(hours))
    return sum(notes[ROWS]) * times, sum(notes[CHANGES]) * times
