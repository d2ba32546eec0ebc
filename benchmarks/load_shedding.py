"""Load shedding with 200 loads and 20 limits, each read once a second: how fast it answers, and what it costs."""

import asyncio
import time
from types import MappingProxyType
from typing import Any, Final, override

from homeassistant.config_entries import SOURCE_USER, ConfigEntry, ConfigSubentryData
from homeassistant.const import ATTR_DOMAIN, ATTR_SERVICE, EVENT_CALL_SERVICE
from homeassistant.core import Event, HomeAssistant, callback
from homeassistant.setup import async_setup_component

from custom_components.energy_meter.const import DOMAIN

from .near_end import Client, NearEnd, Published
from .setting import SDM120, Setting

LOADS: Final = 200
LIMITS: Final = 20
LIMIT: Final = 10_000.0
REACTIONS: Final = "reactions"
"""The note with the seconds from each reading over the limit to the call that switches a load off."""


def _limit(number: int) -> ConfigSubentryData:
    return {
        "data": {
            "sensor": f"sensor.supply_{number}",
            "measure": "power",
            "phase": "all",
            "urgency": "hard",
            "value": LIMIT,
            "freshness": 60,
        },
        "subentry_type": "limit",
        "title": f"Limit {number}",
        "unique_id": None,
    }


def _load(number: int) -> ConfigSubentryData:
    return {
        "data": {
            "entity": f"input_boolean.load_{number}",
            "order": number + 1,
            "phase": "single",
            "power": 500,
        },
        "subentry_type": "load",
        "title": f"Load {number}",
        "unique_id": None,
    }


class LoadSheddingClient(Client):
    """Sensors that say something once a second; with load shedding or, to compare, without."""

    def __init__(self, setting: Setting, address: str | int) -> None:
        """Plan it; the address says whether there is load shedding."""
        self._with = address == "with"
        self._task: asyncio.Task[None] | None = None

    @override
    async def start(self, hass: HomeAssistant, published: Published) -> None:
        booleans = {f"load_{number}": {"initial": True} for number in range(LOADS)}
        await async_setup_component(hass, "input_boolean", {"input_boolean": booleans})
        self._say(hass, 5_000.0)
        if self._with:
            entry: ConfigEntry[Any] = ConfigEntry(
                # A high cap lets it be measured often, and a long delay keeps loads from coming back.
                data={"kind": "load_shedding", "per_hour": 100_000, "restore_delay": 3_600},
                discovery_keys=MappingProxyType({}),
                domain=DOMAIN,
                minor_version=1,
                options=None,
                source=SOURCE_USER,
                subentries_data=[
                    *(_limit(number) for number in range(LIMITS)),
                    *(_load(number) for number in range(LOADS)),
                ],
                title="Load shedding",
                unique_id=None,
                version=1,
            )
            await hass.config_entries.async_add(entry)
            await hass.async_block_till_done()
        self._task = asyncio.create_task(self._live(hass, published))

    @override
    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _say(self, hass: HomeAssistant, value: float) -> None:
        for number in range(LIMITS):
            self._reading(hass, number, value + number)

    def _reading(self, hass: HomeAssistant, number: int, value: float) -> None:
        hass.states.async_set(f"sensor.supply_{number}", str(value), {"unit_of_measurement": "W"})

    async def _live(self, hass: HomeAssistant, published: Published) -> None:
        """Readings spread over each second; in most seconds one of them is over its limit."""
        reactions: list[float] = []
        published.notes[REACTIONS] = reactions
        since = 0.0

        @callback
        def called(event: Event) -> None:
            nonlocal since
            told = (event.data[ATTR_DOMAIN], event.data[ATTR_SERVICE])
            if since and told == ("input_boolean", "turn_off"):
                reactions.append(time.perf_counter() - since)
                since = 0.0

        hass.bus.async_listen(EVENT_CALL_SERVICE, called)
        second = 0
        while True:
            for number in range(LIMITS):
                # Not the first: it would come sooner than a second after the last.
                over = self._with and number == second % LIMITS != 0
                if over:
                    since = time.perf_counter()
                self._reading(hass, number, LIMIT + 100 if over else 5_000.0 + second % 7)
                await asyncio.sleep(1 / LIMITS)
            second += 1


def run_load_shedding(*, shedding: bool, seconds: float) -> Published:
    """Let it run for a while, in a process of its own."""
    setting = Setting(model=SDM120, count=1, started=time.monotonic())
    with NearEnd(LoadSheddingClient, setting, "with" if shedding else "without") as near:
        time.sleep(3)
        near.begin()
        time.sleep(seconds)
        return near.end()
