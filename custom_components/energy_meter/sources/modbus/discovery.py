"""Finding the meters on a link: addresses times line settings, likeliest first, reading only.

The search runs in up to three rounds over the settings: a look at the addresses that meters leave the
factory with, then all other addresses with as short a wait as the line's speed allows, then a patient
second look, in which slow meters and those that know input registers only are found. It ends with the
settings at which meters were found, since one line has one setting.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from enum import StrEnum
import errno
import logging
from typing import Final

from modbus_connection import ModbusConnectionError

from .identify import Candidate, identify
from .link import LinkSettings, RtuOverTcpLink, SerialLink, SerialSettings
from .probe import Patience, ProbeChannel, Question, Sighting, Sign, TemporaryChannel, look
from .profile import Profile

_LOGGER = logging.getLogger(__name__)

type ChannelFactory = Callable[[LinkSettings], AbstractAsyncContextManager[ProbeChannel]]
"""Lends the line as one link object describes it; the context gives it back."""


class Stage(StrEnum):
    """What the search is doing."""

    LIKELY = "likely"
    SWEEP = "sweep"
    PATIENT = "patient"
    IDENTIFY = "identify"


class Finding(StrEnum):
    """What else there is to tell the user about a search."""

    IGNORES_UNIT_ID = "ignores_unit_id"
    """The device answers for every address: it is one meter, not a gateway."""
    NOISE = "noise"
    """Nearly every address brings bytes that make no frame: echo, noise or wrong settings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundMeter:
    """An address at which something answers."""

    unit_id: int
    link: LinkSettings
    """The link with the settings at which it answers."""
    answer_time: float
    """Seconds from the request's start to the answer's end; 0 where it could not be told."""
    clear: bool = True
    """False where bytes came that make no frame: two meters with one address?"""
    candidates: tuple[Candidate, ...] = ()
    """Best first; empty before it is identified, or if nothing fits."""

    @property
    def best(self) -> Candidate | None:
        """The likeliest profile, if any fits."""
        return self.candidates[0] if self.candidates else None


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchProgress:
    """Where a search is."""

    fraction: float
    """0 to 1, never falling."""
    seconds_left: float
    """Estimate."""
    stage: Stage
    link: LinkSettings
    """The link with the settings being tried."""
    unit_id: int
    """The address being asked."""
    found: tuple[FoundMeter, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """What a search brought."""

    found: tuple[FoundMeter, ...]
    findings: frozenset[Finding] = frozenset()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One way to speak to the line and the addresses to ask in it."""

    link: LinkSettings
    patience: Patience
    likely: tuple[int, ...]
    others: tuple[int, ...]

    @property
    def local(self) -> bool:
        """Whether the port is at this machine, and so opens at once."""
        return isinstance(self.link, SerialLink) and self.link.device.startswith("/")


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPlan:
    """What to try, likeliest first."""

    settings: tuple[Setting, ...]
    gateway: bool = False
    """Whether something between us and the meters may answer in their name."""
    thorough: bool = False
    """Whether to go on after the first setting with meters, and to repeat every address patiently."""


_FIELD_WEIGHTS: Final = {
    (9600, "N", 1): 60,
    (9600, "E", 1): 14,
    (2400, "N", 1): 12,
    (19200, "E", 1): 8,
    (19200, "N", 1): 8,
    (115200, "N", 1): 4,
    (4800, "N", 1): 3,
    (38400, "N", 1): 3,
    (9600, "N", 2): 2,
    (1200, "N", 1): 1,
}
"""How often line settings are met, roughly: the commonest meters, and what installers set."""

_COMMON_ADDRESSES: Final = (1, 2)
_NETWORK_ADDRESSES: Final = (1, 255, 2, 3)
_CONTROL_ADDRESSES: Final = (231, 187)
"""Addresses so rarely used that a device which answers at both answers at all."""
_NETWORK_SWEEP: Final = range(1, 33)
_RECYCLE_EVERY: Final = 24
"""Unanswered requests after which a local port, which opens in 10 ms, is opened anew."""
_LEAST_ASKED_FOR_NOISE: Final = 6
_PROXY_LATENCY: Final = 0.05
_BRIDGE_LATENCY: Final = 0.1
"""Seconds that a wireless network adds to an answer, both ways together."""
_OPENING: Final = 0.3
"""Seconds that it takes to open a port, for the estimate."""
_IDENTIFYING: Final = 3.0
"""Seconds that it takes to identify a meter, for the estimate."""


def settings_by_likelihood(profiles: Iterable[Profile]) -> tuple[SerialSettings, ...]:
    """Line settings worth trying, likeliest first, by what is met and what the profiles say."""
    weights: Counter[SerialSettings] = Counter()
    for (baudrate, parity, stopbits), weight in _FIELD_WEIGHTS.items():
        key = SerialSettings(
            baudrate=baudrate,
            parity="E" if parity == "E" else "N",
            stopbits=2 if stopbits == 2 else 1,
        )
        weights[key] += weight
    for profile in profiles:
        serial = profile.serial
        if serial is not None and serial.baudrate is not None:
            weights[
                SerialSettings(
                    baudrate=serial.baudrate,
                    bytesize=serial.bytesize,
                    parity=serial.parity,
                    stopbits=serial.stopbits,
                )
            ] += 1
    return tuple(settings for settings, _weight in weights.most_common())


def plan_search(
    link: LinkSettings,
    profiles: Sequence[Profile],
    *,
    fixed: bool = False,
    thorough: bool = False,
    addresses: Iterable[int] | None = None,
) -> SearchPlan:
    """Work out what to try on a link.

    Args:
        link: where to search; its own settings are tried first.
        profiles: whose defaults tell what is likely.
        fixed: whether the settings must stay, as on a line that is running.
        thorough: see `SearchPlan`.
        addresses: only these, instead of all that can be there.
    """
    own = link.serial_settings
    transparent = own is not None or isinstance(link, RtuOverTcpLink | SerialLink)
    if not transparent:
        wanted = tuple(addresses or (range(1, 248) if thorough else _NETWORK_SWEEP))
        likely = (
            *_NETWORK_ADDRESSES,
            *(p.network_unit_id for p in profiles if p.network_unit_id is not None),
        )
        setting = _setting(link, Patience.network(), likely, wanted, addresses is not None)
        return SearchPlan(settings=(setting,), gateway=True, thorough=thorough)
    wanted = tuple(addresses or range(1, 248))
    if own is None or fixed:
        tried: Sequence[SerialSettings | None] = (own,)
    else:
        tried = tuple(dict.fromkeys((own, *settings_by_likelihood(profiles))))
    settings = []
    for choice in tried:
        line = link if choice is None else link.with_settings(choice)
        settings.append(
            _setting(
                line,
                _patience(line),
                (*_COMMON_ADDRESSES, *_factory_addresses(profiles, choice)),
                wanted,
                addresses is not None,
            )
        )
    return SearchPlan(settings=tuple(settings), thorough=thorough)


def _patience(link: LinkSettings) -> Patience:
    if isinstance(link, RtuOverTcpLink):
        return Patience.serial(link.timing(), latency=_BRIDGE_LATENCY)
    if isinstance(link, SerialLink):
        latency = 0.0 if link.device.startswith("/") else _PROXY_LATENCY
        return Patience.serial(link.timing(), latency=latency)
    return Patience.network()


def _factory_addresses(
    profiles: Iterable[Profile], settings: SerialSettings | None
) -> tuple[int, ...]:
    """Addresses that meters with these settings leave the factory with."""
    return tuple(
        dict.fromkeys(
            profile.serial.unit_id
            for profile in profiles
            if profile.serial is not None
            and profile.serial.unit_id is not None
            and (settings is None or profile.serial.baudrate in (None, settings.baudrate))
        )
    )


def _setting(
    link: LinkSettings,
    patience: Patience,
    likely: Iterable[int],
    wanted: Sequence[int],
    only_wanted: bool,
) -> Setting:
    first = tuple(dict.fromkeys(one for one in likely if not only_wanted or one in wanted))
    return Setting(
        link=link,
        patience=patience,
        likely=first,
        others=tuple(one for one in wanted if one not in first),
    )


async def search(
    plan: SearchPlan,
    channel_for: ChannelFactory,
    profiles: Sequence[Profile],
    on_progress: Callable[[SearchProgress], None] | None = None,
) -> SearchResult:
    """Search as planned and identify what is found; may be cancelled at any moment.

    Args:
        plan: from `plan_search`.
        channel_for: lends the line in one setting.
        profiles: to identify with; none leaves what is found unidentified.
        on_progress: called on the event loop before every address and after every find.

    Raises:
        ModbusConnectionError: the link cannot be opened, or went down and stayed so.
        Exception: whatever `channel_for` raises.
    """
    return await _Search(plan, channel_for, profiles, on_progress).run()


@dataclass(slots=True)
class _Search:
    """One run of a search."""

    plan: SearchPlan
    channel_for: ChannelFactory
    profiles: Sequence[Profile]
    on_progress: Callable[[SearchProgress], None] | None
    found: dict[tuple[LinkSettings, int], FoundMeter] = field(default_factory=dict)
    findings: set[Finding] = field(default_factory=set)
    swept: set[LinkSettings] = field(default_factory=set)
    refused: set[LinkSettings] = field(default_factory=set)
    """Settings that the port cannot be set to."""
    noisy: set[LinkSettings] = field(default_factory=set)
    """Settings at which nearly every address is unclear."""
    clock: Callable[[], float] = field(default_factory=lambda: asyncio.get_running_loop().time)
    done: float = 0.0
    """Estimated seconds of the work that is behind us."""
    left: float = 0.0
    """Estimated seconds of the work ahead."""
    fraction: float = 0.0

    async def run(self) -> SearchResult:
        settings, started = self.plan.settings, self.clock()
        self.left = sum(map(_cost, settings))
        for setting in settings:
            await self._visit(setting, Stage.LIKELY)
            if self._finished:
                break
        if not self._finished:
            for setting in settings:
                if setting.link not in self.swept:
                    await self._visit(setting, Stage.SWEEP)
                if self._finished:
                    break
        if not self._finished:
            self.left = sum(
                2 * len(setting.likely) * setting.patience.slow + _OPENING for setting in settings
            )
            for setting in settings:
                if setting.link not in self.noisy:
                    await self._visit(setting, Stage.PATIENT)
                if self._finished:
                    break
        return SearchResult(
            found=tuple(self.found.values()),
            findings=frozenset(self.findings),
            seconds=self.clock() - started,
        )

    @property
    def _finished(self) -> bool:
        if Finding.IGNORES_UNIT_ID in self.findings:
            return True
        return not self.plan.thorough and any(one.clear for one in self.found.values())

    async def _visit(self, setting: Setting, stage: Stage) -> None:
        """One stage at one setting, unless the port cannot be set to it."""
        if setting.link in self.refused:
            return
        try:
            await self._visit_open(setting, stage)
        except ModbusConnectionError as err:
            if not _refuses_setting(err):
                raise
            self.refused.add(setting.link)
            if len(self.refused) == len(self.plan.settings):
                raise

    async def _visit_open(self, setting: Setting, stage: Stage) -> None:
        """One stage; what is found is completed and identified while the line is ours."""
        async with self.channel_for(setting.link) as channel:
            visit = _Visit(self, setting, channel)
            match stage:
                case Stage.SWEEP:
                    await visit.sweep()
                case Stage.PATIENT:
                    await visit.patient()
                case _:
                    await visit.likely()
            if visit.clear and stage is not Stage.SWEEP:
                if self.plan.gateway and await visit.ignores_unit_id():
                    return
                await visit.sweep()
            await visit.identify()

    def spend(self, seconds: float) -> None:
        """Move estimated seconds from ahead to behind."""
        self.done += seconds
        self.left = max(self.left - seconds, 0.0)

    def report(self, setting: Setting, stage: Stage, unit_id: int) -> None:
        """Tell where the search is."""
        if self.on_progress is None:
            return
        total = self.done + self.left
        if total:
            self.fraction = min(max(self.fraction, self.done / total), 1.0)
        self.on_progress(
            SearchProgress(
                fraction=self.fraction,
                seconds_left=self.left,
                stage=stage,
                link=setting.link,
                unit_id=unit_id,
                found=tuple(self.found.values()),
            )
        )


def _cost(setting: Setting) -> float:
    """Estimated seconds of a setting's likely addresses and sweep, if nobody answers."""
    return (
        _OPENING
        + 2 * len(setting.likely) * setting.patience.likely
        + len(setting.others) * setting.patience.fast
    )


def _refuses_setting(err: BaseException | None) -> bool:
    """Return whether a port did not open for its settings: not every adapter has 7 bits or parity."""
    while err is not None:
        if isinstance(err, OSError) and err.errno == errno.EINVAL:
            return True
        err = err.__cause__
    return False


@dataclass(slots=True)
class _Visit:
    """A setting while the line is ours."""

    search: _Search
    setting: Setting
    channel: ProbeChannel
    patience: Patience = field(init=False)
    asked: int = 0
    unclear: int = 0
    unanswered: int = 0
    """Requests since the link was opened that brought nothing."""

    def __post_init__(self) -> None:
        self.patience = self.setting.patience

    @property
    def meters(self) -> list[FoundMeter]:
        return [
            one for (link, _unit_id), one in self.search.found.items() if link == self.setting.link
        ]

    @property
    def clear(self) -> bool:
        return any(one.clear for one in self.meters)

    async def likely(self) -> None:
        """Ask the addresses that meters leave the factory with, for holding, then input registers."""
        for question in Question:
            await self._ask_all(self.setting.likely, question, Stage.LIKELY)

    async def sweep(self) -> None:
        """Ask all other addresses with as short a wait as may be."""
        self.search.swept.add(self.setting.link)
        await self._ask_all(self.setting.others, Question.HOLDING, Stage.SWEEP)

    async def patient(self) -> None:
        """Ask the likely addresses again, waiting long; in a thorough search the others, too."""
        for question in reversed(Question):
            await self._ask_all(self.setting.likely, question, Stage.PATIENT)
        if self.search.plan.thorough:
            await self._ask_all(self.setting.others, Question.INPUT, Stage.LIKELY)

    async def _ask_all(self, addresses: Iterable[int], question: Question, stage: Stage) -> None:
        await self._recycle()
        for unit_id in addresses:
            if self._noisy:
                return
            await self._ask(unit_id, question, stage)
            if self.unanswered >= _RECYCLE_EVERY and self.setting.local:
                await self._recycle()

    async def _recycle(self) -> None:
        """Begin with a client that expects no late answers; on a running line that is the line's care."""
        if self.unanswered and isinstance(self.channel, TemporaryChannel):
            await self.channel.recycle()
        self.unanswered = 0

    async def _ask(self, unit_id: int, question: Question, stage: Stage) -> None:
        """Ask one address, and keep what is found there."""
        if (self.setting.link, unit_id) in self.search.found:
            return
        timeout = self._timeout(stage)
        self.search.report(self.setting, stage, unit_id)
        sighting = await self._look(unit_id, question, timeout)
        self.search.spend(timeout)
        self.asked += 1
        if sighting.sign is Sign.DOUBTFUL:
            sighting = await self._look(unit_id, question.other, timeout)
        elif sighting.sign is Sign.UNCLEAR:
            sighting = await self._look_again(unit_id, question)
        if sighting.sign in (Sign.NOTHING, Sign.DOUBTFUL):
            self.unanswered += 1
            return
        if sighting.sign is Sign.UNCLEAR:
            self.unclear += 1
            if self._noisy:
                self._forget_unclear()
                return
        if sighting.sign is Sign.ANSWER:
            if not sighting.answer_time:
                # It opened the link; how long the meter takes shows the second time.
                again = await self._look(unit_id, question, self.patience.slow)
                sighting = replace(sighting, answer_time=again.answer_time)
            self.patience = self.patience.learned(sighting.answer_time)
        self.search.found[(self.setting.link, unit_id)] = FoundMeter(
            unit_id=unit_id,
            link=self.setting.link,
            answer_time=sighting.answer_time,
            clear=sighting.sign is not Sign.UNCLEAR,
        )
        self.search.report(self.setting, stage, unit_id)

    def _timeout(self, stage: Stage) -> float:
        match stage:
            case Stage.SWEEP:
                return self.patience.fast
            case Stage.PATIENT:
                return self.patience.slow
            case _:
                return self.patience.likely

    async def _look(self, unit_id: int, question: Question, timeout: float) -> Sighting:
        """Look once, and once more if the link broke: some gateways hang up on what they do not know."""
        gateway = self.search.plan.gateway
        try:
            return await look(self.channel, unit_id, question, timeout, gateway=gateway)
        except ModbusConnectionError:
            try:
                return await look(self.channel, unit_id, question, timeout, gateway=gateway)
            except ModbusConnectionError:
                if gateway and self.search.found:
                    return Sighting(unit_id, Sign.NOTHING, 0.0)
                raise

    async def _look_again(self, unit_id: int, question: Question) -> Sighting:
        """A damaged answer may be chance: two more looks, without hurry."""
        sighting = Sighting(unit_id, Sign.UNCLEAR, 0.0)
        for _attempt in range(2):
            if isinstance(self.channel, TemporaryChannel):
                await self.channel.recycle()
            latest = await self._look(unit_id, question, self.patience.likely)
            if latest.sign is Sign.ANSWER:
                return latest
        return sighting

    @property
    def _noisy(self) -> bool:
        return self.asked >= _LEAST_ASKED_FOR_NOISE and self.unclear > 0.6 * self.asked

    def _forget_unclear(self) -> None:
        """Where all addresses are unclear, none of them is a meter."""
        self.search.findings.add(Finding.NOISE)
        self.search.noisy.add(self.setting.link)
        for meter in self.meters:
            if not meter.clear:
                del self.search.found[(self.setting.link, meter.unit_id)]

    async def ignores_unit_id(self) -> bool:
        """Return whether the device answers for any address; then only its first one is kept."""
        for unit_id in _CONTROL_ADDRESSES:
            sighting = await self._look(unit_id, Question.HOLDING, self.patience.likely)
            if sighting.sign is not Sign.ANSWER:
                return False
        first = self.meters[0]
        await self.identify()
        if await self._differs(first.unit_id, _CONTROL_ADDRESSES[0]):
            return False
        for meter in self.meters[1:]:
            del self.search.found[(self.setting.link, meter.unit_id)]
        self.search.findings.add(Finding.IGNORES_UNIT_ID)
        return True

    async def _differs(self, one: int, other: int) -> bool:
        """Return whether two addresses are known to be two meters, by their serial numbers."""
        meter = self.search.found[(self.setting.link, one)]
        if meter.best is None or meter.best.serial_number is None:
            return False
        profiles = [p for p in self.search.profiles if p.slug == meter.best.slug]
        candidates = await identify(self.channel, other, profiles, timeout=self.patience.value)
        return (
            not candidates
            or candidates[0].serial_number is None
            or candidates[0].serial_number != meter.best.serial_number
        )

    async def identify(self) -> None:
        """Find out what the meters at this setting are."""
        if not self.search.profiles:
            return
        for meter in self.meters:
            if not meter.clear or meter.candidates:
                continue
            self.search.left = max(self.search.left, _IDENTIFYING)
            self.search.report(self.setting, Stage.IDENTIFY, meter.unit_id)
            candidates = await identify(
                self.channel,
                meter.unit_id,
                self.search.profiles,
                timeout=max(self.patience.value, 4 * meter.answer_time),
            )
            self.search.spend(_IDENTIFYING)
            self.search.found[(self.setting.link, meter.unit_id)] = replace(
                meter, candidates=tuple(candidates)
            )
            self.search.report(self.setting, Stage.IDENTIFY, meter.unit_id)
