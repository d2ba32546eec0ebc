"""The action that captures a waveform of a circuit and answers with what can be read off it."""

from typing import Any, Final

from homeassistant.const import ATTR_DEVICE_ID
from homeassistant.core import HomeAssistant, ServiceCall, ServiceResponse, SupportsResponse
from homeassistant.exceptions import ServiceValidationError
from homeassistant.helpers import config_validation as cv, device_registry as dr
import probatio

from .bridge_runtime import BridgeRuntime
from .const import DOMAIN
from .coordinator import MeterCoordinator
from .metering.waveform import Signal
from .runtime_base import async_find_meter

SERVICE_CAPTURE_WAVEFORM: Final = "capture_waveform"
ATTR_CYCLES: Final = "cycles"
CAPTURE_SCHEMA: Final = probatio.Schema(
    {
        probatio.Required(ATTR_DEVICE_ID): cv.string,
        probatio.Optional(ATTR_CYCLES, default=2): probatio.All(
            cv.positive_int, probatio.Range(min=1, max=2)
        ),
    }
)


def async_setup_waveform_action(hass: HomeAssistant) -> None:
    """Register the action."""
    hass.services.async_register(
        DOMAIN,
        SERVICE_CAPTURE_WAVEFORM,
        _async_capture,
        CAPTURE_SCHEMA,
        supports_response=SupportsResponse.ONLY,
    )


def _meter(call: ServiceCall) -> tuple[BridgeRuntime, MeterCoordinator]:
    device = dr.async_get(call.hass).async_get(call.data[ATTR_DEVICE_ID])
    for domain, identity in device.identifiers if device else ():
        found = async_find_meter(call.hass, identity) if domain == DOMAIN else None
        if found is None or not isinstance(found[0], BridgeRuntime):
            continue
        if found[1].shape.waveform:
            return found[0], found[1]
    raise ServiceValidationError(translation_domain=DOMAIN, translation_key="not_a_monitor")


async def _async_capture(call: ServiceCall) -> ServiceResponse:
    runtime, meter = _meter(call)
    wave = await runtime.async_capture(meter, call.data[ATTR_CYCLES])
    return {
        "name": meter.name,
        "cycles": wave.cycles,
        "frequency": round(wave.frequency, 2),
        "rate": wave.rate,
        "voltage": _signal(wave.voltage, 2),
        "current": _signal(wave.current, 4),
    }


def _signal(signal: Signal, digits: int) -> dict[str, Any]:
    """One side of a capture, fit for JSON: V or A, percent."""
    return {
        "rms": round(signal.rms, digits),
        "peak": round(signal.peak, digits),
        "crest_factor": None if signal.crest_factor is None else round(signal.crest_factor, 3),
        "distortion": None if signal.distortion is None else round(signal.distortion, 1),
        "harmonics": [round(each, digits) for each in signal.harmonics],
        "samples": [round(each, digits) for each in signal.samples],
    }
