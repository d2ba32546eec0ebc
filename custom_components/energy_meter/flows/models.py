"""The catalogue of models as flows show it: to pick from, to search with, to read one meter by."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

from homeassistant.core import HomeAssistant
from homeassistant.helpers.selector import SelectOptionDict

from ..const import DOMAIN
from ..runtime import DATA_LIBRARY
from ..sources.modbus.library import ProfileLibrary, ProfileName
from ..sources.modbus.profile import Profile

_ARROW = " → "
"""Between an alias and the model that it is another name of."""


class UnknownModelError(Exception):
    """No model is called that."""


class Models:
    """Every model, built in or added by the user."""

    def __init__(self, hass: HomeAssistant, library: ProfileLibrary) -> None:
        """Take the library; `load` makes one."""
        self._hass = hass
        self._library = library
        self._names: Sequence[ProfileName] = ()

    @classmethod
    async def load(cls, hass: HomeAssistant) -> Self:
        """Read the list of models."""
        library = hass.data.setdefault(
            DATA_LIBRARY, ProfileLibrary(Path(hass.config.path(DOMAIN, "profiles")))
        )
        models = cls(hass, library)
        models._names = await hass.async_add_executor_job(models._library.names)
        return models

    def options(self, first: Iterable[str] = ()) -> list[SelectOptionDict]:
        """All models for a picker, every alias one of its own; the slugs in `first` lead.

        Values are what people read, since a picker that can be searched shows the value and not the label.
        """
        leading = [slug for slug in first if self._find(slug) is not None]
        rest = [self.choice(name.slug) for name in self._names if name.slug not in leading]
        rest += [
            f"{alias}{_ARROW}{self.choice(name.slug)}"
            for name in self._names
            for alias in name.aliases
        ]
        choices = [*(self.choice(slug) for slug in leading), *sorted(rest, key=str.casefold)]
        return [SelectOptionDict(value=choice, label=choice) for choice in choices]

    def choice(self, slug: str) -> str:
        """What a picker calls a model: its name, and its slug where another one has that name too."""
        name = self.name(slug)
        alike = [other for other in self._names if other.name == name]
        return f"{name} ({slug})" if len(alike) > 1 else name

    def resolve(self, choice: str) -> str:
        """The slug that a picker's value stands for; free text may be any model's slug, name or alias.

        Raises:
            UnknownModelError: nothing, or more than one thing, is called that.
        """
        wanted = choice.rpartition(_ARROW)[2]
        for name in self._names:
            if wanted in (name.slug, self.choice(name.slug)):
                return name.slug
        called = {
            name.slug
            for name in self._names
            if _plain(wanted) in {_plain(text) for text in (name.name, name.model, *name.aliases)}
        }
        if len(called) != 1:
            raise UnknownModelError(choice)
        return called.pop()

    def name(self, slug: str) -> str:
        """Maker and model, for people; the slug itself if there is no such model any more."""
        name = self._find(slug)
        return slug if name is None else name.name

    async def profile(self, slug: str) -> Profile:
        """One model's profile.

        Raises:
            ProfileError: its file has a mistake.
            KeyError: there is none of that name.
        """
        return await self._hass.async_add_executor_job(self._library.load, slug)

    async def profiles(self) -> Sequence[Profile]:
        """All profiles, to search with."""
        return list((await self._hass.async_add_executor_job(self._library.load_all)).values())

    def _find(self, slug: str) -> ProfileName | None:
        return next((name for name in self._names if name.slug == slug), None)


def _plain(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum())
