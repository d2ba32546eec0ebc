"""A house with a supply, loads, people and faults, to run the controller in; it checks the rules as it goes.

What it checks it works out from its own truth: what really flows, what really was measured and sent.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from random import Random

from custom_components.energy_meter.load_shedding import (
    Act,
    Controller,
    Dimming,
    Entry,
    Event,
    Limit,
    Load,
    Measure,
    Memory,
    Observation,
    Phase,
    Plan,
    Settings,
    Urgency,
)

START = 1_800_000_000.0
PHASES = tuple(Phase)


@dataclass
class Device:
    """What stands behind a load."""

    load: Load
    draws: float
    """W while it is on; a dimmable one takes what it is set to, and not more than this."""
    on: bool = True
    level: float | None = None
    latency: float = 0.3
    """Seconds until it has done what it is told."""
    measured: bool = False
    deaf: bool = False
    """It hears and does nothing."""
    online: bool = True
    since: float = START - 100_000.0
    sheds: list[float] = field(default_factory=list)
    restores: list[float] = field(default_factory=list)
    held_until: float = 0.0

    @property
    def watts(self) -> float:
        """What it takes."""
        if not self.on:
            return 0.0
        if self.load.dimming is not None:
            assert self.level is not None
            return min(self.draws, self.load.dimming.power(self.level))
        return self.draws

    def seen(self) -> Observation:
        """What is seen of it from outside."""
        if not self.online:
            return Observation(available=False)
        return Observation(
            available=True,
            on=self.on,
            level=self.level,
            power=self.watts if self.measured else None,
            since=self.since,
        )

    def set(self, on: bool, level: float | None, now: float) -> None:
        """Switch it."""
        if on != self.on:
            self.since = now
        self.on = on
        if level is not None:
            self.level = level


class House:
    """Runs second by second."""

    def __init__(self, plan: Plan, devices: Iterable[Device], *, period: int = 1) -> None:
        """Furnish it; every limit is read every `period` seconds."""
        self.now = START
        self.plan = plan
        self.devices = {device.load.id: device for device in devices}
        self.period = period
        self.base: dict[Phase, float] = dict.fromkeys(PHASES, 0.0)
        self.silent: set[str] = set()
        """Limits whose sensor says nothing."""
        self.frozen: dict[str, float] = {}
        """Limits whose sensor repeats a value."""
        self.bounds = {limit.id: limit.value or 1_000.0 for limit in plan.limits}
        self.controller = Controller(plan, now=self.now)
        self.acts: list[tuple[float, Act]] = []
        self.journal: list[Entry] = []
        self.readings: dict[str, deque[tuple[float, float, float]]] = {
            limit.id: deque() for limit in plan.limits
        }
        self._told: list[tuple[float, Act]] = []
        self._wake: float | None = None
        self._over: dict[str, float] = {}
        for device in self.devices.values():
            self._show(device)

    # The truth

    def flows(self, limit: Limit) -> float:
        """What really flows at a limit, in its unit."""
        phases = PHASES if limit.phase is None else (limit.phase,)
        watts = sum(self.base[phase] for phase in phases)
        value = self.plan.in_unit(limit, watts)
        for device in self.devices.values():
            value += self.plan.effect(device.load, limit, device.watts)
        return value

    # What happens

    def restart(self) -> None:
        """Home Assistant is started anew: only what is stored is left."""
        stored = self.controller.memory.to_json()
        self.journal += self.controller.memory.journal.take_new()
        self.controller = Controller(self.plan, Memory.from_json(stored), now=self.now)
        for device in self.devices.values():
            self._show(device)
        for limit_id in self.readings:
            self.readings[limit_id].clear()
        self._over.clear()

    def by_hand(self, load_id: str, on: bool) -> None:
        """A person switches a load."""
        device = self.devices[load_id]
        if device.online:
            dimming = device.load.dimming
            level = None if dimming is None else (device.level if on else 0.0)
            if dimming is not None and on:
                level = max(device.level or 0.0, dimming.minimum)
            device.set(on, level, self.now)
            self._show(device)

    def away(self, load_id: str, away: bool) -> None:
        """A load loses its network, or is back."""
        self.devices[load_id].online = not away
        self._show(self.devices[load_id])

    def follow(self, limit_id: str, bound: float) -> None:
        """What a limit follows has changed."""
        self.bounds[limit_id] = bound
        assert self.controller.bound(limit_id, bound, self.now)
        readings = self.readings[limit_id]
        if readings:
            readings.append((readings[-1][0], readings[-1][1], bound))
        self._step()

    def widen(self) -> None:
        """Let the limits be what nobody reaches."""
        limits = []
        for limit in self.plan.limits:
            bound = 1_000.0 * (1 if limit.measure is Measure.CURRENT else 230.0)
            if limit.value is not None:
                self.bounds[limit.id] = bound
                if readings := self.readings[limit.id]:
                    readings.append((readings[-1][0], readings[-1][1], bound))
            limits.append(limit if limit.value is None else replace(limit, value=bound))
        self.plan = replace(self.plan, limits=tuple(limits))
        self.controller.configure(self.plan, self.now)
        for limit in limits:
            if limit.value is None:
                self.follow(limit.id, 1_000.0 * (1 if limit.measure is Measure.CURRENT else 230.0))
        self._step()

    def run(self, seconds: int) -> None:
        """Let time pass."""
        for _ in range(seconds):
            self.now += 1.0
            self._carry_out()
            if int(self.now - START) % self.period == 0:
                self._read()
            elif self._wake is not None and self._wake <= self.now:
                self._step()
            self._check_reaction()

    # Inside

    def _show(self, device: Device) -> None:
        self.controller.observe(device.load.id, device.seen(), self.now)

    def _carry_out(self) -> None:
        due = [told for told in self._told if told[0] <= self.now]
        self._told = [told for told in self._told if told[0] > self.now]
        for _at, act in due:
            device = self.devices[act.load]
            if device.online and not device.deaf:
                on = act.on if act.level is None else act.level > 0
                device.set(on, act.level, self.now)
            self._show(device)

    def _read(self) -> None:
        for limit in self.plan.limits:
            if limit.value is None:
                self.controller.bound(limit.id, self.bounds[limit.id], self.now)
            if limit.id in self.silent:
                continue
            value = self.frozen.get(limit.id, self.flows(limit))
            if self.controller.reading(limit.id, value, self.now):
                self._note(limit, value)
        for device in self.devices.values():
            if device.measured:
                self._show(device)
        self._step()

    def _note(self, limit: Limit, value: float) -> None:
        readings = self.readings[limit.id]
        if readings and self.now - readings[-1][0] > limit.freshness:
            readings.clear()
        readings.append((self.now, value, self.bounds[limit.id]))
        while readings[0][0] < self.now - 4_000:
            readings.popleft()

    def _step(self) -> None:
        acts = self.controller.step(self.now)
        entries = self.controller.memory.journal.take_new()
        self.journal += entries
        hour = sum(at > self.now - 3_600 for at, _ in self.acts)
        for act in acts:
            self._check(act, acts, entries, hour)
            if not act.rehearsal:
                self.acts.append((self.now, act))
                device = self.devices[act.load]
                (device.restores if act.on else device.sheds).append(self.now)
                self._told.append((self.now + device.latency, act))
        self._wake = self.controller.wake(self.now)

    # The rules

    def _check(self, act: Act, acts: list[Act], entries: list[Entry], hour: int) -> None:
        device, settings = self.devices[act.load], self.plan.settings
        load = device.load
        assert not load.protected, "a protected load was switched"
        assert device.online, "a load was told something that cannot hear it"
        entry = next(
            one
            for one in entries
            if one.load == load.id and one.event in {Event.SHED, Event.RESTORED}
        )
        if entry.by_hand:
            return
        assert len(acts) <= settings.per_pass, "more than the cap per pass"
        assert hour + len(acts) <= settings.per_hour, "more than the cap per hour"
        runs = self.now - device.since
        if act.on:
            whole = load.dimming is None or not device.on
            assert not whole or runs >= load.min_off - 1e-6, "back before its time"
            assert load.restorable, "a load came back that may not by itself"
            if not act.rehearsal:
                self._check_room(device, act)
        else:
            assert runs >= load.min_on - 1e-6, "off before its time"
            assert self.now >= device.held_until, "a person's wish was not respected"
            assert entry.limit is not None
            limit = next(one for one in self.plan.limits if one.id == entry.limit)
            at, value, _bound = self.readings[limit.id][-1]
            assert self.now - at <= limit.freshness, "acted on an old reading"
            assert value > self.bounds[limit.id], "off without a need"
            assert self.plan.effect(load, limit, 1.0) > 0, "off though it does not help"

    def _check_room(self, device: Device, act: Act) -> None:
        """There was room for the load and the margin throughout the delay, as far as was measured."""
        settings, load = self.plan.settings, device.load
        assert self.controller.memory.load(load.id).shed is not None
        watts = device.draws if load.dimming is None else 0.0
        if load.dimming is not None:
            assert act.level is not None and device.level is not None
            watts = load.dimming.power(act.level) - load.dimming.power(device.level)
        elif load.power is not None:
            watts = load.power
        for limit in self.plan.limits:
            more = self.plan.effect(load, limit, watts)
            if more <= 0:
                continue
            readings = self.readings[limit.id]
            assert readings and self.now - readings[-1][0] <= limit.freshness, "back unseen"
            assert readings[0][0] <= self.now - settings.restore_delay, "back too early"
            # A reading counts until the next one.
            since = self.now - settings.restore_delay
            rooms = [
                bound - value
                for (_at, value, bound), (until, _value, _bound) in pairwise(readings)
                if until > since
            ]
            rooms.append(readings[-1][2] - readings[-1][1])
            margin = self.plan.in_unit(limit, settings.margin)
            assert more + margin <= min(rooms) + 1e-6, "no room"

    def _check_reaction(self) -> None:
        """A hard limit that a reading shows exceeded is answered within two seconds, if it can be."""
        if not self.controller.memory.enabled or self.controller.memory.rehearsal:
            return
        for limit in self.plan.limits:
            readings = self.readings[limit.id]
            exceeded = (
                limit.urgency is Urgency.HARD
                and bool(readings)
                and self.now - readings[-1][0] <= limit.freshness
                and readings[-1][1] > self.bounds[limit.id] + 1e-6
                and self.controller.stopped_until(limit.id, self.now) is None
                and self.controller.memory.recent(self.now) < self.plan.settings.per_hour
                and self.controller.unseen(self.controller.gauges[limit.id]) <= 0
                and any(
                    self.controller.why_on(load.id, self.now) is None
                    and self.plan.effect(load, limit, self.controller.draw(load) or 0.0) > 0
                    for load in self.plan.loads
                )
            )
            # With a cap per pass, the limits are answered one after another.
            answers = bool(self.acts) and self.acts[-1][0] > self.now - 2.0
            if not exceeded or answers:
                self._over.pop(limit.id, None)
                continue
            since = self._over.setdefault(limit.id, self.now)
            assert self.now - since <= limit.delay + 2.0, "a hard limit was not answered in time"


def random_house(seed: int) -> tuple[House, Random]:
    """Any house: one or three phases, one to four limits, up to eight loads of every kind."""
    rng = Random(seed)
    three = rng.random() < 0.6
    limits = []
    for number in range(rng.randint(1, 3 if three else 2)):
        current = rng.random() < 0.5
        phase = rng.choice(PHASES) if three and (current or rng.random() < 0.4) else None
        hard = number == 0 or rng.random() < 0.5
        value = rng.choice((16.0, 25.0, 35.0, 63.0)) * (1 if current else 230.0)
        limits.append(
            Limit(
                id=f"limit{number}",
                name=f"Limit {number}",
                measure=Measure.CURRENT if current else Measure.POWER,
                value=value if rng.random() < 0.85 else None,
                phase=phase,
                urgency=Urgency.HARD if hard else Urgency.SOFT,
                delay=rng.choice((0.0, 0.0, 1.0, 2.0)) if hard else rng.choice((0.0, 30.0, 90.0)),
                freshness=rng.choice((15.0, 30.0, 60.0)),
            )
        )
    devices = []
    for number in range(rng.randint(1, 8)):
        power = rng.uniform(200, 4_000)
        dimming = None
        if rng.random() < 0.25:
            dimming = Dimming(
                minimum=6.0,
                step=rng.choice((0.5, 1.0, 2.0)),
                watts=rng.choice((230.0, 690.0)),
                off=rng.choice((None, 0.0)),
            )
        known = rng.random() < 0.7
        phases: frozenset[Phase] = frozenset()
        if three:
            phases = frozenset(PHASES) if rng.random() < 0.3 else frozenset({rng.choice(PHASES)})
        device = Device(
            Load(
                id=f"load{number}",
                name=f"Load {number}",
                order=rng.randint(1, 5),
                power=power if known and dimming is None else None,
                phases=phases,
                limits=frozenset({rng.choice(limits).id}) if rng.random() < 0.1 else frozenset(),
                min_on=rng.choice((0.0, 0.0, 20.0, 120.0)),
                min_off=rng.choice((0.0, 0.0, 30.0, 200.0)),
                restorable=rng.random() < 0.9,
                protected=rng.random() < 0.15,
                dimming=dimming,
            ),
            # What is expected is the most; it may be less.
            draws=power * (rng.uniform(0.5, 1.0) if known else 1.0),
            on=rng.random() < 0.85,
            latency=rng.choice((0.1, 0.5, 1.5)),
            measured=not known or rng.random() < 0.4,
            deaf=rng.random() < 0.05,
        )
        if dimming is not None:
            device.draws = 11_040.0
            device.level = rng.choice((8.0, 10.0, 16.0)) if device.on else 0.0
        devices.append(device)
    settings = Settings(
        margin=rng.choice((100.0, 300.0)),
        restore_delay=rng.choice((10.0, 20.0, 40.0)),
        per_pass=rng.randint(1, 4),
        per_hour=rng.choice((6, 20, 60)),
        hold=rng.choice((60.0, 300.0)),
    )
    plan = Plan(tuple(limits), tuple(device.load for device in devices), settings)
    house = House(plan, devices, period=rng.choice((1, 1, 2, 5, 10)))
    for limit in limits:
        if limit.value is None:
            house.bounds[limit.id] = 25.0 * (1 if limit.measure is Measure.CURRENT else 230.0)
    return house, rng
