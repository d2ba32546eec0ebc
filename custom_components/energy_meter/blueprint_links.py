"""Where our blueprints are to be had: a click opens Home Assistant's own import, with the address filled in."""

from typing import Final
from urllib.parse import quote

BLUEPRINTS: Final = (
    "limit_alert",
    "meter_silent",
    "consumption_report",
    "high_consumption",
    "simple_load_shedding",
)
"""Names of the files."""
_SOURCE: Final = (
    "https://github.com/energy-meter/energy-meter/blob/main/blueprints/automation/energy_meter"
)
_IMPORT: Final = "https://my.home-assistant.io/redirect/blueprint_import/?blueprint_url="


def import_link(blueprint: str) -> str:
    """A link that imports a blueprint into the Home Assistant of whoever follows it."""
    return _IMPORT + quote(f"{_SOURCE}/{blueprint}.yaml", safe="")


def import_links() -> dict[str, str]:
    """All of them by the blueprints' names, to be filled into a description."""
    return {blueprint: import_link(blueprint) for blueprint in BLUEPRINTS}
