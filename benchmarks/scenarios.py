"""What is measured, one function per scenario; each returns rows and says what it does as it goes."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
import statistics
import time
from typing import Final

from tests.support.wire import Fault, FaultKind

from . import i2c_panel as panels
from .bridge_lines import JSON, KINDS, MOST, USES, seconds_per_line
from .bridge_state import METERS as BRIDGE_METERS, run_bridge_state
from .coordinator_client import coordinator_client
from .evaluate import honesty, mean_interval, most_rounds
from .far_end import FarEnd, Heard, LineReport, Trouble, wait_until
from .hub_panel import (
    CIRCUITS,
    ELAPSED as HUB_ELAPSED,
    ENTITIES as HUB_ENTITIES,
    START_UP as HUB_START_UP,
    STATES as HUB_STATES,
    run_hub,
    run_recorded,
)
from .i2c_panel import MONITORS, QUANTITIES as PANEL_QUANTITIES, run_panel
from .integration_client import integration_client
from .least import request_time
from .line_client import line_client
from .load_shedding import LIMITS, LOADS, REACTIONS, run_load_shedding
from .near_end import ClientFactory, NearEnd, Published
from .report import Row
from .setting import SDM120, SDM630, Model, Setting, forty
from .yaml_clients import yaml_client

OURS: Final = "Energy Meter"
LINE: Final = "Energy Meter, its line alone"
YAML: Final = "modbus YAML"
BLOCKS: Final = "modbus YAML, blocks"
TUNED: Final = "modbus YAML, blocks, 4 ms wait"
UNPACED: Final = "modbus YAML, blocks, no wait"
COORDINATOR: Final = "coordinator on the shared link"

type Act = tuple[float, str, tuple[object, ...]]
"""(seconds after the measurement began, method of the far end, its arguments)"""


@dataclass(slots=True)
class Run:
    """One client's run."""

    setting: Setting
    published: Published
    line: LineReport | None
    since: float
    until: float
    moments: dict[str, float] = field(default_factory=dict)
    """When each act was carried out, by its method."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One client to be run on one line."""

    name: str
    setting: Setting
    factory: ClientFactory
    warm_up: float
    """Seconds before the measurement."""
    duration: float
    """Seconds of measurement."""
    trouble: Trouble | None = None
    acts: tuple[Act, ...] = ()


@dataclass(slots=True)
class Bench:
    """Runs clients, tells the user, and keeps how precise the emulation was."""

    quick: bool
    say: Callable[[str], None]
    lateness: list[tuple[float, float]] = field(default_factory=list)
    """(mean, max) of each run on an emulated line, seconds."""

    def run(self, case: Case) -> Run:
        """Let one client read one line for a while."""
        self.say(f"  {case.name}: {case.warm_up + case.duration:.0f} s")
        setting = replace(case.setting, started=time.monotonic())
        with (
            FarEnd(setting, case.trouble) as far,
            NearEnd(case.factory, setting, far.address) as near,
        ):
            serial = setting.transport == "serial"
            time.sleep(case.warm_up)
            if serial:
                far.call("reset_statistics")
            since = near.begin()
            if case.trouble is not None:
                far.call("trouble")
            moments: dict[str, float] = {}
            for offset, method, arguments in case.acts:
                wait_until(since + offset)
                moments[method] = time.monotonic()
                far.call(method, *arguments)
            wait_until(since + case.duration)
            until = time.monotonic()
            published = near.end()
            line = far.report() if serial else None
        if line is not None and line.statistics.replies:
            self.lateness.append((line.statistics.lateness_mean, line.statistics.lateness_max))
        return Run(setting, published, line, since, until, moments)

    def run_all(self, cases: Sequence[Case]) -> Iterator[tuple[Case, Run]]:
        """Run the first alone and then all others at once, each on a line of its own, which all mostly wait."""
        first, *others = cases
        yield first, self.run(first)
        with ThreadPoolExecutor(max_workers=max(1, len(others))) as pool:
            yield from zip(others, pool.map(self.run, others), strict=True)


def _setting(model: Model, count: int, *, pause: float = 0) -> Setting:
    return Setting(model=model, count=count, started=0, pause=pause)


def sweeps(bench: Bench) -> Iterator[Row]:
    """All values of all meters, again and again, against the least time of a sweep."""
    for model, count, target in ((SDM120, 5 if bench.quick else 30, 1.03), (SDM630, 1, 1.03)):
        values = len(model.values)
        scenario = f"sweep of {count} × {model.slug} × {values} values, 9600 8N1"
        if bench.quick and model is SDM630:
            continue
        bench.say(scenario)
        least = _setting(model, count).least_sweep().seconds
        yield Row(scenario=scenario, client="least line time", figure="s per sweep", value=least)
        clients: list[tuple[str, ClientFactory, float]] = [
            (OURS, line_client(), 1.1),
            (YAML, yaml_client(), 4.5 if model is SDM120 else 9.5),
        ]
        if not bench.quick:
            clients += [
                (BLOCKS, yaml_client(blocks=True), 1.5),
                (TUNED, yaml_client(blocks=True, message_wait=4), 1.3),
                (UNPACED, yaml_client(blocks=True, message_wait=0), 10),
                (COORDINATOR, coordinator_client(), 1.3),
            ]
        cases = []
        for name, factory, expected in clients:
            sweep = max(least * expected, 1.5)
            cases.append(
                Case(
                    name=name,
                    setting=_setting(model, count),
                    factory=factory,
                    # Serial number and firmware are read once, in the first rounds.
                    warm_up=3 * sweep + 2 if name == OURS else min(1.1 * sweep + 1, 60),
                    duration=min((4 if name == OURS else 2.2) * sweep, 80),
                )
            )
        for case, run in bench.run_all(cases):
            ours = case.name == OURS
            seconds = mean_interval(run.published, run.setting, run.since, run.until)
            yield Row(
                scenario=scenario,
                client=case.name,
                figure="s per sweep",
                value=seconds,
                compared=seconds / least,
                against="least line time",
                target=target if ours else None,
            )
            assert run.line is not None
            yield Row(
                scenario=scenario,
                client=case.name,
                figure="requests lost on a line that insists on 3.5 characters of silence",
                value=run.line.statistics.faults.get("no_silence", 0),
                target=0 if ours else None,
            )


def pause(bench: Bench) -> Iterator[Row]:
    """A meter that wants 50 ms between two requests, as its built-in profile says."""
    if bench.quick:
        return
    scenario = "sweep of 1 × eastron_sdm630 × 52 values that wants 50 ms of pause"
    bench.say(scenario)
    setting = _setting(SDM630, 1, pause=0.05)
    least = setting.least_sweep().seconds
    run = bench.run(
        Case(
            name=OURS,
            setting=setting,
            factory=line_client(as_shipped=True),
            warm_up=3,
            duration=8,
        )
    )
    seconds = mean_interval(run.published, setting, run.since, run.until)
    yield Row(scenario=scenario, client="least line time", figure="s per sweep", value=least)
    yield Row(
        scenario=scenario,
        client=OURS,
        figure="s per sweep",
        value=seconds,
        compared=seconds / least,
        against="least line time",
        target=1.03,
    )
    assert run.line is not None
    yield Row(
        scenario=scenario,
        client=OURS,
        figure="requests that came too early",
        value=run.line.statistics.faults.get("too_early", 0),
        target=0,
    )


def fast_power(bench: Bench) -> Iterator[Row]:
    """Power of every meter as often as the line allows, all else at most ten rounds old."""
    for count, target in ((10, 0.6),) if bench.quick else ((10, 0.6), (30, 2.0)):
        scenario = f"power of {count} × SDM120 fast, all else at most ten rounds old"
        bench.say(scenario)
        setting = _setting(SDM120, count)
        least = setting.least_power_round(10)
        yield Row(scenario=scenario, client="least line time", figure="s per round", value=least)
        cases = [
            Case(
                name=OURS,
                setting=setting,
                factory=line_client(fast=("power",)),
                # Serial number and firmware are read once, in the first rounds.
                warm_up=(12 if bench.quick else 30) * least,
                duration=(21 if bench.quick else 31) * least,
            )
        ]
        if not bench.quick and count == 10:
            sweep = 1.7 * setting.single_reads()
            cases += [
                Case(
                    name=YAML,
                    setting=setting,
                    factory=yaml_client(),
                    warm_up=sweep + 2,
                    duration=2.2 * sweep,
                ),
                Case(
                    name=COORDINATOR,
                    setting=setting,
                    factory=coordinator_client(),
                    warm_up=5,
                    duration=2.2 * sweep,
                ),
            ]
        (_, run), *rivals = bench.run_all(cases)
        published, since, until = run.published, run.since, run.until
        power = mean_interval(published, setting, since, until, keys=["power"])
        yield Row(
            scenario=scenario,
            client=OURS,
            figure="s between two values of power",
            value=power,
            target=target,
        )
        yield Row(
            scenario=scenario,
            client=OURS,
            figure="s between two values of power, to the least",
            value=power,
            compared=power / least,
            against="least line time",
        )
        yield Row(
            scenario=scenario,
            client=OURS,
            figure="power rounds that any other value got old at most",
            value=most_rounds(published, setting, since, until, pace="power"),
            target=10,
        )
        for case, rival in rivals:
            yield Row(
                scenario=scenario,
                client=case.name,
                figure="s between two values of anything",
                value=mean_interval(rival.published, setting, rival.since, rival.until),
            )


def one_silent(bench: Bench) -> Iterator[Row]:
    """Five meters, one of which falls silent: what the other four lose."""
    scenario = "one of five SDM120 falls silent"
    bench.say(scenario)
    before, after = (3.0, 15.0) if bench.quick else (10.0, 60.0)
    clients: list[tuple[str, ClientFactory, float]] = [(OURS, line_client(), 3)]
    if not bench.quick:
        clients += [
            (YAML, yaml_client(), 8),
            (BLOCKS, yaml_client(blocks=True), 8),
            (COORDINATOR, coordinator_client(), 8),
        ]
    cases = [
        Case(
            name=name,
            setting=_setting(SDM120, 5),
            factory=factory,
            warm_up=warm_up,
            duration=before + after,
            acts=((before, "silence", (3,)),),
        )
        for name, factory, warm_up in clients
    ]
    for case, measured in bench.run_all(cases):
        name, setting = case.name, measured.setting
        target = 1 / 0.95 if name == OURS else None
        moment = measured.moments["silence"]
        others = [1, 2, 4, 5]
        healthy = mean_interval(measured.published, setting, measured.since, moment, units=others)
        shared = mean_interval(measured.published, setting, moment, measured.until, units=others)
        yield Row(
            scenario=scenario,
            client=name,
            figure="s between two values of the other four, before",
            value=healthy,
        )
        yield Row(
            scenario=scenario,
            client=name,
            figure="s between two values of the other four, after",
            value=shared,
            compared=shared / healthy,
            against="before",
            target=target,
        )


_DAMAGE: Final = frozenset((FaultKind.CORRUPT.value, FaultKind.TRUNCATE.value, "collision"))
_LATE: Final = 0.1
"""Seconds after which nobody waits any more for an answer that usually begins after 20 ms."""
_CHANCES: Final = (
    (0.01, Fault(FaultKind.CORRUPT)),
    (0.01, Fault(FaultKind.TRUNCATE)),
    (0.025, Fault(FaultKind.NOISE_BEFORE)),
    (0.025, Fault(FaultKind.NOISE_AFTER)),
    (0.02, Fault(FaultKind.DELAY, seconds=1.2)),
)
"""1 % damaged, 1 % cut short, 5 % with noise, 2 % answered after everybody's time-out by a meter that queues."""


def _beyond_the_retry(line: LineReport, setting: Setting, round_time: float) -> int:
    """Count the values that no retry could have saved, as the line saw it.

    Where two or more requests to a meter failed one after the other, it loses a round, and every round that
    went by until the last of them was over. A request that had to wait behind a late reply of its meter
    counts as failed.
    """
    rounds = 0
    for unit in setting.units:
        failed: list[Heard] = []
        for one in (*(one for one in line.exchanges if one.unit == unit), None):
            if one is not None and _has_failed(one, setting):
                failed.append(one)
                continue
            if len(failed) > 1:
                over = max(each.reply_time or each.time for each in failed)
                rounds += 1 + int((over - failed[0].time) / round_time)
            failed = []
    return rounds * len(setting.keys)


def _has_failed(one: Heard, setting: Setting) -> bool:
    usual = request_time(one.block[2], setting.timing, setting.turnaround)
    late = one.reply_time is None or one.reply_time - one.time > usual + _LATE
    return late or one.fault in _DAMAGE


def faults(bench: Bench) -> Iterator[Row]:
    """A bad line: what is published must be true, complete and fresh."""
    scenario = "bad line: 1 % damaged, 1 % cut, 5 % noise, 2 % late from a queue; 5 × SDM120"
    bench.say(scenario)
    interval = 2.0
    clients: list[tuple[str, ClientFactory, float]] = [
        (OURS, line_client(fast_interval=interval), interval)
    ]
    if not bench.quick:
        clients += [
            (YAML, yaml_client(), 5.5),
            (BLOCKS, yaml_client(blocks=True), 3.0),
            (COORDINATOR, coordinator_client(interval=2, timeout=1), 2.5),
        ]
    rounds = {name: round_time for name, _, round_time in clients}
    cases = [
        Case(
            name=name,
            setting=_setting(SDM120, 5),
            factory=factory,
            warm_up=5 if name == OURS else 8,
            duration=10 if bench.quick else 100,
            trouble=Trouble(seed=20, chances=_CHANCES),
        )
        for name, factory, _ in clients
    ]
    for case, measured in bench.run_all(cases):
        name, setting, ours = case.name, measured.setting, case.name == OURS
        assert measured.line is not None
        seen = honesty(measured.published, setting, measured.since, measured.until, rounds[name])
        happened = Counter(one.fault for one in measured.line.exchanges if one.fault)
        bench.say(f"    {name}: {seen} {dict(happened)}")
        for figure, value, target in (
            ("values published", seen.values, None),
            ("wrong values published", seen.wrong, 0),
            ("values older than two rounds published as fresh", seen.old, 0),
            ("times a value stayed on show over two rounds", seen.kept, 0),
            (
                "values missed in a round",
                seen.missed,
                _beyond_the_retry(measured.line, setting, rounds[name]),
            ),
        ):
            yield Row(
                scenario=scenario,
                client=name,
                figure=figure,
                value=value,
                target=target if ours else None,
            )


def adapter_gone(bench: Bench) -> Iterator[Row]:
    """The USB adapter is pulled and put back."""
    for away in (3.0,) if bench.quick else (10.0, 26.0):
        scenario = f"adapter gone for {away:.0f} s; 5 × SDM120"
        bench.say(scenario)
        clients: list[tuple[str, ClientFactory, float]] = [(OURS, line_client(fast_interval=1), 4)]
        if not bench.quick and away == 10:
            clients += [
                (COORDINATOR, coordinator_client(), 15),
                (YAML, yaml_client(), 75),
            ]
        cases = [
            Case(
                name=name,
                setting=_setting(SDM120, 5),
                factory=factory,
                warm_up=5 if name == OURS else 8,
                duration=2 + away + patience,
                acts=((2, "unplug", ()), (2 + away, "plug", ())),
            )
            for name, factory, patience in clients
        ]
        for case, measured in bench.run_all(cases):
            name = case.name
            target = 1.0 if name == OURS else None
            back = measured.moments["plug"]
            times = [moment for moment, *_ in measured.published.values if moment > back]
            yield Row(
                scenario=scenario,
                client=name,
                figure="s from its return to the first value" + ("" if times else " (none came)"),
                value=(times[0] if times else measured.until) - back,
                target=target,
            )
            shown = [
                moment
                for moment, *_ in measured.published.values
                if measured.moments["unplug"] + 0.5 < moment < back
            ]
            yield Row(
                scenario=scenario,
                client=name,
                figure="values published without an adapter",
                value=len(shown),
                target=0 if target else None,
            )


def load(bench: Bench) -> Iterator[Row]:
    """32 meters × 40 quantities every second over Modbus TCP: processor, memory, event loop."""
    count = 8 if bench.quick else 32
    scenario = f"{count} meters × 40 quantities every second, Modbus TCP"
    bench.say(scenario)
    duration = 6.0 if bench.quick else 20.0
    costs: dict[str, float] = {}
    clients: list[tuple[str, ClientFactory]] = [
        (OURS, integration_client(fast_interval=1, other_interval=1)),
        (YAML, yaml_client()),
    ]
    if not bench.quick:
        clients += [(BLOCKS, yaml_client(blocks=True)), (LINE, line_client(fast_interval=1))]
    for name, factory in clients:
        setting = Setting(
            model=forty(),
            count=count,
            started=0,
            transport="tcp",
            turnaround=0,
            lively=True,
        )
        measured = bench.run(
            Case(
                name=name,
                setting=setting,
                factory=factory,
                warm_up=4 if bench.quick else 8,
                duration=duration,
            )
        )
        published = measured.published
        fresh = [one for one in published.values if one[0] >= measured.since]
        limit = 20 if name == OURS else None
        thousands = max(len(fresh), 1) / 1000
        costs[name] = published.cpu / thousands
        wanted = count * 40 * duration
        lags = sorted(published.lag)
        for figure, value, target in (
            ("values published, share of those wanted", len(fresh) / wanted, None),
            ("ms of processor time per thousand values", 1000 * costs[name], None),
            ("MB of memory on top of Home Assistant", _megabytes(published), None),
            ("ms that the event loop was held up at a time, most", 1000 * published.longest, limit),
            ("ms of event-loop lag, the machine's own included, most", 1000 * lags[-1], None),
            (
                "ms of event-loop lag, the machine's own included, 99 of 100",
                1000 * statistics.quantiles(lags, n=100)[-1],
                None,
            ),
        ):
            yield Row(scenario=scenario, client=name, figure=figure, value=value, target=target)
    for name in (rival for rival in costs if rival not in (OURS, LINE)):
        yield Row(
            scenario=scenario,
            client=OURS,
            figure=f"processor time per value, to that of {name}",
            value=costs[OURS],
            compared=costs[OURS] / costs[name],
            against=name,
        )


def bridge_lines(bench: Bench) -> Iterator[Row]:
    """Lines of bridges per second, with the cost of reading the same lines as plain JSON as the measure."""
    scenario = "lines of bridges, one processor"
    bench.say(scenario)
    count, rounds = (500, 3) if bench.quick else (4000, 7)
    for kind in KINDS:
        many = count // 50 if "rows" in kind else count
        cost = seconds_per_line(kind, USES, count=many, rounds=rounds)
        for name, seconds in cost.items():
            yield Row(
                scenario=scenario,
                client=OURS if name != JSON else JSON,
                figure=f"{kind}: lines a second, {name}",
                value=1 / seconds,
                compared=seconds / cost[JSON] if name != JSON else None,
                against=f"the time of {JSON}" if name != JSON else "",
                target=MOST.get(name) if kind == "full form" else None,
            )


def bridge_state(bench: Bench) -> Iterator[Row]:
    """From a bridge's line to the state, over TCP with a pairing key."""
    seconds = 6.0 if bench.quick else 120.0
    scenario = f"bridge over TCP with a key, {BRIDGE_METERS} meters once a second"
    bench.say(scenario)
    published, delays = run_bridge_state(seconds=seconds)
    delays.sort()
    for figure, value, target in (
        ("ms from line to state, median", 1_000 * statistics.median(delays), 20.0),
        ("ms from line to state, 99 of 100", 1_000 * delays[round(0.99 * (len(delays) - 1))], 50.0),
        ("lines measured", float(len(delays)), None),
        ("ms of the longest step of the event loop", 1_000 * published.longest, 20.0),
    ):
        yield Row(scenario=scenario, client=OURS, figure=figure, value=value, target=target)


def load_shedding(bench: Bench) -> Iterator[Row]:
    """From a reading over the limit to the call that switches a load off, and what watching costs."""
    scenario = f"load shedding, {LOADS} loads, {LIMITS} limits read once a second"
    bench.say(scenario)
    seconds = 8.0 if bench.quick else 120.0
    watched = run_load_shedding(shedding=True, seconds=seconds)
    alone = run_load_shedding(shedding=False, seconds=seconds / 4)
    reactions = sorted(1_000 * reaction for reaction in watched.notes[REACTIONS])
    cost = watched.cpu / seconds - alone.cpu / (seconds / 4)
    for figure, value, target in (
        ("ms from reading to switch call, median", statistics.median(reactions), 20.0),
        (
            "ms from reading to switch call, 99 of 100",
            reactions[round(0.99 * (len(reactions) - 1))],
            100.0,
        ),
        ("reactions measured", float(len(reactions)), None),
        ("% of one processor beyond what the sensors cost", 100 * cost, 5.0),
        ("ms of the longest step of the event loop", 1_000 * watched.longest, 20.0),
    ):
        yield Row(scenario=scenario, client=OURS, figure=figure, value=value, target=target)


def i2c_panel(bench: Bench) -> Iterator[Row]:
    """A hundred monitors on one I²C bus: bus time against the least, and what it costs Home Assistant."""
    seconds = 6.0 if bench.quick else 120.0
    for speed in (100_000,) if bench.quick else (100_000, 400_000):
        scenario = f"{MONITORS} I²C monitors × {len(PANEL_QUANTITIES)} quantities every second, {speed // 1000} kHz"
        bench.say(scenario)
        panel = run_panel(speed=speed, seconds=seconds)
        notes, lag = panel.notes, sorted(panel.lag)
        elapsed = notes[panels.ELAPSED]
        yield Row(
            scenario=scenario,
            client=OURS,
            figure="s of bus time per round",
            value=notes[panels.BUS_TIME] / notes[panels.ROUNDS],
            compared=notes[panels.BUS_TIME] / notes[panels.LEAST],
            against="the measurements alone",
            target=1.10,
        )
        for figure, value, target in (
            ("s between two rounds", elapsed / notes[panels.ROUNDS], 1.05),
            ("ms of event-loop lag, 99 of 100", 1_000 * lag[round(0.99 * (len(lag) - 1))], 10.0),
            ("ms of the longest step of the event loop", 1_000 * panel.longest, 20.0),
            (
                "% of one processor, without the simulation",
                100 * (panel.cpu / seconds - notes[panels.SIMULATION] / elapsed),
                None,
            ),
            ("entities", float(notes[panels.ENTITIES]), None),
            ("s from set-up to all of them shown", notes[panels.START_UP], 10.0),
            ("thousand rows per hour for the recorder", notes[panels.STATES] / elapsed * 3.6, None),
        ):
            yield Row(scenario=scenario, client=OURS, figure=figure, value=value, target=target)


def hub_panel(bench: Bench) -> Iterator[Row]:
    """A hundred circuits behind a remote hub: bytes, what it costs Home Assistant, and rows that a database gets."""
    seconds = 5.0 if bench.quick else 60.0
    scenario = (
        f"{CIRCUITS} circuits × 10 quantities every second through a remote hub, TCP with key"
    )
    bench.say(scenario)
    published, size, hello = run_hub(seconds=seconds)
    notes, lag = published.notes, sorted(published.lag)
    for figure, value, target in (
        ("bytes of a message with all circuits", size, 11_000.0),
        ("bytes of the hello", float(hello), 32_768.0),
        ("ms of event-loop lag, 99 of 100", 1_000 * lag[round(0.99 * (len(lag) - 1))], 10.0),
        ("ms of the longest step of the event loop", 1_000 * published.longest, 20.0),
        ("% of one processor", 100 * published.cpu / seconds, None),
        ("entities", float(notes[HUB_ENTITIES]), None),
        ("s from set-up to all of them shown", notes[HUB_START_UP], 10.0),
        (
            "thousand states written per hour, at this time of the day",
            notes[HUB_STATES] / notes[HUB_ELAPSED] * 3.6,
            None,
        ),
    ):
        yield Row(scenario=scenario, client=OURS, figure=figure, value=value, target=target)
    if bench.quick:
        return
    scenario = f"{CIRCUITS} circuits and a recorder, a minute of every third hour of a day"
    bench.say(scenario)
    rows, changes = run_recorded(seconds=60, hours=range(0, 24, 3))
    yield Row(
        scenario=scenario,
        client=OURS,
        figure="thousand rows in the database per hour",
        value=rows / 1000,
        compared=rows / changes,
        against="every change",
    )


def _megabytes(published: Published) -> float:
    return (published.memory - published.memory_before) / 1e6


SCENARIOS: Final[dict[str, Callable[[Bench], Iterator[Row]]]] = {
    "sweeps": sweeps,
    "pause": pause,
    "fast_power": fast_power,
    "one_silent": one_silent,
    "faults": faults,
    "adapter_gone": adapter_gone,
    "load": load,
    "bridge_lines": bridge_lines,
    "bridge_state": bridge_state,
    "load_shedding": load_shedding,
    "i2c_panel": i2c_panel,
    "hub_panel": hub_panel,
}
