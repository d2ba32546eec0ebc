"""A house to try load shedding in."""

from freezegun.api import FrozenDateTimeFactory
from homeassistant.core import HomeAssistant
import pytest

from .home import Home


@pytest.fixture
async def home(hass: HomeAssistant, freezer: FrozenDateTimeFactory) -> Home:
    """Helpers that are all on, and a grid sensor that says 1 kW."""
    house = Home(hass, freezer)
    await house.helpers()
    await house.measure(1_000)
    return house
