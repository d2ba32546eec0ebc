"""Fixtures for all tests."""

import asyncio
import logging
import os

import pytest

_ON_THE_WIRE = {
    "tests.integration.flow_support",
    "tests.integration.runtime_support",
    "tests.support.wire",
}
"""Modules whose names are imported by tests that run apart from what keeps the processors busy."""


def pytest_sessionstart() -> None:
    """Keep the recorder's statements out of the output, which the plugin would have in it."""
    logging.getLogger("sqlalchemy.engine").setLevel(logging.WARNING)


@pytest.fixture(autouse=True)
async def enable_event_loop_debug() -> None:
    """In place of the plugin's own: with debug on, each call of a loop notes its stack, which takes more than half the time.

    `WITH_LOOP_DEBUG=1` has it, for who looks for where a task came from or for a call from another thread.
    """
    if os.environ.get("WITH_LOOP_DEBUG"):
        asyncio.get_running_loop().set_debug(True)


@pytest.fixture(autouse=True)
def _custom_integrations(request: pytest.FixtureRequest) -> None:
    """Let Home Assistant load the integration under test, where a test has a Home Assistant."""
    if "recorder_mock" in request.fixturenames:
        request.getfixturevalue("recorder_mock")  # Has to be there before Home Assistant.
    if "hass" in request.fixturenames:
        request.getfixturevalue("enable_custom_integrations")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what runs on the emulated line with its byte timing: on a busy machine it would be late."""
    for item in items:
        module = getattr(item, "module", None)
        origins = {getattr(value, "__module__", None) for value in vars(module).values()}
        if origins & _ON_THE_WIRE:
            item.add_marker(pytest.mark.timing)
