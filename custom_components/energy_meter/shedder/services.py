"""Actions of load shedding: off now, back now."""

from datetime import timedelta
from typing import Final

from homeassistant.const import ATTR_CONFIG_ENTRY_ID
from homeassistant.core import HomeAssistant, ServiceCall, callback
from homeassistant.exceptions import ServiceValidationError
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.service import async_get_config_entry
from homeassistant.util import dt as dt_util
import probatio

from ..const import DOMAIN
from ..load_shedding import RefusedError
from .runtime import ShedderRuntime

SERVICE_SHED_NOW: Final = "shed_now"
SERVICE_RESTORE_NOW: Final = "restore_now"
ATTR_LOAD: Final = "load"
ATTR_DURATION: Final = "duration"

_COMMON: Final = {
    probatio.Required(ATTR_CONFIG_ENTRY_ID): cv.string,
    probatio.Optional(ATTR_LOAD): cv.entity_id,
}
SHED_SCHEMA: Final = probatio.Schema(
    {
        **_COMMON,
        probatio.Optional(ATTR_DURATION, default=timedelta(minutes=30)): cv.positive_time_period,
    }
)
RESTORE_SCHEMA: Final = probatio.Schema(_COMMON)


@callback
def async_setup_shedder_services(hass: HomeAssistant) -> None:
    """Register the actions."""
    hass.services.async_register(DOMAIN, SERVICE_SHED_NOW, _async_shed, SHED_SCHEMA)
    hass.services.async_register(DOMAIN, SERVICE_RESTORE_NOW, _async_restore, RESTORE_SCHEMA)


def _about(call: ServiceCall) -> tuple[ShedderRuntime, str | None]:
    """The entry that an action is about, and the id of the load if one is named."""
    entry = async_get_config_entry(call.hass, DOMAIN, call.data[ATTR_CONFIG_ENTRY_ID])
    runtime = entry.runtime_data
    if not isinstance(runtime, ShedderRuntime):
        raise ServiceValidationError(
            translation_domain=DOMAIN,
            translation_key="not_load_shedding",
            translation_placeholders={"name": entry.title},
        )
    if not runtime.controller.memory.enabled:
        raise ServiceValidationError(
            translation_domain=DOMAIN,
            translation_key="shedding_off",
            translation_placeholders={"name": entry.title},
        )
    entity_id: str | None = call.data.get(ATTR_LOAD)
    if entity_id is None:
        return runtime, None
    for load_id, device in runtime.devices.items():
        if device.entity_id == entity_id:
            return runtime, load_id
    raise ServiceValidationError(
        translation_domain=DOMAIN,
        translation_key="no_such_load",
        translation_placeholders={"entity": entity_id, "name": entry.title},
    )


def _refused(runtime: ShedderRuntime, err: RefusedError) -> ServiceValidationError:
    until = "" if err.until is None else dt_util.as_local(dt_util.utc_from_timestamp(err.until))
    name = runtime.load_name(err.load)
    return ServiceValidationError(
        translation_domain=DOMAIN,
        translation_key=f"refused_{err.blocker}" if name else "refused_all",
        translation_placeholders={
            "name": name or "",
            "until": until if isinstance(until, str) else until.strftime("%H:%M:%S"),
        },
    )


async def _async_shed(call: ServiceCall) -> None:
    runtime, load_id = _about(call)
    duration: timedelta = call.data[ATTR_DURATION]
    try:
        runtime.async_shed_now(load_id, duration.total_seconds())
    except RefusedError as err:
        raise _refused(runtime, err) from err


async def _async_restore(call: ServiceCall) -> None:
    runtime, load_id = _about(call)
    try:
        runtime.async_restore_now(load_id)
    except RefusedError as err:
        raise _refused(runtime, err) from err
