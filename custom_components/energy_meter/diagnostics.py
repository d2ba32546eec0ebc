"""Diagnostics: what was read and what became of it, without what would tell whose it is.

The part about a meter is at the same time a recording of it: `tests/support/recorded.py` makes a meter of
it that answers with the same registers, so that a download attached to an issue is a test.
"""

from dataclasses import asdict
from typing import Any, Final

from homeassistant.components.diagnostics import REDACTED, async_redact_data
from homeassistant.config_entries import ConfigSubentry
from homeassistant.const import CONF_DEVICE, CONF_HOST
from homeassistant.core import HomeAssistant
from homeassistant.helpers.device_registry import DeviceEntry

from .const import CONF_AREA, CONF_IDENTITY, CONF_INSIDE, CONF_SERIAL_NUMBER, DOMAIN, SUBENTRY_METER
from .runtime import LineRuntime
from .runtime_base import EnergyMeterConfigEntry
from .sources.modbus.codec import RegisterImage
from .sources.modbus.profile import Profile, Span, Table

FORMAT: Final = 1
"""Of the part about a meter; raised when a recording has to be read differently."""

TO_REDACT: Final = {
    CONF_AREA,
    CONF_DEVICE,
    CONF_HOST,
    CONF_IDENTITY,
    CONF_INSIDE,
    CONF_SERIAL_NUMBER,
    "meter_id",
}
_PRIVATE: Final = ("serial_number",)
"""Information registers whose content stays here."""


async def async_get_config_entry_diagnostics(
    hass: HomeAssistant, entry: EnergyMeterConfigEntry
) -> dict[str, Any]:
    """Return everything about a line and its meters."""
    runtime = entry.runtime_data
    assert isinstance(runtime, LineRuntime)
    return {
        "line": _line(runtime),
        "meters": [
            _meter(runtime, subentry) for subentry in entry.get_subentries_of_type(SUBENTRY_METER)
        ],
    }


async def async_get_device_diagnostics(
    hass: HomeAssistant, entry: EnergyMeterConfigEntry, device: DeviceEntry
) -> dict[str, Any]:
    """Return everything about one meter and what it shares with others; the whole for the line's device."""
    runtime = entry.runtime_data
    assert isinstance(runtime, LineRuntime)
    for subentry in entry.get_subentries_of_type(SUBENTRY_METER):
        if (DOMAIN, subentry.data[CONF_IDENTITY]) in device.identifiers:
            return {"line": _line(runtime), "meters": [_meter(runtime, subentry)]}
    return await async_get_config_entry_diagnostics(hass, entry)


def _line(runtime: LineRuntime) -> dict[str, Any]:
    health = asdict(runtime.line.health)
    health.pop("meters")
    return {
        "link": async_redact_data(dict(runtime.entry.data), TO_REDACT),
        "health": health,
        "sole_user": runtime.is_sole_user(),
    }


def _meter(runtime: LineRuntime, subentry: ConfigSubentry) -> dict[str, Any]:
    about: dict[str, Any] = {
        "format": FORMAT,
        "config": async_redact_data(dict(subentry.data), TO_REDACT),
    }
    meter = runtime.meters.get(subentry.subentry_id)
    if meter is None:
        return about | {"state": "no profile"}
    known = runtime.line.health.meters.get(meter.identity)
    about |= {
        "answering": meter.answering,
        "last_reading": meter.last_reading and meter.last_reading.isoformat(),
        "wanted": sorted(meter.wanted),
        "values": dict(sorted(meter.values.items())),
        "fresh": [key for key in sorted(meter.values) if meter.is_fresh(key)],
        "settings": dict(meter.settings),
        "questions": [asdict(question) for question in meter.pipeline.questions()],
        "metering": meter.pipeline.to_dict(),
        "health": asdict(known) if known else None,
    }
    if known is not None:
        info = runtime.line.info(meter.identity)
        about |= {
            "info": async_redact_data(asdict(info), TO_REDACT) if info else None,
            "timing": dict(runtime.line.timings(meter.identity)),
            "memory": runtime.line.memory(meter.identity),
            "registers": _registers(
                runtime.profiles[subentry.subentry_id], runtime.line.image(meter.identity)
            ),
        }
    return about


def _registers(profile: Profile, image: RegisterImage) -> dict[str, dict[str, Any]]:
    """All words as last read, by table and address."""
    hidden = {
        (span.table, address)
        for span in _private_spans(profile)
        for address in range(span.address, span.end)
    }
    return {
        table.value: {
            str(address): REDACTED if (table, address) in hidden else word
            for address, word in sorted(image.table(table).items())
        }
        for table in Table
        if image.table(table)
    }


def _private_spans(profile: Profile) -> list[Span]:
    registers = (profile.info_register(key) for key in _PRIVATE)
    return [register.span for register in registers if register is not None]
