"""A plain integration on the shared link: a `DataUpdateCoordinator` per meter that reads the best blocks."""

from datetime import timedelta
from functools import partial
import logging
import struct
import time
from typing import override

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.update_coordinator import DataUpdateCoordinator, UpdateFailed
from modbus_connection import ModbusError, ModbusUnit

from .near_end import Client, ClientFactory, Published
from .setting import Setting
from .shared_link import config_entry, unit_getter

_LOGGER = logging.getLogger(__name__)


class _Coordinator(DataUpdateCoordinator[dict[str, float]]):
    def __init__(
        self,
        hass: HomeAssistant,
        entry: ConfigEntry,
        unit: ModbusUnit,
        setting: Setting,
        interval: float,
    ) -> None:
        super().__init__(
            hass,
            _LOGGER,
            config_entry=entry,
            name="meter",
            update_interval=timedelta(seconds=interval),
            always_update=True,
        )
        self._unit = unit
        self._blocks = setting.least_sweep().blocks
        self._values = setting.model.values

    @override
    async def _async_update_data(self) -> dict[str, float]:
        words: dict[int, int] = {}
        try:
            for address, count in self._blocks:
                registers = await self._unit.read_input_registers(address, count)
                words.update(enumerate(registers, address))
        except (ModbusError, OSError) as error:
            raise UpdateFailed(str(error)) from error
        return {
            key: struct.unpack(">f", struct.pack(">HH", words[address], words[address + 1]))[0]
            for key, address in self._values.items()
        }


class CoordinatorClient(Client):
    """All meters, each with a coordinator of its own."""

    def __init__(
        self, setting: Setting, address: str | int, *, interval: float, timeout: float | None
    ) -> None:
        """Plan the meters; `timeout` None keeps the link's own 10 s."""
        self._setting = setting
        self._address = address
        self._interval = interval
        self._timeout = timeout
        self._coordinators: list[_Coordinator] = []

    async def start(self, hass: HomeAssistant, published: Published) -> None:
        """Set up and begin to publish."""
        entry = config_entry()
        get_unit = unit_getter(hass, entry, self._setting, self._address)
        for unit_id in self._setting.units:
            unit = get_unit(unit_id)
            if self._timeout is not None:
                unit.require_timeout(self._timeout)
            coordinator = _Coordinator(hass, entry, unit, self._setting, self._interval)
            coordinator.async_add_listener(
                callback(partial(self._publish, coordinator, unit_id, published))
            )
            self._coordinators.append(coordinator)
            hass.async_create_background_task(coordinator.async_refresh(), "first refresh")

    @staticmethod
    def _publish(coordinator: _Coordinator, unit_id: int, published: Published) -> None:
        now = time.monotonic()
        if not coordinator.last_update_success:
            published.taken_back.append((now, unit_id, None))
            return
        published.values += [(now, unit_id, key, value) for key, value in coordinator.data.items()]

    async def stop(self) -> None:
        """Stop polling."""
        for coordinator in self._coordinators:
            await coordinator.async_shutdown()


def coordinator_client(*, interval: float = 1, timeout: float | None = None) -> ClientFactory:
    """Return a factory of clients that ask every `interval` seconds."""
    return partial(CoordinatorClient, interval=interval, timeout=timeout)
