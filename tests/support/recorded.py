"""A diagnostics download as meters on a line: a recording that a test plays back."""

from collections.abc import Mapping
from typing import Any

from custom_components.energy_meter.sources.modbus.profile import Table
from tests.support.meters import Meter

UNKNOWN = "**REDACTED**"
"""What diagnostics say in place of what is private."""


def recorded_meters(download: Mapping[str, Any]) -> list[Meter]:
    """Return meters that answer with what those of a download answered with.

    Args:
        download: the `data` of a diagnostics file, or what the integration gave for it.

    Raises:
        ValueError: the recording is of a format that is not known here.
    """
    return [_meter(recorded) for recorded in download["meters"] if "registers" in recorded]


def _meter(recorded: Mapping[str, Any]) -> Meter:
    if recorded["format"] != 1:
        raise ValueError(f"format {recorded['format']}")
    meter = Meter(unit_id=recorded["config"]["unit_id"])
    for table, words in recorded["registers"].items():
        meter.table(Table(table)).update(
            {int(address): 0 if word == UNKNOWN else word for address, word in words.items()}
        )
    return meter


def recorded_configs(download: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the subentries' data of a download, with identities of their own and no serial numbers."""
    configs = []
    for number, recorded in enumerate(download["meters"], 1):
        data = {key: value for key, value in recorded["config"].items() if value != UNKNOWN}
        configs.append({**data, "identity": f"recorded_{number}"})
    return configs
