"""The user's own profiles: their mistakes as repairs, and their return noticed."""

from homeassistant.core import HomeAssistant
from homeassistant.util.hass_dict import HassKey

from .const import DOMAIN
from .issues import Issue, async_clear, async_raise
from .runtime import DATA_LIBRARY, LineRuntime
from .runtime_base import EnergyMeterConfigEntry
from .sources.modbus.profile_loader import Problem

DATA_BROKEN: HassKey[set[str]] = HassKey(f"{DOMAIN}_broken_profiles")
"""Files that an issue is raised about."""


async def async_check_profiles(hass: HomeAssistant) -> None:
    """Look at the profiles: raise what is wrong with one, take back what is not, try meters that had none."""
    library = hass.data[DATA_LIBRARY]
    problems: dict[str, list[Problem]] = {}
    for problem in await hass.async_add_executor_job(library.problems):
        problems.setdefault(problem.file, []).append(problem)
    known = hass.data.setdefault(DATA_BROKEN, set())
    for file in known - problems.keys():
        async_clear(hass, Issue.BROKEN_PROFILE, file)
    known.clear()
    known.update(problems)
    for file, found in problems.items():
        first = found[0]
        async_raise(
            hass,
            Issue.BROKEN_PROFILE,
            file,
            file=file,
            line=str(first.line),
            key=first.key,
            expected=first.expected,
            all="\n".join(f"- {problem}" for problem in found),
        )
    entry: EnergyMeterConfigEntry
    for entry in hass.config_entries.async_loaded_entries(DOMAIN):
        if isinstance(runtime := entry.runtime_data, LineRuntime):
            await runtime.async_retry_missing()
