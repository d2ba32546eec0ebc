"""A client in a process of its own: a Home Assistant core that reads the meters, and what it published.

Every client gets the same: an instance with registries and event bus, no recorder and no frontend. What it publishes
is noted with the time at which it was there for an automation to see.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
import contextlib
from dataclasses import dataclass, field
import gc
import logging
from multiprocessing.connection import Connection
from pathlib import Path
import resource
import socket
import tempfile
import time
from types import TracebackType
from typing import Any, Protocol, Self
from unittest.mock import patch

from homeassistant import bootstrap, config_entries, loader
from homeassistant.auth import auth_manager_from_config
from homeassistant.core import HomeAssistant
from homeassistant.setup import async_setup_component

from .processes import CONTEXT, keep_others_out
from .setting import Setting

_LAG_PERIOD = 0.01


@dataclass(slots=True)
class Published:
    """What one client published, and what it cost."""

    values: list[tuple[float, int, str, float]] = field(default_factory=list)
    """(monotonic time, unit, quantity, value)"""
    taken_back: list[tuple[float, int, frozenset[str] | None]] = field(default_factory=list)
    """(monotonic time, unit, quantities no longer shown as fresh; None for all of the unit)"""
    cpu: float = 0.0
    """Seconds of processor time between `begin` and `end`."""
    memory: int = 0
    """Largest resident size, bytes."""
    memory_before: int = 0
    """Resident size with Home Assistant running, before the client was set up, bytes."""
    lag: list[float] = field(default_factory=list)
    """How late a timer of 10 ms fired, seconds, between `begin` and `end`."""
    longest: float = 0.0
    """Processor time of the longest step of the event loop between `begin` and `end`, seconds."""
    notes: dict[str, Any] = field(default_factory=dict)
    """What the client itself says about its run."""


class Client(Protocol):
    """One way to read the meters; `start` returns once it runs, `stop` ends it."""

    async def start(self, hass: HomeAssistant, published: Published) -> None:
        """Set up and begin to publish."""

    async def stop(self) -> None:
        """Stop publishing."""


type ClientFactory = Callable[[Setting, str | int], Client]


@contextlib.asynccontextmanager
async def home_assistant() -> AsyncIterator[HomeAssistant]:
    """Run a Home Assistant core with an empty configuration in a temporary directory."""
    with tempfile.TemporaryDirectory(prefix="home-assistant-") as directory:
        hass = HomeAssistant(directory)
        hass.config.skip_pip = True
        hass.config_entries = config_entries.ConfigEntries(hass, {})
        loader.async_setup(hass)
        custom = Path(directory) / "custom_components"
        custom.symlink_to(Path(__file__).parents[1] / "custom_components")
        await loader.async_get_custom_components(hass)
        await bootstrap.async_load_base_functionality(hass)
        hass.auth = await auth_manager_from_config(hass, [{"type": "homeassistant"}], [])
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        http = {"http": {"server_host": ["127.0.0.1"], "server_port": port}}
        for domain in ("http", "websocket_api", "usb"):
            if not await async_setup_component(hass, domain, http):
                raise RuntimeError(f"Home Assistant did not start {domain}")
        await hass.async_start()
        try:
            yield hass
        finally:
            await hass.async_stop(force=True)


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


async def _watch_lag(lags: list[float]) -> None:
    """Note how late the event loop runs a timer: how long something held it up."""
    while True:
        due = time.monotonic() + _LAG_PERIOD
        await asyncio.sleep(_LAG_PERIOD)
        lags.append(time.monotonic() - due)


@contextlib.contextmanager
def _watch_steps() -> Iterator[Callable[[], float]]:
    """Give the processor time of the longest step of the event loop so far, which no other process adds to."""
    longest = 0.0
    plain = asyncio.Handle._run  # noqa: SLF001 - there is no public place to look at every step

    def measured(handle: asyncio.Handle) -> None:
        nonlocal longest
        began = time.thread_time()
        plain(handle)
        longest = max(longest, time.thread_time() - began)

    with patch.object(asyncio.Handle, "_run", measured):
        yield lambda: longest


async def _run(
    factory: ClientFactory, setting: Setting, address: str | int, control: Connection
) -> None:
    loop = asyncio.get_running_loop()

    async def receive() -> Any:
        ready = asyncio.Event()
        loop.add_reader(control.fileno(), ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_reader(control.fileno())
        return control.recv()

    published = Published()
    async with home_assistant() as hass:
        published.memory_before = _resident()
        client = factory(setting, address)
        await client.start(hass, published)
        control.send("running")
        watcher: asyncio.Task[None] | None = None
        started = 0.0
        steps = contextlib.ExitStack()
        longest: Callable[[], float] = float
        while True:
            match await receive():
                case "begin":
                    gc.collect()
                    watcher = asyncio.create_task(_watch_lag(published.lag))
                    longest = steps.enter_context(_watch_steps())
                    started = time.process_time()
                    control.send(None)
                case "count":
                    control.send(len(published.values))
                case "end":
                    published.cpu = time.process_time() - started
                    published.longest = longest()
                    published.memory = _resident()
                    steps.close()
                    if watcher is not None:
                        watcher.cancel()
                    break
        await client.stop()
        control.send(published)


def _main(
    factory: ClientFactory, setting: Setting, address: str | int, control: Connection
) -> None:
    logging.basicConfig(level=logging.CRITICAL)
    keep_others_out()
    asyncio.run(_run(factory, setting, address, control))


class NearEnd:
    """A running client; a context manager."""

    def __init__(self, factory: ClientFactory, setting: Setting, address: str | int) -> None:
        """Start the process and wait until the client runs."""
        self._control, other = CONTEXT.Pipe()
        self._process = CONTEXT.Process(
            target=_main, args=(factory, setting, address, other), daemon=True
        )
        self._process.start()
        other.close()
        self._control.recv()
        self._ended = False

    def begin(self) -> float:
        """Begin to count processor time and lag; return the moment."""
        self._control.send("begin")
        self._control.recv()
        return time.monotonic()

    def published(self) -> int:
        """Return how many values were published so far."""
        self._control.send("count")
        count: int = self._control.recv()
        return count

    def end(self) -> Published:
        """Stop the client and return all that it published."""
        self._control.send("end")
        self._ended = True
        published: Published = self._control.recv()
        return published

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the process."""
        if not self._ended:
            self._process.terminate()
        self._process.join(20)
        if self._process.is_alive():
            self._process.kill()
