"""Actions for those who know a register, a profile, or that a new meter hangs on the line; admins only."""

from collections.abc import Callable, Coroutine
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Final

from homeassistant.const import ATTR_CONFIG_ENTRY_ID
from homeassistant.core import (
    HomeAssistant,
    ServiceCall,
    ServiceResponse,
    SupportsResponse,
    callback,
)
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.service import async_get_config_entry, async_register_admin_service
from modbus_connection import ModbusError, ModbusUnit
import probatio

from .const import CONF_PROFILE, CONF_UNIT_ID, CONF_WORD_ORDER, DOMAIN, SUBENTRY_METER
from .link_errors import link_problem
from .model import Value
from .profiles import async_check_profiles
from .rescan_report import async_notify
from .runtime import DATA_LIBRARY, LineRuntime
from .runtime_base import EnergyMeterConfigEntry
from .sources.modbus.access import read_span, write_span
from .sources.modbus.codec import REGISTERS, RegisterImage, decode
from .sources.modbus.discovery import FoundMeter, plan_search, search
from .sources.modbus.library import UnknownProfileError
from .sources.modbus.profile import Order, Register, RegisterType, Span, Table

SERVICE_READ_REGISTERS: Final = "read_registers"
SERVICE_WRITE_REGISTERS: Final = "write_registers"
SERVICE_RESCAN: Final = "rescan"
SERVICE_EXPORT_PROFILE: Final = "export_profile"

ATTR_TABLE: Final = "table"
ATTR_ADDRESS: Final = "address"
ATTR_COUNT: Final = "count"
ATTR_TYPE: Final = "type"
ATTR_VALUES: Final = "values"
ATTR_SINGLE: Final = "single"
ATTR_FIRST: Final = "first_address"
ATTR_LAST: Final = "last_address"

PATIENCE: Final = 3.0
"""Seconds that a meter is given to answer, not counting the wait for the line."""

_UNIT_ID: Final = probatio.All(cv.positive_int, probatio.Range(min=0, max=255))
_METER_ID: Final = probatio.All(cv.positive_int, probatio.Range(min=1, max=247))
_ADDRESS: Final = probatio.All(cv.positive_int, probatio.Range(min=0, max=0xFFFF))
_DECODABLE: Final = [
    each.value for each in RegisterType if each not in {RegisterType.BIT, RegisterType.UINT8}
]

_ENTRY: Final = {probatio.Required(ATTR_CONFIG_ENTRY_ID): cv.string}
_PLACE: Final = {
    **_ENTRY,
    probatio.Required(CONF_UNIT_ID): _UNIT_ID,
    probatio.Required(ATTR_ADDRESS): _ADDRESS,
}
READ_SCHEMA: Final = probatio.Schema(
    {
        **_PLACE,
        probatio.Optional(ATTR_TABLE, default=Table.HOLDING.value): probatio.In(
            [table.value for table in Table]
        ),
        probatio.Optional(ATTR_COUNT, default=1): probatio.All(
            cv.positive_int, probatio.Range(min=1, max=125)
        ),
        probatio.Optional(ATTR_TYPE): probatio.In(_DECODABLE),
        probatio.Optional(CONF_WORD_ORDER, default="big"): probatio.In(["big", "little"]),
    }
)
WRITE_SCHEMA: Final = probatio.Schema(
    {
        **_PLACE,
        probatio.Optional(ATTR_TABLE, default=Table.HOLDING.value): probatio.In(
            [Table.HOLDING.value, Table.COIL.value]
        ),
        probatio.Required(ATTR_VALUES): probatio.All(
            cv.ensure_list, [_ADDRESS], probatio.Length(min=1, max=123)
        ),
        probatio.Optional(ATTR_SINGLE, default=False): cv.boolean,
    }
)
RESCAN_SCHEMA: Final = probatio.Schema(
    {
        **_ENTRY,
        probatio.Optional(ATTR_FIRST, default=1): _METER_ID,
        probatio.Optional(ATTR_LAST, default=247): _METER_ID,
    }
)
EXPORT_SCHEMA: Final = probatio.Schema({probatio.Required(CONF_PROFILE): cv.string})


@callback
def async_setup_services(hass: HomeAssistant) -> None:
    """Register the actions."""
    for name, handler, schema, response in (
        (SERVICE_READ_REGISTERS, _async_read, READ_SCHEMA, SupportsResponse.ONLY),
        (SERVICE_WRITE_REGISTERS, _async_write, WRITE_SCHEMA, SupportsResponse.OPTIONAL),
        (SERVICE_RESCAN, _async_rescan, RESCAN_SCHEMA, SupportsResponse.OPTIONAL),
        (SERVICE_EXPORT_PROFILE, _async_export, EXPORT_SCHEMA, SupportsResponse.OPTIONAL),
    ):
        async_register_admin_service(hass, DOMAIN, name, handler, schema, response)


def _line(call: ServiceCall) -> LineRuntime:
    """The line that an action is about; it has to be running."""
    entry: EnergyMeterConfigEntry = async_get_config_entry(
        call.hass, DOMAIN, call.data[ATTR_CONFIG_ENTRY_ID]
    )
    runtime = entry.runtime_data
    if not isinstance(runtime, LineRuntime):
        raise ServiceValidationError(
            translation_domain=DOMAIN,
            translation_key="not_a_line",
            translation_placeholders={"name": entry.title},
        )
    return runtime


async def _async_ask[T](
    call: ServiceCall,
    runtime: LineRuntime,
    operation: Callable[[ModbusUnit], Coroutine[Any, Any, T]],
) -> T:
    """Have one request carried out between polls, or say why it was not."""
    try:
        return await runtime.line.request(
            call.data[CONF_UNIT_ID], operation, timeout=PATIENCE, urgent=True
        )
    except (ModbusError, OSError) as err:
        problem = link_problem(call.hass, err, runtime.link)
        raise HomeAssistantError(
            translation_domain=DOMAIN,
            translation_key=problem.key,
            translation_placeholders=dict(problem.placeholders),
        ) from err


def _span(call: ServiceCall, count: int) -> Span:
    span = Span(Table(call.data[ATTR_TABLE]), call.data[ATTR_ADDRESS], count)
    if span.end > 0x10000:
        raise ServiceValidationError(
            translation_domain=DOMAIN, translation_key="registers_beyond_the_end"
        )
    return span


async def _async_read(call: ServiceCall) -> ServiceResponse:
    runtime = _line(call)
    span = _span(call, call.data[ATTR_COUNT])
    words = await _async_ask(call, runtime, partial(read_span, span))
    response: dict[str, Any] = {
        "registers": list(words),
        "hex": [f"0x{word:04X}" for word in words],
    }
    if (kind := call.data.get(ATTR_TYPE)) is not None:
        response["value"] = _decoded(span, words, RegisterType(kind), call.data[CONF_WORD_ORDER])
    return response


def _decoded(span: Span, words: list[int], kind: RegisterType, word_order: Order) -> Value | str:
    """Take the registers as one value of a type."""
    width = REGISTERS.get(kind, span.count)
    if width != span.count or span.table not in {Table.HOLDING, Table.INPUT}:
        raise ServiceValidationError(
            translation_domain=DOMAIN,
            translation_key="type_does_not_fit",
            translation_placeholders={"type": kind.value, "count": str(span.count)},
        )
    image = RegisterImage()
    image.set(span, words)
    return decode(Register(key="value", span=span, type=kind, word_order=word_order), image)


async def _async_write(call: ServiceCall) -> ServiceResponse:
    runtime = _line(call)
    values: list[int] = call.data[ATTR_VALUES]
    span = _span(call, len(values))
    single: bool = call.data[ATTR_SINGLE]
    if (single and len(values) > 1) or (span.table is Table.COIL and max(values) > 1):
        raise ServiceValidationError(translation_domain=DOMAIN, translation_key="values_do_not_fit")
    await _async_ask(
        call,
        runtime,
        partial(write_span, span.table, span.address, values, not single),
    )
    if not call.return_response:
        return None
    return {"registers": list(await _async_ask(call, runtime, partial(read_span, span)))}


async def _async_rescan(call: ServiceCall) -> ServiceResponse:
    """Search a running line again, and look at the custom profiles; what was found is notified too."""
    hass, runtime = call.hass, _line(call)
    addresses = range(call.data[ATTR_FIRST], call.data[ATTR_LAST] + 1)
    if not addresses:
        raise ServiceValidationError(
            translation_domain=DOMAIN, translation_key="addresses_turned_round"
        )
    await async_check_profiles(hass)
    profiles = (await hass.async_add_executor_job(hass.data[DATA_LIBRARY].load_all)).values()
    plan = plan_search(
        runtime.link,
        list(profiles),
        fixed=True,
        thorough=True,
        addresses=addresses,
    )
    try:
        result = await search(plan, lambda _link: nullcontext(runtime.line), list(profiles))
    except (ModbusError, OSError) as err:
        problem = link_problem(hass, err, runtime.link)
        raise HomeAssistantError(
            translation_domain=DOMAIN,
            translation_key=problem.key,
            translation_placeholders=dict(problem.placeholders),
        ) from err
    known = {
        meter.data[CONF_UNIT_ID]: meter.title
        for meter in runtime.entry.get_subentries_of_type(SUBENTRY_METER)
    }
    found = sorted(result.found, key=lambda each: each.unit_id)
    await async_notify(hass, runtime.entry, found, known, addresses)
    return {"meters": [_found(each, known.get(each.unit_id)) for each in found]}


def _found(meter: FoundMeter, name: str | None) -> dict[str, Any]:
    best = meter.best
    return {
        "unit_id": meter.unit_id,
        "new": name is None,
        "name": name,
        "clear": meter.clear,
        "profile": best.slug if best else None,
        "model": best.name if best else None,
        "serial_number": best.serial_number if best else None,
    }


async def _async_export(call: ServiceCall) -> ServiceResponse:
    """Copy a built-in profile into the folder of the user's own."""
    hass, slug = call.hass, call.data[CONF_PROFILE]
    folder = Path(hass.config.path(DOMAIN, "profiles"))
    try:
        path = await hass.async_add_executor_job(hass.data[DATA_LIBRARY].export, slug, folder)
    except UnknownProfileError as err:
        raise ServiceValidationError(
            translation_domain=DOMAIN,
            translation_key="unknown_profile",
            translation_placeholders={"profile": slug},
        ) from err
    except FileExistsError as err:
        raise ServiceValidationError(
            translation_domain=DOMAIN,
            translation_key="profile_file_exists",
            translation_placeholders={"file": f"{DOMAIN}/profiles/{slug}.yaml"},
        ) from err
    except OSError as err:
        raise HomeAssistantError(
            translation_domain=DOMAIN,
            translation_key="profile_not_written",
            translation_placeholders={"error": err.strerror or str(err)},
        ) from err
    return {"file": str(path)} if call.return_response else None
