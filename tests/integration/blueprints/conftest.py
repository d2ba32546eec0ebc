"""A Home Assistant that has our blueprints, and a messenger that keeps what it is told."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
import shutil
from typing import Any

from homeassistant.components.notify import NotifyEntity
from homeassistant.components.notify.const import DATA_COMPONENT
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_component import EntityComponent
from homeassistant.setup import async_setup_component
import pytest

BLUEPRINTS = Path(__file__).parents[3] / "blueprints" / "automation" / "energy_meter"

type Use = Callable[..., Awaitable[None]]


class Messenger(NotifyEntity):
    """A double of any messenger: what is said ends here."""

    _attr_name = "Messenger"

    def __init__(self) -> None:
        """Begin with nothing said."""
        self.said: list[str] = []
        self.entity_id = "notify.messenger"

    async def async_send_message(self, message: str, title: str | None = None) -> None:
        """Keep the message."""
        self.said.append(message)


@pytest.fixture
async def messenger(hass: HomeAssistant) -> Messenger:
    """A notify entity of an integration made for the purpose."""
    entity = Messenger()
    assert await async_setup_component(hass, "notify", {})
    component: EntityComponent[NotifyEntity] = hass.data[DATA_COMPONENT]
    await component.async_add_entities([entity])
    return entity


@pytest.fixture
async def use_blueprint(hass: HomeAssistant) -> AsyncIterator[Use]:
    """Set an automation up from one of our blueprints, as a user would."""

    async def use(name: str, **inputs: Any) -> None:
        folder = Path(hass.config.path("blueprints", "automation", "energy_meter"))
        await hass.async_add_executor_job(
            lambda: shutil.copytree(BLUEPRINTS, folder, dirs_exist_ok=True)
        )
        config = {
            "automation": {
                "alias": "Under test",
                "use_blueprint": {"path": f"energy_meter/{name}.yaml", "input": inputs},
            }
        }
        assert await async_setup_component(hass, "automation", config)
        await hass.async_block_till_done()
        state = hass.states.get("automation.under_test")
        assert state is not None and state.state == "on", state

    yield use
    await hass.services.async_call(
        "automation", "turn_off", {"entity_id": "automation.under_test"}, blocking=True
    )
