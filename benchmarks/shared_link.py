"""Borrowing a link from Home Assistant the way every integration does."""

from collections.abc import Callable
from types import MappingProxyType

from homeassistant.components.modbus import async_get_unit
from homeassistant.config_entries import SOURCE_USER, ConfigEntry
from homeassistant.core import HomeAssistant
from modbus_connection import ModbusSerialParams, ModbusTcpParams, ModbusUnit

from custom_components.energy_meter.const import DOMAIN

from .setting import Setting


def config_entry() -> ConfigEntry:
    """Return a config entry for whoever borrows."""
    return ConfigEntry(
        data={},
        discovery_keys=MappingProxyType({}),
        domain=DOMAIN,
        minor_version=1,
        options=None,
        source=SOURCE_USER,
        subentries_data=None,
        title="Line",
        unique_id=None,
        version=1,
    )


def unit_getter(
    hass: HomeAssistant, entry: ConfigEntry, setting: Setting, address: str | int
) -> Callable[[int], ModbusUnit]:
    """Return what hands out units of the line under test."""
    params: ModbusTcpParams | ModbusSerialParams
    if setting.transport == "tcp":
        params = ModbusTcpParams(host="127.0.0.1", port=int(address))
    else:
        params = ModbusSerialParams(
            device=str(address),
            baudrate=setting.baudrate,
            stopbits=1 if setting.bits == 10 else 2,
        )
    return lambda unit_id: async_get_unit(hass, entry, params, unit_id)
