"""Diagnostics: what was read and what became of it, without what would tell whose it is.

The part about a meter is at the same time a recording of it: `tests/support/recorded.py` makes a meter of
it that answers with the same registers, so that a download attached to an issue is a test.
"""

from dataclasses import asdict
from typing import Any, Final

from homeassistant.components.diagnostics import REDACTED, async_redact_data
from homeassistant.config_entries import ConfigSubentry
from homeassistant.const import CONF_DEVICE, CONF_HOST, CONF_WEBHOOK_ID
from homeassistant.core import HomeAssistant
from homeassistant.helpers.device_registry import DeviceEntry

from .bridge_runtime import BridgeRuntime
from .const import (
    CONF_AREA,
    CONF_BRIDGE,
    CONF_IDENTITY,
    CONF_INSIDE,
    CONF_KEY,
    CONF_PREFIX,
    CONF_SERIAL_NUMBER,
    DOMAIN,
    SUBENTRY_BRIDGE_METER,
    SUBENTRY_METER,
)
from .coordinator import MeterCoordinator
from .i2c_runtime import I2CRuntime
from .notifier.entry import MessengerRuntime, messenger_diagnostics
from .runtime import LineRuntime
from .runtime_base import EnergyMeterConfigEntry, meter_subentries
from .shedder.diagnostics import shedder_diagnostics
from .shedder.runtime import ShedderRuntime
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
    CONF_BRIDGE,
    CONF_KEY,
    CONF_PREFIX,
    CONF_WEBHOOK_ID,
    "meter_id",
}
_PRIVATE: Final = ("serial_number",)
"""Information registers whose content stays here."""


async def async_get_config_entry_diagnostics(
    hass: HomeAssistant, entry: EnergyMeterConfigEntry
) -> dict[str, Any]:
    """Return everything about a line or a bridge and its meters."""
    runtime = entry.runtime_data
    if isinstance(runtime, ShedderRuntime):
        return shedder_diagnostics(runtime)
    if isinstance(runtime, MessengerRuntime):
        return messenger_diagnostics(runtime)
    if isinstance(runtime, BridgeRuntime):
        meters = entry.get_subentries_of_type(SUBENTRY_BRIDGE_METER)
        return {
            "bridge": _bridge(runtime),
            "meters": [_bridge_meter(runtime, each) for each in meters],
        }
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
    for subentry in meter_subentries(entry):
        if (DOMAIN, subentry.data[CONF_IDENTITY]) not in device.identifiers:
            continue
        if isinstance(runtime, LineRuntime):
            return {"line": _line(runtime), "meters": [_meter(runtime, subentry)]}
        if isinstance(runtime, BridgeRuntime):
            return {"bridge": _bridge(runtime), "meters": [_bridge_meter(runtime, subentry)]}
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
    about |= _values(meter) | {"health": asdict(known) if known else None}
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


def _values(meter: MeterCoordinator) -> dict[str, Any]:
    return {
        "answering": meter.answering,
        "last_reading": meter.last_reading and meter.last_reading.isoformat(),
        "wanted": sorted(meter.wanted),
        "values": dict(sorted(meter.values.items())),
        "fresh": [key for key in sorted(meter.values) if meter.is_fresh(key)],
        "settings": dict(meter.settings),
        "questions": [asdict(question) for question in meter.pipeline.questions()],
        "metering": meter.pipeline.to_dict(),
    }


def _bridge(runtime: BridgeRuntime) -> dict[str, Any]:
    hello = runtime.hello
    about = None
    if hello is not None:
        about = {
            name: getattr(hello, name)
            for name in ("boot", "firmware", "hardware", "kind", "interval", "synthesised")
        } | {"capabilities": sorted(hello.capabilities)}
    return {
        "entry": async_redact_data(dict(runtime.entry.data), TO_REDACT),
        "connected": runtime.connected,
        "hello": about,
        "health": asdict(runtime.bridge_health),
        "counters": asdict(runtime.session.counters),
        "settings": runtime.settings.get(None, {}),
        "removed": sorted(runtime.removed),
        "bus": _bus(runtime) if isinstance(runtime, I2CRuntime) else None,
    }


def _bus(runtime: I2CRuntime) -> dict[str, Any]:
    """How a bus and each monitor fares, by its place, and what else is on it."""
    health = asdict(runtime.hub.health)
    places = {
        meter.id: " ".join(part for part in (meter.segment, meter.address) if part)
        for meter in (runtime.hello.meters if runtime.hello else ())
    }
    health["meters"] = {
        places[meter_id]: fares
        for meter_id, fares in health["meters"].items()
        if meter_id in places
    }
    return {
        "health": health,
        "monitors": {place: asdict(each) for place, each in runtime.hub.diagnoses.items()},
        "others": {place: probe.found for place, probe in runtime.hub.places.items()},
    }


def _bridge_meter(runtime: BridgeRuntime, subentry: ConfigSubentry) -> dict[str, Any]:
    about: dict[str, Any] = {"config": async_redact_data(dict(subentry.data), TO_REDACT)}
    meter = runtime.meters.get(subentry.subentry_id)
    if meter is None:
        return about | {"state": "not heard of yet"}
    return about | _values(meter) | {"shape": asdict(meter.shape)}


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
