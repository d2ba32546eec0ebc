"""Every step, error, abort and phrase of the flows has its words."""

import ast
from collections.abc import Iterable, Iterator
import json
from pathlib import Path
import string
from typing import Any

from homeassistant.config_entries import ConfigFlow, ConfigSubentryFlow
import pytest

from custom_components.energy_meter import config_flow, link_errors
from custom_components.energy_meter.config_flow import EnergyMeterConfigFlow
from custom_components.energy_meter.flows import bridge_tcp
from custom_components.energy_meter.flows.bridge_meter import BridgeMeterSubentryFlow
from custom_components.energy_meter.flows.subentry import MeterSubentryFlow
from custom_components.energy_meter.sources.modbus.discovery import Finding

PACKAGE = Path(config_flow.__file__).parent
TEXTS: dict[str, Any] = json.loads((PACKAGE / "translations" / "en.json").read_text())
SUBENTRY: dict[str, Any] = TEXTS["config_subentries"]["meter"]
BRIDGE_METER: dict[str, Any] = TEXTS["config_subentries"]["bridge_meter"]

# Steps that only lead on to others and are never shown themselves.
PASSAGES = {
    "search_quick",
    "search_thorough",
    "move",
    "as_new",
    "proof_accept",
    "mqtt",
    "reauth",
    "zeroconf",
}


def _steps(flow: type, base: type) -> set[str]:
    own = {name for name in dir(flow) if name.startswith("async_step_")}
    inherited = {
        name
        for name in dir(base)
        if name.startswith("async_step_") and getattr(flow, name, None) is getattr(base, name)
    }
    return {name.removeprefix("async_step_") for name in own - inherited} - PASSAGES


LINES = (
    *(path for path in PACKAGE.glob("flows/*.py") if not path.name.startswith("bridge")),
    PACKAGE / "link_errors.py",
    *PACKAGE.glob("sources/modbus/link.py"),
)
"""Where the set-up of Modbus lines is, which has its words in two places."""
ALL = (
    *PACKAGE.glob("flows/*.py"),
    *PACKAGE.glob("*/flow.py"),
    PACKAGE / "link_errors.py",
    PACKAGE / "rescan_report.py",
    PACKAGE / "i2c_runtime.py",
    *PACKAGE.glob("sources/modbus/link.py"),
)


def _calls(name: str, paths: Iterable[Path] = ALL) -> Iterator[ast.Call]:
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                called = node.func
                label = called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")
                if label == name:
                    yield node


def _constants() -> set[object]:
    """Everything that is written out anywhere in the flows."""
    return {
        node.value
        for path in ALL
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant)
    }


def _literal(call: ast.Call, place: int) -> str | None:
    if len(call.args) <= place or not isinstance(call.args[place], ast.Constant):
        return None
    value = call.args[place].value  # type: ignore[attr-defined]
    return value if isinstance(value, str) else None


PROBES = {
    "bridge_cannot_connect",
    "bridge_cannot_open",
    "bridge_key_needed",
    "bridge_key_refused",
    "bridge_no_answer",
    "bridge_not_a_bridge",
    "bridge_not_understood",
    "bridge_silent",
    "bridge_tampered",
    "bridge_version",
}
"""What `tcp_probe` and `serial_probe` raise, as they say; `bridge_in_use` is told by who has the port."""


def _error_keys(paths: Iterable[Path]) -> set[str]:
    places = {"Trouble": 0, "LinkProblem": 0, "LinkError": 1, "SourceError": 0}
    keys = {_literal(call, place) for name, place in places.items() for call in _calls(name, paths)}
    return {key for key in keys if key}


@pytest.mark.parametrize(
    ("texts", "steps"),
    [
        (TEXTS["config"], _steps(EnergyMeterConfigFlow, ConfigFlow)),
        (SUBENTRY, _steps(MeterSubentryFlow, ConfigSubentryFlow)),
        (BRIDGE_METER, _steps(BridgeMeterSubentryFlow, ConfigSubentryFlow)),
    ],
)
def test_every_step_has_a_title_and_none_is_left_over(
    texts: dict[str, Any], steps: set[str]
) -> None:
    assert {step for step in texts["step"] if "title" in texts["step"][step]} == steps


def test_every_error_has_its_words_in_both_kinds_of_flow() -> None:
    everywhere = _error_keys(ALL) | set(bridge_tcp._BY_ERRNO.values()) | PROBES
    assert everywhere <= TEXTS["config"]["error"].keys()
    of_lines = _error_keys(LINES) | set(link_errors._BY_ERRNO.values())
    assert of_lines <= SUBENTRY["error"].keys()
    for key, text in SUBENTRY["error"].items():
        assert TEXTS["config"]["error"][key] == text


def test_every_phrase_that_is_used_exists_and_none_is_left_over() -> None:
    used = {_literal(call, 0) for call in _calls("phrases")} - {None}
    used |= {finding.value for finding in Finding}
    # What is wrong with a table is worked out without a flow, and told by one; a hub's news are told without any.
    used |= {
        str(node.value)
        for file, beginning in (("circuit_table.py", "table_"), ("hub_watch.py", "i2c_"))
        for node in ast.walk(ast.parse((PACKAGE / file).read_text()))
        if isinstance(node, ast.Constant) and str(node.value).startswith(beginning)
    }
    # Those of the Energy dashboard are put together in `energy_dashboard` and tried there.
    there = {
        phrase
        for phrase in TEXTS["selector"]["phrase"]["options"]
        if not phrase.startswith("dashboard_")
    }
    assert used == there


def test_every_end_of_a_flow_has_its_words() -> None:
    reasons = {
        keyword.value.value
        for call in (*_calls("async_abort"), *_calls("async_update_and_abort"))
        for keyword in call.keywords
        if keyword.arg == "reason" and isinstance(keyword.value, ast.Constant)
    }
    reasons |= {_literal(call, 0) for call in _calls("AbortFlow")}
    flows = (TEXTS["config"], TEXTS["options"], *TEXTS["config_subentries"].values())
    known = {reason for flow in flows for reason in flow.get("abort", {})}
    assert reasons - {None} <= known
    # Home Assistant itself ends a flow with the last one.
    assert known <= _constants() | {"reconfigure_successful"}
    for reason, text in SUBENTRY["abort"].items():
        assert TEXTS["config"]["abort"].get(reason, text) == text
    assert BRIDGE_METER["abort"]["meter_changed"] == SUBENTRY["abort"]["meter_changed"]


def test_steps_that_both_flows_have_say_the_same_in_both() -> None:
    shared = TEXTS["config"]["step"].keys() & SUBENTRY["step"].keys() - {"user", "reconfigure"}
    assert len(shared) > 8
    for step in shared:
        assert TEXTS["config"]["step"][step] == SUBENTRY["step"][step]
    for step in ("inside", "production", "summary"):
        assert SUBENTRY["step"][step] == BRIDGE_METER["step"][step]


def test_every_field_and_menu_option_is_explained_by_a_text_that_is_used() -> None:
    for texts in (
        *TEXTS["config"]["step"].values(),
        *SUBENTRY["step"].values(),
        *BRIDGE_METER["step"].values(),
    ):
        assert texts.get("data", {}).keys() == texts.get("data_description", {}).keys()
        assert (
            texts.get("menu_options", {}).keys() == texts.get("menu_option_descriptions", {}).keys()
        )
        for section in texts.get("sections", {}).values():
            assert section["data"].keys() == section["data_description"].keys()


def test_texts_have_no_broken_placeholders() -> None:
    def walk(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            for value in node.values():
                yield from walk(value)
        else:
            yield node

    for text in walk({key: TEXTS[key] for key in ("config", "config_subentries", "selector")}):
        for _literal_text, name, _spec, _conversion in string.Formatter().parse(text):
            assert name is None or name.isidentifier()
