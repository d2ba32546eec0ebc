"""Words inside lists that a flow puts together itself, in the language of the installation."""

from collections.abc import Mapping
from typing import Self

from homeassistant.core import HomeAssistant
from homeassistant.helpers.translation import async_get_translations

from ..const import DOMAIN


class Phrases:
    """Translated texts by their place in the translations, filled in."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        """Keep the texts of all categories in use."""
        self._texts = texts

    @classmethod
    async def load(cls, hass: HomeAssistant) -> Self:
        """Load what the flows need; kept in memory by Home Assistant from then on."""
        texts: dict[str, str] = {}
        for category in ("selector", "config"):
            texts |= await async_get_translations(
                hass, hass.config.language, category, {DOMAIN}, config_flow=True
            )
        return cls(texts)

    def __call__(self, phrase: str, **values: object) -> str:
        """The phrase of this name, filled in."""
        return self._text(f"selector.phrase.options.{phrase}", values)

    def role(self, role: str) -> str:
        """A role as a form would show it."""
        return self._text(f"selector.role.options.{role}", {})

    def error(self, key: str, values: Mapping[str, object]) -> str:
        """An error as a form would show it."""
        return self._text(f"config.error.{key}", values)

    def _text(self, path: str, values: Mapping[str, object]) -> str:
        return self._texts[f"component.{DOMAIN}.{path}"].format_map(values)
