"""Tells why a line's link is down: once in the log, and as a repair if it stays down."""

from collections.abc import Callable
import logging
from typing import Final

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import issue_registry as ir

from .const import DOMAIN
from .flows.phrases import Phrases
from .issues import Issue, async_clear, async_raise, issue_id
from .link_errors import async_link_problem
from .sources.modbus.link import LinkSettings

_LOGGER = logging.getLogger(__name__)

PATIENCE: Final = 300.0
"""Seconds that a link may be down before its user is asked to look: gateways start anew now and then."""

type Trouble = tuple[Exception, float]
"""Why a link is down, and for how many seconds it has been."""


class LinkWatch:
    """Watches one link."""

    def __init__(
        self,
        hass: HomeAssistant,
        entry: ConfigEntry,
        link: LinkSettings,
        trouble: Callable[[], Trouble | None],
    ) -> None:
        """Take the link and how to ask for its trouble."""
        self._hass = hass
        self._entry = entry
        self._link = link
        self._trouble = trouble
        self._told = False

    @callback
    def look(self) -> None:
        """Look how the link is; to be called now and then."""
        if self._trouble() is not None:
            self._entry.async_create_background_task(
                self._hass, self._async_tell(), f"{DOMAIN} link"
            )
            return
        async_clear(self._hass, Issue.LINK_DOWN, self._entry.entry_id)
        if self._told:
            self._told = False
            _LOGGER.info("The link of %s works again", self._entry.title)

    async def _async_tell(self) -> None:
        trouble = self._trouble()
        if trouble is None:
            return
        err, seconds = trouble
        problem = await async_link_problem(self._hass, err, self._link)
        reason = (await Phrases.load(self._hass)).error(problem.key, problem.placeholders)
        if self._trouble() is None:
            return  # It came back meanwhile.
        if not self._told:
            self._told = True
            _LOGGER.warning("The link of %s is down: %s", self._entry.title, reason)
        entry_id = self._entry.entry_id
        moved = ir.async_get(self._hass).async_get_issue(
            DOMAIN, issue_id(Issue.ADAPTER_MOVED, entry_id)
        )
        # An adapter that was found elsewhere has a repair that says more.
        if seconds >= PATIENCE and moved is None:
            async_raise(
                self._hass,
                Issue.LINK_DOWN,
                entry_id,
                data={"entry_id": entry_id},
                line=self._entry.title,
                reason=reason,
            )
