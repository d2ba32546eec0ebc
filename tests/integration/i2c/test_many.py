"""A hundred circuits at once."""

from homeassistant.core import HomeAssistant

from .support import running


async def test_a_hundred_monitors_become_meters_by_themselves(hass: HomeAssistant) -> None:
    async with running(hass, 100, patience=60) as panel:
        assert len(panel.entry.subentries) == 100
        assert panel.runtime.health.connected
