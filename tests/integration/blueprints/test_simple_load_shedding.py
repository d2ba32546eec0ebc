"""The simple load shedding: off over the limit, on with room, and a person has the last word."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
import shutil

from freezegun.api import FrozenDateTimeFactory
from homeassistant.bootstrap import async_load_base_functionality
from homeassistant.core import CoreState, HomeAssistant
from homeassistant.setup import async_setup_component
import pytest
from pytest_homeassistant_custom_component.common import (
    async_fire_time_changed,
    async_test_home_assistant,
)

from .conftest import BLUEPRINTS, Use

SENSOR = "sensor.grid"
LOAD = "input_boolean.heater"
MEMORY = "input_boolean.taken"


async def settle() -> None:
    """Let everything happen that waits for no clock."""
    for _ in range(50):
        await asyncio.sleep(0)


class Kitchen:
    """A house with one load."""

    def __init__(self, hass: HomeAssistant, freezer: FrozenDateTimeFactory) -> None:
        self.hass = hass
        self.freezer = freezer

    async def measure(self, value: float | str) -> None:
        self.hass.states.async_set(SENSOR, str(value), {"unit_of_measurement": "W"})
        await settle()

    async def wait(self, **time: float) -> None:
        self.freezer.tick(timedelta(**time))
        async_fire_time_changed(self.hass)
        await settle()

    async def switch(self, on: bool) -> None:
        await self.hass.services.async_call(
            "input_boolean", "turn_on" if on else "turn_off", {"entity_id": LOAD}, blocking=True
        )
        await settle()

    @property
    def on(self) -> bool:
        return self.remembers(LOAD)

    def remembers(self, entity_id: str = MEMORY) -> bool:
        state = self.hass.states.get(entity_id)
        assert state is not None
        return state.state == "on"


@pytest.fixture
async def kitchen(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, use_blueprint: Use
) -> Kitchen:
    assert await async_setup_component(hass, "homeassistant", {})
    assert await async_setup_component(
        hass, "input_boolean", {"input_boolean": {"heater": {"initial": True}}}
    )
    found = Kitchen(hass, freezer)
    await found.measure(3_000)
    await use_blueprint(
        "simple_load_shedding", sensor=SENSOR, limit=5_000, load=LOAD, power=2_000, delay=5, rest=5
    )
    return found


async def test_it_goes_off_over_the_limit_and_comes_back_with_room(kitchen: Kitchen) -> None:
    await kitchen.measure(5_500)
    assert kitchen.on
    await kitchen.wait(seconds=6)
    assert not kitchen.on
    await kitchen.measure(3_500)
    await kitchen.wait(minutes=10)
    assert not kitchen.on, "that is not room enough"
    await kitchen.measure(2_500)
    await kitchen.wait(minutes=3)
    await kitchen.measure(4_000)
    await kitchen.wait(minutes=3)
    assert not kitchen.on, "not long enough"
    await kitchen.measure(2_500)
    await kitchen.wait(minutes=6)
    assert kitchen.on


async def test_a_short_peak_does_nothing(kitchen: Kitchen) -> None:
    await kitchen.measure(5_500)
    await kitchen.wait(seconds=3)
    await kitchen.measure(4_500)
    await kitchen.wait(seconds=10)
    assert kitchen.on


async def test_a_sensor_that_says_nothing_brings_nothing_back(kitchen: Kitchen) -> None:
    await kitchen.measure(5_500)
    await kitchen.wait(seconds=6)
    await kitchen.measure("unavailable")
    await kitchen.wait(minutes=30)
    assert not kitchen.on


async def test_a_person_has_the_last_word(kitchen: Kitchen) -> None:
    await kitchen.measure(5_500)
    await kitchen.wait(seconds=6)
    await kitchen.switch(True)
    await kitchen.measure(6_000)
    await kitchen.wait(minutes=1)
    assert kitchen.on


async def test_what_is_off_already_is_not_switched_on(kitchen: Kitchen) -> None:
    await kitchen.switch(False)
    await kitchen.measure(5_500)
    await kitchen.wait(seconds=6)
    await kitchen.measure(1_000)
    await kitchen.wait(minutes=10)
    assert not kitchen.on


@asynccontextmanager
async def started(
    folder: Path, freezer: FrozenDateTimeFactory, *, memory: bool
) -> AsyncIterator[Kitchen]:
    """A Home Assistant that has what an earlier one has kept in this folder, and is ended as by its user."""
    blueprints = folder / "blueprints" / "automation" / "energy_meter"
    await asyncio.to_thread(shutil.copytree, BLUEPRINTS, blueprints, dirs_exist_ok=True)
    inputs = {"sensor": SENSOR, "limit": 5_000, "load": LOAD, "power": 2_000, "rest": 5}
    if memory:
        inputs["memory"] = MEMORY
    async with async_test_home_assistant(
        config_dir=str(folder), load_registries=False, initial_state=CoreState.not_running
    ) as hass:
        await async_load_base_functionality(hass)
        for domain, config in (
            ("homeassistant", {}),
            ("input_boolean", {"heater": {}, "taken": {}}),
            (
                "automation",
                [
                    {
                        "alias": "Under test",
                        "use_blueprint": {
                            "path": "energy_meter/simple_load_shedding.yaml",
                            "input": inputs,
                        },
                    }
                ],
            ),
        ):
            assert await async_setup_component(hass, domain, {domain: config})
        kitchen = Kitchen(hass, freezer)
        await kitchen.measure("unavailable")
        await hass.async_start()
        await settle()
        try:
            yield kitchen
        finally:
            await hass.async_stop(force=True)


async def until_off(kitchen: Kitchen) -> None:
    await kitchen.switch(True)
    await kitchen.measure(5_500)
    await kitchen.wait(seconds=6)
    assert not kitchen.on


async def test_with_a_memory_it_gives_back_after_a_restart_what_it_took_before(
    tmp_path: Path, freezer: FrozenDateTimeFactory
) -> None:
    async with started(tmp_path, freezer, memory=True) as kitchen:
        await until_off(kitchen)
        assert kitchen.remembers()
    async with started(tmp_path, freezer, memory=True) as kitchen:
        await kitchen.wait(minutes=10)
        assert not kitchen.on, "nobody knows how much room there is"
        await kitchen.measure(2_500)
        await kitchen.wait(minutes=6)
        assert kitchen.on
        assert not kitchen.remembers()
    async with started(tmp_path, freezer, memory=True) as kitchen:
        await kitchen.switch(False)
        await kitchen.measure(1_000)
        await kitchen.wait(minutes=10)
        assert not kitchen.on, "that was somebody else"


async def test_a_person_who_switches_it_on_meanwhile_is_not_fought_after_a_restart(
    tmp_path: Path, freezer: FrozenDateTimeFactory
) -> None:
    async with started(tmp_path, freezer, memory=True) as kitchen:
        await until_off(kitchen)
    async with started(tmp_path, freezer, memory=True) as kitchen:
        await kitchen.switch(True)
        await settle()
        assert not kitchen.remembers()
        await kitchen.switch(False)
        await kitchen.measure(1_000)
        await kitchen.wait(minutes=10)
        assert not kitchen.on


async def test_without_a_memory_what_is_off_stays_off_after_a_restart(
    tmp_path: Path, freezer: FrozenDateTimeFactory
) -> None:
    async with started(tmp_path, freezer, memory=False) as kitchen:
        await until_off(kitchen)
    async with started(tmp_path, freezer, memory=False) as kitchen:
        await kitchen.measure(1_000)
        await kitchen.wait(minutes=10)
        assert not kitchen.on
        assert not kitchen.remembers()
