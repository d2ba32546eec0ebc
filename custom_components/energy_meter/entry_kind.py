"""Which kind of entry one is."""

from typing import Any

from homeassistant.config_entries import ConfigEntry

from .const import CONF_KIND, KIND_MODBUS


def kind_of(entry: ConfigEntry[Any]) -> str:
    """The kind of an entry; those without a word about it are Modbus lines, the first there were."""
    kind: str = entry.data.get(CONF_KIND, KIND_MODBUS)
    return kind
