"""What is kept about meters over a restart: the state of their counters, and what their line or bridge has told.

One file for all meters, by identity, so that a meter that moves to another line takes its own along.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Self

from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.storage import Store
from homeassistant.util import dt as dt_util
from homeassistant.util.hass_dict import HassKey

from .const import DOMAIN

STORAGE_VERSION: Final = 1
SAVE_DELAY: Final = 60.0
"""Seconds between two writes: what a power cut may cost a meter without a counter of its own."""


@dataclass(slots=True, kw_only=True)
class MeterRecord:
    """One meter's part."""

    metering: dict[str, Any] = field(default_factory=dict)
    """State of the metering pipeline."""
    line: dict[str, Any] = field(default_factory=dict)
    """What `ModbusLine.memory` gave."""
    missed: dict[str, Any] = field(default_factory=dict)
    """Hours that are not put right yet, for a meter whose readings may arrive late."""
    limits: dict[str, Any] = field(default_factory=dict)
    """{kind of limit: what `LimitWatch.to_dict` gave}."""
    relays: dict[str, Any] = field(default_factory=dict)
    """{control: what `RelayRecord.to_dict` gave}."""
    last_reading: datetime | None = None
    declined: list[str] = field(default_factory=list)
    """Kinds of repair that the user has answered with "leave it so"."""

    def to_json(self) -> dict[str, Any]:
        """The record as it is stored."""
        return {
            "metering": self.metering,
            "line": self.line,
            "missed": self.missed,
            "limits": self.limits,
            "relays": self.relays,
            "last_reading": self.last_reading and self.last_reading.isoformat(),
            "declined": self.declined,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """A stored record; what is missing is as in a new one."""
        at = data.get("last_reading")
        return cls(
            metering=data.get("metering") or {},
            line=data.get("line") or {},
            missed=data.get("missed") or {},
            limits=data.get("limits") or {},
            relays=data.get("relays") or {},
            last_reading=dt_util.parse_datetime(at) if isinstance(at, str) else None,
            declined=list(data.get("declined") or ()),
        )


@dataclass(slots=True, kw_only=True)
class BridgeRecord:
    """What is kept of one bridge."""

    memory: dict[str, Any] = field(default_factory=dict)
    """What `BridgeSession.memory` gave: its last hello, and which messages have been taken."""
    shapes: dict[str, dict[str, Any]] = field(default_factory=dict)
    """{bridge's id of a meter: its shape, see `bridge_shape.shape_to_json`}, of those that are set up."""
    relays: dict[str, Any] = field(default_factory=dict)
    """{control of the bridge itself: what `RelayRecord.to_dict` gave}."""

    def to_json(self) -> dict[str, Any]:
        """The record as it is stored."""
        return {"memory": self.memory, "shapes": self.shapes, "relays": self.relays}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """A stored record; what is missing is as in a new one."""
        return cls(
            **{
                name: value if isinstance(value := data.get(name), dict) else {}
                for name in ("memory", "shapes", "relays")
            }
        )


class MeterStore:
    """All records, and the file that they are in."""

    def __init__(self, hass: HomeAssistant) -> None:
        """Choose the file; `async_load` reads it."""
        self._store: Store[dict[str, Any]] = Store(hass, STORAGE_VERSION, DOMAIN)
        self._records: dict[str, MeterRecord] = {}
        self._bridges: dict[str, BridgeRecord] = {}
        self._refresh: dict[str, Callable[[], None]] = {}
        self._pending = False

    async def async_load(self) -> None:
        """Read the file, if there is one."""
        data = await self._store.async_load() or {}
        self._records = {
            identity: MeterRecord.from_json(record)
            for identity, record in data.get("meters", {}).items()
        }
        self._bridges = {
            entry_id: BridgeRecord.from_json(record)
            for entry_id, record in data.get("bridges", {}).items()
        }

    def record(self, identity: str) -> MeterRecord:
        """The meter's record; a new one if there is none."""
        return self._records.setdefault(identity, MeterRecord())

    def bridge(self, entry_id: str) -> BridgeRecord:
        """The record of the bridge of a config entry; a new one if there is none."""
        return self._bridges.setdefault(entry_id, BridgeRecord())

    @callback
    def async_forget_bridge(self, entry_id: str) -> None:
        """Drop a bridge that is not set up any more."""
        if self._bridges.pop(entry_id, None) is not None:
            self.async_save_soon(0)

    @callback
    def async_attach(self, identity: str, refresh: Callable[[], None]) -> None:
        """Have `refresh` called before each write, to bring the meter's record up to date."""
        self._refresh[identity] = refresh

    @callback
    def async_detach(self, identity: str) -> None:
        """Take the meter's last state; it is not running any more."""
        refresh = self._refresh.pop(identity, None)
        if refresh is not None:
            refresh()
            self.async_save_soon()

    @callback
    def async_forget(self, identity: str) -> None:
        """Drop a meter that is not set up any more."""
        self._refresh.pop(identity, None)
        if self._records.pop(identity, None) is not None:
            self.async_save_soon(0)

    @property
    def identities(self) -> frozenset[str]:
        """The meters that anything is kept of."""
        return frozenset(self._records)

    @callback
    def async_save_soon(self, delay: float = SAVE_DELAY) -> None:
        """Write within `delay` seconds, and in any case before Home Assistant ends."""
        if delay and self._pending:
            return  # Asking again would put the write off.
        self._pending = True
        self._store.async_delay_save(self._data, delay)

    async def async_save(self) -> None:
        """Write now; what was known when this was called is on disk when it returns."""
        await self._store.async_save(self._data())

    @callback
    def _data(self) -> dict[str, Any]:
        self._pending = False
        for refresh in self._refresh.values():
            refresh()
        return {
            "meters": {identity: record.to_json() for identity, record in self._records.items()},
            "bridges": {entry_id: record.to_json() for entry_id, record in self._bridges.items()},
        }


DATA_STORE: HassKey[MeterStore] = HassKey(f"{DOMAIN}_store")
