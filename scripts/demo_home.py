"""Run a Home Assistant of its own with this integration and the simulated house, until Ctrl-C.

`python -m scripts.demo_home` is what `scripts/demo` and the browser tests start. Everything it writes is below its directory.
"""

import argparse
import asyncio
from collections.abc import AsyncIterator, Mapping
import contextlib
import json
import os
from pathlib import Path
import shutil
import signal
import socket
import sys

from custom_components.energy_meter.sources.bridge import DEFAULT_PORT
from custom_components.energy_meter.sources.bridge.security import format_key
from custom_components.energy_meter.sources.simulated.bridge import SimulatedBridge
from custom_components.energy_meter.sources.simulated.hub import SimulatedHub
from scripts.demo_dashboard import dashboard
from scripts.demo_port import SimulatedPort

HOST = "127.0.0.1"
ROOT = Path(__file__).resolve().parents[1]
USER = PASSWORD = "demo"
START_LIMIT = 110
STOP_LIMIT = 20

CONFIGURATION = """\
homeassistant:
  name: Simulated house
  country: DE
  currency: EUR
  latitude: 48.2
  longitude: 11.6
  time_zone: Europe/Berlin
  unit_system: metric

recorder:
  commit_interval: 1

logger:
  default: warning
  logs:
    custom_components.energy_meter: info
    haffmpeg: critical
    homeassistant.components.camera: critical
    homeassistant.loader: error

config:
energy:
frontend:
history:
logbook:
{lovelace}
automation:
  - alias: Tell what load shedding does
    mode: queued
    triggers:
      - trigger: energy_meter.load_shed
        target:
          entity_id: event.load_shedding_log
      - trigger: energy_meter.load_restored
        target:
          entity_id: event.load_shedding_log
    actions:
      - action: persistent_notification.create
        data:
          title: Load shedding
          message: >-
            {{% set log = trigger.to_state.attributes %}}
            {{{{ states('sensor.house_clock') }}}}: {{{{ log.load }}}}
            {{{{ 'off' if log.event_type == 'shed' else 'on again' }}}}.
            {{{{ log.limit }}}} carried {{{{ log.value }}}} A of {{{{ log.bound }}}} A.

energy_meter_demo:
  meters: {meters}
  shedding: {shedding}
  fast: {fast}
  bridge_port: {bridge_port}
  bridge_key: {bridge_key}
  hub_port: {hub_port}
  hub_key: {hub_key}
  circuits: {circuits}
  days: {days}
  user: {user}
  password: {password}
"""
LOVELACE = """
lovelace:
  dashboards:
    demo-house:
      mode: yaml
      title: Simulated house
      icon: mdi:home-lightning-bolt
      filename: dashboard.yaml
"""
"""With meters: a page to watch them on."""
CIRCUITS = 12
"""Monitors on each simulated I²C bus, unless it is said otherwise."""
ONBOARDED = {"done": ["user", "core_config", "analytics", "integration"]}
"""Home Assistant's note that nobody has to be welcomed."""
SERVER = {
    "server_host": [HOST],
    "cors_allowed_origins": [],
    "login_attempts_threshold": -1,
    "ip_ban_enabled": True,
    "ssl_profile": "intermediate_v6",
    "use_x_frame_options": True,
    "created_at": "2026-11-01T00:00:00+00:00",
    "error": None,
    "error_message": None,
}
"""Home Assistant's note of how its server is set up; by YAML it would only be tried for five minutes."""


class DemoError(Exception):
    """Something that the user should know and can mend, in one sentence."""


def free_port(wanted: int | None) -> int:
    """A local port that nobody listens on: the wanted one, or the first from 8123 on; 0 means any.

    Raises:
        DemoError: the wanted one is busy, or all are.
    """
    for port in range(8123, 8143) if wanted is None else (wanted,):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind((HOST, port))
                return int(probe.getsockname()[1])
    if wanted is None:
        raise DemoError("Ports 8123 to 8142 are all busy; choose another one with --port.")
    raise DemoError(f"Port {wanted} is busy; choose another one with --port, or leave it out.")


def write_configuration(
    directory: Path,
    port: int,
    *,
    days: int,
    meters: bool,
    shedding: bool,
    bridge: tuple[int, str],
    hub: tuple[int, str],
    circuits: int = CIRCUITS,
    fast: bool = False,
) -> None:
    """Make a fresh configuration directory; what an earlier run left in it goes away.

    Raises:
        DemoError: it is somebody else's.
    """
    if directory.exists():
        if not (directory / "configuration.yaml").exists():
            raise DemoError(f"{directory} exists and is not a directory of this demo.")
        shutil.rmtree(directory)
    components = directory / "custom_components"
    components.mkdir(parents=True)
    (components / "energy_meter").symlink_to(ROOT / "custom_components" / "energy_meter")
    (components / "energy_meter_demo").symlink_to(ROOT / "scripts" / "demo_component")
    (directory / "configuration.yaml").write_text(
        CONFIGURATION.format(
            days=days,
            meters=str(meters).lower(),
            shedding=str(shedding).lower(),
            lovelace=LOVELACE if meters else "",
            fast=str(fast).lower(),
            bridge_port=bridge[0],
            bridge_key=bridge[1],
            hub_port=hub[0],
            hub_key=hub[1],
            circuits=circuits,
            user=USER,
            password=PASSWORD,
        )
    )
    (directory / "dashboard.yaml").write_text(
        json.dumps(dashboard(shedding=shedding, circuits=circuits))  # JSON is YAML too.
    )
    server = {"stable": {**SERVER, "server_port": port}, "pending": None}
    store(directory, "onboarding", 4, ONBOARDED)
    store(directory, "http", 3, {**server, "yaml_migration_done": True})


def store(directory: Path, key: str, version: int, data: Mapping[str, object]) -> None:
    """Write a file of Home Assistant's own storage."""
    content = {"version": version, "minor_version": 1, "key": key, "data": data}
    path = directory / ".storage" / key
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content))


async def until_ready(directory: Path, home: asyncio.subprocess.Process) -> None:
    """Wait until the demo's component says that all is in its place.

    Raises:
        DemoError: Home Assistant ended, or takes too long, or the house could not be furnished.
    """
    log, outcome = directory / "home-assistant.log", directory / "outcome"
    try:
        async with asyncio.timeout(START_LIMIT):
            # There is a moment in which the file is there and what it says is not.
            while not outcome.exists() or not outcome.read_text():
                if home.returncode is not None:
                    raise DemoError(f"Home Assistant ended at its start; {log} says why.")
                await asyncio.sleep(0.2)
    except TimeoutError:
        raise DemoError(
            f"Home Assistant is not ready after {START_LIMIT} s; {log} may say why."
        ) from None
    if outcome.read_text() != "ready":
        raise DemoError(f"The house could not be furnished; {log} says why.")


@contextlib.asynccontextmanager
async def simulated_bridge() -> AsyncIterator[tuple[int, str]]:
    """Run the bridge at the workshop's bench; gives its port, the usual one if it is free, and its key."""
    bridge = SimulatedBridge()
    try:
        port = await bridge.start(DEFAULT_PORT)
    except OSError:
        port = await bridge.start()
    try:
        yield port, bridge.key
    finally:
        await bridge.stop()


@contextlib.asynccontextmanager
async def simulated_hub(circuits: int) -> AsyncIterator[tuple[int, str]]:
    """Run the hub in the cellar with so many circuits; gives its port and its key."""
    hub = SimulatedHub(circuits)
    port = await hub.start()
    try:
        yield port, hub.key
    finally:
        await hub.stop()


@contextlib.asynccontextmanager
async def home_assistant(directory: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run Home Assistant, and end it and all that it started."""
    with (directory / "console.log").open("wb") as console:
        home = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "homeassistant", "--skip-pip", "--config", str(directory)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            cwd=directory,
            start_new_session=True,
        )
        try:
            yield home
        finally:
            with contextlib.suppress(ProcessLookupError):
                home.terminate()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_LIMIT):
                    await home.wait()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(home.pid, signal.SIGKILL)
            await home.wait()


async def run(arguments: argparse.Namespace) -> None:
    """Run the demo until it is told to end.

    Raises:
        DemoError: it cannot run.
    """
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)

    port = free_port(arguments.port)
    directory = (arguments.directory or ROOT / ".demo" / str(port)).resolve()
    async with contextlib.AsyncExitStack() as stack:
        bridge_port, bridge_key = bridge = await stack.enter_async_context(simulated_bridge())
        hub = await stack.enter_async_context(simulated_hub(arguments.circuits))
        write_configuration(
            directory,
            port,
            days=arguments.days,
            meters=not arguments.empty,
            shedding=not (arguments.empty or arguments.no_shedding),
            bridge=bridge,
            hub=hub,
            circuits=arguments.circuits,
            fast=arguments.fast,
        )
        print(f"Starting Home Assistant; its log is {directory / 'home-assistant.log'}", flush=True)
        serial_port = None
        if arguments.empty:
            serial_port = await stack.enter_async_context(SimulatedPort())
        home = await stack.enter_async_context(home_assistant(directory))
        ready = asyncio.create_task(until_ready(directory, home))
        end = asyncio.create_task(ended.wait())
        await asyncio.wait((ready, end), return_when=asyncio.FIRST_COMPLETED)
        if not end.done():
            await ready
            base = f"http://{HOST}:{port}"
            print(f"\nHome Assistant is ready: {base}")
            print(f"Log in as {USER} with the password {PASSWORD}.")
            if serial_port is None:
                print(f"Watch the house: {base}/demo-house")
                print(f"Its energy: {base}/energy")
                print(
                    "Load shedding, when supper and the car are too much at half past six:"
                    f" {base}/logbook?entity_id=event.load_shedding_log"
                )
            else:
                print(
                    f"Set up meters: {base}/config/integrations/dashboard/add?domain=energy_meter"
                )
                print(
                    "The simulated line is in the menu; the same meters, set to different speeds,"
                )
                print(f"hang on the serial port {serial_port.path}")
                print(
                    f"A simulated ESP32 bridge is at {HOST}, port {bridge_port}; "
                    f"its pairing key is {format_key(bridge_key)}"
                )
                print(
                    f"A simulated I²C hub with {arguments.circuits} circuits is at {HOST}, port {hub[0]}; "
                    f"its key is {format_key(hub[1])}"
                )
            print("Ctrl-C ends everything.", flush=True)
            died = asyncio.create_task(home.wait())
            await asyncio.wait((died, end), return_when=asyncio.FIRST_COMPLETED)
            if not end.done():
                raise DemoError(
                    f"Home Assistant ended; {directory / 'home-assistant.log'} says why."
                )
        else:
            ready.cancel()
        print("\nEnding …", flush=True)


def main() -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(
        prog="scripts/demo", description="Home Assistant with a simulated house, until Ctrl-C."
    )
    parser.add_argument("--empty", action="store_true", help="start without any configured meter")
    parser.add_argument(
        "--fast", action="store_true", help="let a day of the house pass in less than ten minutes"
    )
    parser.add_argument(
        "--no-shedding", action="store_true", help="leave load shedding for you to set up"
    )
    parser.add_argument("--port", type=int, help="port of the user interface; 0 for any free one")
    parser.add_argument("--days", type=int, default=7, help="days of history (default: 7)")
    parser.add_argument(
        "--circuits",
        type=int,
        choices=range(101),
        default=CIRCUITS,
        metavar="N",
        help=f"monitors on the simulated I²C bus, and as many behind the hub, 0 to 100 (default: {CIRCUITS})",
    )
    parser.add_argument("--directory", type=Path, help="where to keep its files (default: .demo)")
    try:
        asyncio.run(run(parser.parse_args()))
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
