"""What Home Assistant and its frontend need beside the code: names, icons, rules; complete and well formed."""

import ast
from collections.abc import Iterator
import json
from pathlib import Path
import re
import string
from typing import Any

import pytest
import yaml

from custom_components.energy_meter import sensor
from custom_components.energy_meter.control import NAMED
from custom_components.energy_meter.issues import Issue
from custom_components.energy_meter.metering.limits import LimitKind
from custom_components.energy_meter.model import CONTROL_KEYS, QUANTITIES, ControlKind, Kind
from custom_components.energy_meter.relays.actions import SUPPLY_SCHEMA
from custom_components.energy_meter.repairs import _FIXES
from custom_components.energy_meter.services import (
    EXPORT_SCHEMA,
    READ_SCHEMA,
    RESCAN_SCHEMA,
    WRITE_SCHEMA,
)
from custom_components.energy_meter.shedder.event import LOG
from custom_components.energy_meter.shedder.number import LIMIT
from custom_components.energy_meter.shedder.sensor import HEADROOM, SHEDDER_SENSORS
from custom_components.energy_meter.shedder.services import RESTORE_SCHEMA, SHED_SCHEMA
from custom_components.energy_meter.shedder.switch import SHEDDER_SWITCHES
from custom_components.energy_meter.sources.modbus.library import ProfileLibrary
from custom_components.energy_meter.virtual_meters import VIRTUAL_KEYS
from custom_components.energy_meter.waveform_action import CAPTURE_SCHEMA

PACKAGE = Path(sensor.__file__).parent
TEXTS: dict[str, Any] = json.loads((PACKAGE / "translations" / "en.json").read_text("utf-8"))
ICONS: dict[str, Any] = json.loads((PACKAGE / "icons.json").read_text("utf-8"))
MANIFEST: dict[str, Any] = json.loads((PACKAGE / "manifest.json").read_text("utf-8"))
SERVICES: dict[str, Any] = yaml.safe_load((PACKAGE / "services.yaml").read_text("utf-8"))
SCHEMAS = {
    "read_registers": READ_SCHEMA,
    "write_registers": WRITE_SCHEMA,
    "rescan": RESCAN_SCHEMA,
    "export_profile": EXPORT_SCHEMA,
    "capture_waveform": CAPTURE_SCHEMA,
    "shed_now": SHED_SCHEMA,
    "restore_now": RESTORE_SCHEMA,
    "disconnect_supply": SUPPLY_SCHEMA,
    "reconnect_supply": SUPPLY_SCHEMA,
}

SHEDDER = {
    "sensor": {HEADROOM, *(description.key for description in SHEDDER_SENSORS)},
    "switch": set(SHEDDER_SWITCHES),
    "number": {LIMIT},
    "event": {LOG},
}

# Kinds whose icon follows from their device class.
CLASSED = {kind for kind in Kind if kind in sensor._DEVICE_CLASSES}

HEALTH = (*sensor.METER_HEALTH, *sensor.LINE_HEALTH, *sensor.BRIDGE_HEALTH)

# https://developers.home-assistant.io/docs/core/integration-quality-scale/rules
RULES = {
    "action-setup",
    "appropriate-polling",
    "brands",
    "common-modules",
    "config-flow",
    "config-flow-test-coverage",
    "dependency-transparency",
    "docs-actions",
    "docs-conditions",
    "docs-high-level-description",
    "docs-installation-instructions",
    "docs-removal-instructions",
    "docs-triggers",
    "entity-event-setup",
    "entity-unique-id",
    "has-entity-name",
    "runtime-data",
    "test-before-configure",
    "test-before-setup",
    "unique-config-entry",
    "action-exceptions",
    "config-entry-unloading",
    "docs-configuration-parameters",
    "docs-installation-parameters",
    "entity-unavailable",
    "integration-owner",
    "log-when-unavailable",
    "parallel-updates",
    "reauthentication-flow",
    "test-coverage",
    "devices",
    "diagnostics",
    "discovery",
    "discovery-update-info",
    "docs-data-update",
    "docs-examples",
    "docs-known-limitations",
    "docs-supported-devices",
    "docs-supported-functions",
    "docs-troubleshooting",
    "docs-use-cases",
    "dynamic-devices",
    "entity-category",
    "entity-device-class",
    "entity-disabled-by-default",
    "entity-translations",
    "exception-translations",
    "icon-translations",
    "reconfiguration-flow",
    "repair-issues",
    "stale-devices",
    "async-dependency",
    "inject-websession",
    "strict-typing",
}


def fields(text: str) -> set[str]:
    """The placeholders of a text."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def texts(node: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every text below a node of the translations, with its place."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from texts(value, f"{path}.{key}")
    else:
        yield path, node


def modules() -> Iterator[tuple[Path, ast.Module]]:
    """The modules of the Home Assistant side and of the sources."""
    for path in PACKAGE.rglob("*.py"):
        yield path, ast.parse(path.read_text("utf-8"))


def test_every_quantity_has_a_name_with_its_placeholders() -> None:
    names = TEXTS["entity"]["sensor"]
    for quantity in QUANTITIES.values():
        assert fields(names[quantity.translation_key]["name"]) == quantity.placeholders.keys()


def test_no_two_quantities_of_a_meter_have_the_same_name() -> None:
    names = TEXTS["entity"]["sensor"]
    spoken = [
        names[quantity.translation_key]["name"].format(**quantity.placeholders)
        for quantity in QUANTITIES.values()
    ]
    assert len(spoken) == len(set(spoken))


def test_every_quantity_without_a_device_class_has_an_icon() -> None:
    icons = ICONS["entity"]["sensor"]
    for quantity in QUANTITIES.values():
        assert quantity.kind in CLASSED or quantity.translation_key in icons, quantity.key


def test_every_health_sensor_has_a_name_and_what_has_no_class_an_icon() -> None:
    for description in HEALTH:
        assert TEXTS["entity"]["sensor"][description.key]["name"]
        assert description.device_class or description.key in ICONS["entity"]["sensor"]


def test_every_control_of_every_profile_has_a_name_and_an_icon() -> None:
    for profile in ProfileLibrary().load_all().values():
        for each in profile.controls:
            if each.exposed:
                key, platform = each.control.key, each.control.kind.value
                assert key in CONTROL_KEYS, (profile.slug, key)
                assert TEXTS["entity"][platform][key]["name"]
                assert ICONS["entity"][platform][key]["default"]


ALARMS = {
    "binary_sensor": {f"alarm_{kind.value}" for kind in LimitKind} | {"alarm_tamper"},
    "number": {f"alarm_{kind.value}_threshold" for kind in LimitKind},
    "event": {f"alarm_{kind.value}_history" for kind in LimitKind} | {"alarm_tamper_history"},
}
"""Platform → keys of what alarms show."""


def test_nothing_is_named_that_is_not_there() -> None:
    known = {quantity.translation_key for quantity in QUANTITIES.values()} | {
        description.key for description in HEALTH
    }
    known |= SHEDDER["sensor"] | set(VIRTUAL_KEYS)
    assert TEXTS["entity"]["sensor"].keys() == known
    for kind in ControlKind:
        assert TEXTS["entity"][kind.value].keys() <= NAMED | SHEDDER.get(
            kind.value, set()
        ) | ALARMS.get(kind.value, set())
        assert ICONS["entity"][kind.value].keys() == TEXTS["entity"][kind.value].keys()
    assert ICONS["entity"]["sensor"].keys() <= known
    controls = {(kind.value, key) for kind in ControlKind for key in TEXTS["entity"][kind.value]}
    shedder = {(platform, key) for platform, keys in SHEDDER.items() for key in keys}
    alarms = {(platform, key) for platform, keys in ALARMS.items() for key in keys}
    assert {key for _platform, key in controls - shedder - alarms} == NAMED
    for platform in ("event", "binary_sensor"):
        named = SHEDDER.get(platform, set()) | ALARMS[platform]
        assert TEXTS["entity"][platform].keys() == ICONS["entity"][platform].keys() == named


def test_every_issue_has_texts_and_a_fix_flow_whose_steps_have_theirs() -> None:
    assert TEXTS["issues"].keys() == {issue.value for issue in Issue}
    assert _FIXES.keys() == set(Issue)
    for issue, fix in _FIXES.items():
        about = TEXTS["issues"][issue.value]
        assert about["title"]
        steps = about["fix_flow"]["step"]
        assert about["fix_flow"]["abort"]["not_running"]
        if "confirm" in steps:
            assert hasattr(fix, "async_step_confirm")
            continue
        for option in steps["init"]["menu_options"]:
            assert hasattr(fix, f"async_step_{option}"), (issue, option)


def test_every_issue_is_raised_with_all_that_its_texts_need() -> None:
    given: dict[str, set[str]] = {issue.value: set() for issue in Issue}
    own = {"hass", "issue", "subject", "data"}
    for _, module in modules():
        for node in ast.walk(module):
            if not (isinstance(node, ast.Call) and getattr(node.func, "id", "") == "async_raise"):
                continue
            words = {keyword.arg for keyword in node.keywords if keyword.arg} - own
            for keyword in node.keywords:
                if keyword.arg is None and isinstance(keyword.value, ast.Dict):
                    words |= {
                        key.value
                        for key in keyword.value.keys
                        if isinstance(key, ast.Constant) and isinstance(key.value, str)
                    }
            kind = node.args[1]
            names = [kind.attr.lower()] if isinstance(kind, ast.Attribute) else []
            # Raised by a variable: one call for two kinds.
            names = names or _VARIABLE[tuple(sorted(words))]
            for name in names:
                given[name] |= words
    for name, words in given.items():
        for place, text in texts(TEXTS["issues"][name]):
            assert fields(text) <= words, (name, place)


_VARIABLE = {
    ("name", "phase", "power"): ["reversed", "swapped_phases"],
    ("counters", "name"): ["meter_changed", "meter_change_undo"],
    ("name", "places"): [
        "i2c_address_shared",
        "i2c_hidden",
        "i2c_id_twice",
        "i2c_monitor_version",
        "i2c_bus_held",
        "i2c_bus_gone",
    ],
    ("name", "ours", "theirs"): ["bridge_too_old", "bridge_too_new"],
    ("name", "since"): ["silent", "bridge_meter_silent"],
    ("current", "name"): ["sensor_clipping", "sensor_stuck"],
}


def test_every_exception_has_a_text() -> None:
    keys: set[str] = set()
    shown_in_forms: set[str] = set()
    for path, module in modules():
        for node in ast.walk(module):
            if not isinstance(node, ast.Call):
                continue
            called = getattr(node.func, "id", getattr(node.func, "attr", ""))
            keys |= {
                keyword.value.value
                for keyword in node.keywords
                if keyword.arg == "translation_key"
                and path.name not in {"sensor.py", "issues.py", "segments.py"}
                and isinstance(keyword.value, ast.Constant)
                and isinstance(keyword.value.value, str)
            }
            place = {"SourceError": 0, "LinkProblem": 0, "LinkError": 1, "_error": 1}.get(called)
            if place is not None and len(node.args) > place:
                argument = node.args[place]
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    (shown_in_forms if path.parent.name == "flows" else keys).add(argument.value)
    assert len(keys) > 30
    assert not keys - TEXTS["exceptions"].keys()
    # What a flow finds out it shows in its own form.
    assert not shown_in_forms - TEXTS["exceptions"].keys() - TEXTS["config"]["error"].keys()
    assert all(about.keys() == {"message"} for about in TEXTS["exceptions"].values())


def test_every_action_is_described_with_all_of_its_fields() -> None:
    assert SERVICES.keys() == TEXTS["services"].keys() == ICONS["services"].keys() == SCHEMAS.keys()
    for name, service in SERVICES.items():
        accepted = {str(key) for key in SCHEMAS[name].schema}
        assert service["fields"].keys() == TEXTS["services"][name]["fields"].keys() == accepted
        for about in service["fields"].values():
            (selector,) = about["selector"]
            options = (about["selector"][selector] or {}).get("options", [])
            translated = (about["selector"][selector] or {}).get("translation_key")
            if translated:
                assert set(options) <= TEXTS["selector"][translated]["options"].keys()


@pytest.mark.parametrize("place_and_text", list(texts(TEXTS)), ids=lambda each: each[0])
def test_texts_are_well_formed(place_and_text: tuple[str, str]) -> None:
    place, text = place_and_text
    assert text == text.strip() and text
    assert "  " not in text
    assert not re.search(r"https?://", text), "addresses go into placeholders"
    assert place
    fields(text)  # Raises on an unbalanced brace.


def test_icons_are_of_the_set_that_home_assistant_has() -> None:
    for place, icon in texts(ICONS):
        assert re.fullmatch(r"mdi:[a-z0-9]+(-[a-z0-9]+)*", icon), place


def test_the_quality_scale_names_every_rule_with_a_reason_for_what_is_left_out() -> None:
    rules = yaml.safe_load((PACKAGE / "quality_scale.yaml").read_text("utf-8"))["rules"]
    assert rules.keys() == RULES
    for name, status in rules.items():
        if status != "done":
            assert status["status"] == "exempt", name
            assert len(status["comment"]) > 20


def test_the_manifest_is_that_of_a_custom_integration() -> None:
    assert MANIFEST["domain"] == PACKAGE.name
    assert re.fullmatch(r"\d+\.\d+\.\d+", MANIFEST["version"])
    assert {"modbus", "usb"} <= set(MANIFEST["dependencies"])
    keys = list(MANIFEST)
    assert keys[:2] == ["domain", "name"]
    assert keys[2:] == sorted(keys[2:])


def test_every_platform_says_how_many_updates_run_at_once() -> None:
    for name in ("button", "image", "number", "select", "sensor", "switch", "update"):
        assert "PARALLEL_UPDATES = 0" in (PACKAGE / f"{name}.py").read_text("utf-8")
