"""The repairs that the integration raises, and how each is raised and taken back.

An issue is known by its kind and its subject (a meter's identity, an entry's id, a profile's file), so
raising it twice is raising it once, and whoever sees the cause gone takes it back by the same two.
"""

from enum import StrEnum
from typing import Final

from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import issue_registry as ir

from .const import DOMAIN


class Issue(StrEnum):
    """What can be wrong; the values are the translation keys."""

    METER_CHANGED = "meter_changed"
    """A counter went on from another value: replaced, reset, or nonsense?"""
    METER_CHANGE_UNDO = "meter_change_undo"
    """The answer to that can be taken back for a while."""
    SILENT = "silent"
    """No answer for a day."""
    WRONG_METER = "wrong_meter"
    """Another serial number answers."""
    REVERSED = "reversed"
    """Power flows the way that it should not: a current transformer is the wrong way round."""
    SWAPPED_PHASES = "swapped_phases"
    """Power factors that make no sense: voltage and current are of different phases."""
    DUPLICATE_ADDRESS = "duplicate_address"
    """Two meters are set up at, or answer at, one address."""
    PROFILE_MISSING = "profile_missing"
    """A meter's profile is not there, or is broken."""
    BROKEN_PROFILE = "broken_profile"
    """A custom profile with mistakes."""
    ADAPTER_MOVED = "adapter_moved"
    """The serial adapter is now at another path."""
    LINK_CLASH = "link_clash"
    """Another user has the line open with other settings."""
    LINK_DOWN = "link_down"
    """The line cannot be reached at all."""
    NOISE = "noise"
    """Many answers on the line arrive damaged."""
    FOREIGN_TRAFFIC = "foreign_traffic"
    """Somebody else asks on the line too."""
    I2C_ADDRESS_SHARED = "i2c_address_shared"
    """Two monitors at one address of an I²C bus."""
    I2C_HIDDEN = "i2c_hidden"
    """Something behind a multiplexer at an address that a monitor on the trunk has."""
    I2C_ID_TWICE = "i2c_id_twice"
    """Two monitors with one id."""
    I2C_MONITOR_VERSION = "i2c_monitor_version"
    """A monitor with another register map."""
    I2C_BUS_HELD = "i2c_bus_held"
    """An I²C bus that does not move."""
    I2C_BUS_GONE = "i2c_bus_gone"
    """An I²C bus that cannot be opened."""
    BRIDGE_SILENT = "bridge_silent"
    """A bridge has been away for a day."""
    BRIDGE_METER_SILENT = "bridge_meter_silent"
    """A meter has said nothing for a day though its bridge is there."""
    BRIDGE_CLOCK = "bridge_clock"
    """A bridge's clock is wrong: its readings cannot be put where they belong."""
    BRIDGE_TOO_OLD = "bridge_too_old"
    """A bridge speaks an older protocol than this integration."""
    BRIDGE_TOO_NEW = "bridge_too_new"
    """A bridge speaks a newer one."""
    BRIDGE_ROLLED_BACK = "bridge_rolled_back"
    """New firmware did not work on a bridge, which went back to the old."""
    WRONG_BRIDGE = "wrong_bridge"
    """Another bridge answers in the place of one."""
    SENSOR_CLIPPING = "sensor_clipping"
    """A sensor is driven to the end of its range."""
    SENSOR_STUCK = "sensor_stuck"
    """A sensor's reading does not move."""
    LIMIT_SILENT = "limit_silent"
    """Load shedding has no readings for a limit."""
    LOAD_NO_REACTION = "load_no_reaction"
    """A load does not do what load shedding tells it."""
    MESSENGER_FAILS = "messenger_fails"
    """Messages to a person do not get through."""


_ERRORS: Final = frozenset(
    {
        Issue.WRONG_METER,
        Issue.PROFILE_MISSING,
        Issue.ADAPTER_MOVED,
        Issue.LINK_CLASH,
        Issue.LINK_DOWN,
        Issue.WRONG_BRIDGE,
        Issue.BRIDGE_TOO_OLD,
        Issue.BRIDGE_TOO_NEW,
    }
) | {Issue.I2C_BUS_HELD, Issue.I2C_BUS_GONE}
"""Those without whose repair something is not measured at all."""

type IssueData = dict[str, str | int | float | None]


def issue_id(issue: Issue, subject: str) -> str:
    """What the issue registry knows it by."""
    return f"{issue}.{subject}"


@callback
def async_raise(
    hass: HomeAssistant,
    issue: Issue,
    subject: str,
    *,
    data: IssueData | None = None,
    **placeholders: str,
) -> None:
    """Raise an issue, or bring its texts up to date.

    Args:
        hass: Home Assistant.
        issue: what is wrong.
        subject: with whom.
        data: what its fix flow needs, besides the kind and the subject.
        placeholders: fill in the translated texts.
    """
    ir.async_create_issue(
        hass,
        DOMAIN,
        issue_id(issue, subject),
        data={"issue": issue.value, "subject": subject, **(data or {})},
        is_fixable=True,
        severity=ir.IssueSeverity.ERROR if issue in _ERRORS else ir.IssueSeverity.WARNING,
        translation_key=issue.value,
        translation_placeholders=placeholders,
    )


@callback
def async_clear(hass: HomeAssistant, issue: Issue, subject: str) -> None:
    """Take an issue back, if it is there."""
    ir.async_delete_issue(hass, DOMAIN, issue_id(issue, subject))


@callback
def async_clear_all(hass: HomeAssistant, subject: str) -> None:
    """Take back everything about a subject that is no more."""
    for issue in Issue:
        async_clear(hass, issue, subject)
