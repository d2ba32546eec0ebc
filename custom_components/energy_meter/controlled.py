"""What has controls: a meter, or a bridge itself. Keeps what they are set to, and tells who shows it."""

from collections.abc import Callable
from itertools import chain
from typing import Any

from homeassistant.core import CALLBACK_TYPE, callback
from homeassistant.helpers.entity import Entity

from .model import Value


class Controlled:
    """Something whose controls are offered; `identity` is what its device and entities are known by."""

    def __init__(self, identity: str) -> None:
        """Begin with nothing known."""
        self.identity = identity
        self.entities: set[Entity] = set()
        self.settings: dict[str, Value] = {}
        """What controls are set to, as read back last."""
        self.relays: dict[str, Any] = {}
        """{control: what is kept of a relay over a restart}."""
        self._setting_subscribers: dict[str, set[Callable[[], None]]] = {}
        self._on_presence: set[Callable[[], None]] = set()

    @property
    def reachable(self) -> bool:
        """Whether a control can be carried out."""
        raise NotImplementedError

    @property
    def wanted_settings(self) -> tuple[str, ...]:
        """Controls whose state somebody has subscribed to."""
        return tuple(self._setting_subscribers)

    @callback
    def async_subscribe_setting(self, key: str, update: Callable[[], None]) -> CALLBACK_TYPE:
        """Call `update` when this control is set otherwise, or can be reached or not any more."""
        self._setting_subscribers.setdefault(key, set()).add(update)

        @callback
        def unsubscribe() -> None:
            subscribers = self._setting_subscribers[key]
            subscribers.discard(update)
            if not subscribers:
                del self._setting_subscribers[key]
                self.settings.pop(key, None)

        return unsubscribe

    @callback
    def async_subscribe_presence(self, update: Callable[[], None]) -> CALLBACK_TYPE:
        """Call `update` when it begins or ends to answer or to be reachable."""
        self._on_presence.add(update)
        return lambda: self._on_presence.discard(update)

    @callback
    def async_setting(self, key: str, value: Value) -> None:
        """Take what a control is set to."""
        self.settings[key] = value
        for update in tuple(self._setting_subscribers.get(key, ())):
            update()

    def _tell_presence(self) -> None:
        for update in (*self._on_presence, *chain(*self._setting_subscribers.values())):
            update()
