"""What is the meter that answers? Every profile is weighed against what the meter's registers hold.

First the registers that profiles name for their identification are read, the most telling first, each
once. Where they leave no doubt, the named profile's own measurements confirm it and the rest is not read.
Otherwise voltage, then frequency, then power and counters are read where the profiles still in question
have them; profiles that agree so far are told apart by registers that only one of them has.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from ...model import Value
from .evidence import (
    CONTRADICTED,
    FAILED,
    IMPLAUSIBLE,
    NOT_AVAILABLE,
    REFUSED,
    coherence,
    holds,
    plausible,
    strength,
    worth,
)
from .link import SerialSettings
from .probe import ProbeChannel
from .profile import IdentityTest, Order, Profile, Register, RegisterType, Span, TestKind
from .reader import MeterLost, MeterReader
from .sunspec import common_before, find_model

type _Spot = Span | str
"""Where tests are read: a span, or the name of a standard function."""

_DECISIVE: Final = 7.0
"""Bits of identification from which a profile's measurements are looked at without reading on."""
_CERTAIN: Final = 14.0
_CERTAIN_BY_VALUES: Final = 24.0
"""Without any code: values alone, many of them and such as no other profile makes of the registers."""
_LIKELY: Final = 8.0
_AHEAD: Final = 4.0
"""Bits between the best and the next profile for the best to be certain."""
_HOPELESS: Final = 12.0
"""Profiles so many bits behind the best are not read for any more."""
_RIVALS: Final = 8.0
"""Profiles within so many bits of the best are told apart by further reads."""
_MOST_RIVALS: Final = 8
_READS_PER_RIVAL: Final = 3
_MOST_CANDIDATES: Final = 10
_CONFIDENCE_BITS: Final = {"high": 0.5, "medium": 0.0, "low": -1.0}
_FACTORY_SETTINGS_BITS: Final = 0.5
_OTHER_ORDER_BITS: Final = -2.0

_SUNSPEC_BITS: Final = 16.0

_VOLTAGES: Final = (
    "voltage_l1",
    "voltage",
    "voltage_l1_l2",
    "voltage_ll",
    "voltage_ch1",
    "voltage_l2",
)
_FREQUENCIES: Final = ("frequency", "frequency_l1", "frequency_fine", "frequency_ch1")
_MEASUREMENTS: Final = (
    "current_l1",
    "power_l1",
    "power_factor_l1",
    "power_l2",
    "power_l3",
    "power",
    "current",
    "power_factor",
    "current_ch1",
    "power_ch1",
)
_COUNTERS: Final = ("energy_import", "energy_total", "energy_export", "energy_import_ch1")
_PROOF: Final = (
    "voltage",
    "voltage_l1",
    "voltage_l2",
    "voltage_l3",
    "voltage_ch1",
    "current",
    "current_l1",
    "current_l2",
    "current_l3",
    "power",
    "power_l1",
    "power_l2",
    "power_l3",
    "power_ch1",
    "power_factor",
    "frequency",
    "energy_import",
    "energy_export",
    "energy_total",
    "energy_import_ch1",
)
_FIRMWARE: Final = ("firmware_version", "firmware_revision", "software_version")


class Certainty(StrEnum):
    """How sure a match is."""

    CERTAIN = "certain"
    LIKELY = "likely"
    POSSIBLE = "possible"


class ReasonKind(StrEnum):
    """Why a profile was put where it is; also a translation key."""

    CODE = "identified_by_code"
    """`value`: what the meter calls itself."""
    OWN_ADDRESS = "holds_own_address"
    VALUE = "plausible_value"
    """`quantity`, `value`, `unit`."""
    COHERENT = "values_agree"
    FAILED = "code_differs"
    IMPLAUSIBLE = "implausible_value"
    """`quantity`, `value`, `unit`."""
    REFUSED = "registers_missing"
    """`count`."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One piece of evidence, for people."""

    kind: ReasonKind
    placeholders: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """The reason in plain words, for logs and diagnostics."""
        return _WORDS[self.kind].format_map(self.placeholders)


_WORDS: Final[Mapping[ReasonKind, str]] = {
    ReasonKind.CODE: "the meter gives the model code {value}",
    ReasonKind.OWN_ADDRESS: "a register holds the address that the meter answers at",
    ReasonKind.VALUE: "{quantity} reads {value} {unit}",
    ReasonKind.COHERENT: "voltage, current and power agree with each other",
    ReasonKind.FAILED: "the model code is another one",
    ReasonKind.IMPLAUSIBLE: "{quantity} would read {value} {unit}",
    ReasonKind.REFUSED: "{count} of the registers are missing",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A profile that may be the meter's, and what the meter shows when read with it."""

    slug: str
    name: str
    score: float
    """Bits; only the order and the differences mean something."""
    certainty: Certainty
    reasons: tuple[Reason, ...]
    serial_number: str | None
    firmware: str | None
    values: Mapping[str, Value]
    """Live values by quantity key, in the quantities' units."""
    word_order: Order | None = None
    """Set where the values make sense only with another order than the profile's."""
    base_address: int = 0
    """Set where the registers were found elsewhere: SunSpec."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What a meter shows when read with one profile, chosen by whomever."""

    values: Mapping[str, Value]
    """Live values by quantity key; None where the meter marks it as not available."""
    missing: tuple[str, ...]
    """Quantities that the meter refused or did not answer."""
    serial_number: str | None
    firmware: str | None
    plausible: bool
    """Whether voltage, frequency, power factor and counters are such as a meter in use shows."""


@dataclass(slots=True)
class _Weighing:
    """A profile on the scales."""

    profile: Profile
    """As the meter has it: moved, where its block was found elsewhere."""
    registers: dict[str, Register]
    base_address: int = 0
    word_order: Order | None = None
    identity: float = 0.0
    """Bits from identification."""
    measured: float = 0.0
    """Bits from measurements."""
    prior: float = 0.0
    passed: list[Reason] = field(default_factory=list)
    """What the passed identification tests say."""
    contradicted: bool = False
    values: dict[str, Value] = field(default_factory=dict)
    judged: dict[str, float] = field(default_factory=dict)
    missing: int = 0
    reasons: list[Reason] = field(default_factory=list)

    @property
    def score(self) -> float:
        return self.prior + self.identity + self.measured + coherence(self.values)

    def has(self, keys: Iterable[str]) -> list[Register]:
        return [self.registers[key] for key in keys if key in self.registers]


async def identify(
    channel: ProbeChannel,
    unit_id: int,
    profiles: Sequence[Profile],
    *,
    timeout: float = 1.0,
    settings: SerialSettings | None = None,
) -> list[Candidate]:
    """Rank profiles by how well they fit the meter at an address; best first, hopeless ones left out.

    Args:
        channel: the line.
        unit_id: address of a meter that answers.
        profiles: to choose from.
        timeout: seconds for an answer as long as the meter's pace is not known.
        settings: line settings at which it answers, as a hint.

    Returns:
        At most ten; empty if the meter has stopped answering or nothing fits.

    Raises:
        ModbusConnectionError: the link is down.
    """
    reader = MeterReader(channel, unit_id, timeout=timeout)
    return await _Identification(reader, profiles, settings).run()


async def proof(
    channel: ProbeChannel,
    unit_id: int,
    profile: Profile,
    *,
    word_order: Order | None = None,
    variant: str | None = None,
    base_address: int = 0,
    timeout: float = 1.0,
) -> Proof:
    """Read a meter's main values with a profile, so that a user can see whether it fits.

    Args:
        channel: the line.
        unit_id: address of the meter.
        profile: to read with.
        word_order: instead of the profile's own.
        variant: of the profile.
        base_address: where the profile's registers begin: SunSpec.
        timeout: seconds for an answer as long as the meter's pace is not known.

    Raises:
        ModbusConnectionError: the link is down.
        MeterLost: the meter does not answer at all.
    """
    reader = MeterReader(channel, unit_id, timeout=timeout)
    common = await common_before(reader.words, base_address) if base_address else None
    arranged = profile.arranged(variant, base_address, common)
    values: dict[str, Value] = {}
    missing: list[str] = []
    sound = True
    for key in _PROOF:
        register = arranged.register(key)
        if register is None:
            continue
        if not await reader.obtain(register, wide=profile.wide_registers):
            missing.append(key)
            continue
        value = await reader.value(register, word_order=word_order, wide=profile.wide_registers)
        if isinstance(value, str):
            continue
        values[key] = value
        sound = sound and plausible(register, value) is not False
    serial_number, firmware = await _credentials(reader, arranged, word_order)
    return Proof(
        values=values,
        missing=tuple(missing),
        serial_number=serial_number,
        firmware=firmware,
        plausible=sound and any(value is not None for value in values.values()),
    )


class _Identification:
    """The weighing of all profiles against one meter."""

    def __init__(
        self, reader: MeterReader, profiles: Sequence[Profile], settings: SerialSettings | None
    ) -> None:
        self._reader = reader
        self._tests: dict[_Spot, list[tuple[_Weighing, IdentityTest]]] = defaultdict(list)
        self._all: list[_Weighing] = []
        self._sunspec: list[_Weighing] = []
        for profile in profiles:
            weighing = _Weighing(
                profile,
                {register.key: register for register in profile.registers},
                prior=_prior(profile, reader.unit_id, settings),
            )
            if profile.relocatable:
                self._sunspec.append(weighing)
                continue
            self._all.append(weighing)
            measured = {register.span for register in profile.registers}
            for test in profile.identification:
                spot: _Spot = test.function if test.register is None else test.register.span
                # A range for a measurement is judged with the measurements, and names no model.
                if test.kind is not TestKind.RANGE or spot not in measured:
                    self._tests[spot].append((weighing, test))

    async def run(self) -> list[Candidate]:
        """Weigh until the answer is clear, and return it."""
        try:
            decided = await self._read_identities()
            if decided is None:
                await self._look_for_sunspec()
                await self._measure()
                await self._tell_apart()
            return await self._candidates(decided)
        except MeterLost:
            return []

    # Identification registers

    async def _read_identities(self) -> _Weighing | None:
        """Read what profiles name for their identification; return the one that it decides for."""
        for spot in sorted(self._tests, key=self._worth_of_spot, reverse=True):
            await self._judge(spot)
            for weighing in self._all:
                if weighing.passed and weighing.identity >= _DECISIVE and not weighing.judged:
                    await self._finish_tests(weighing)
                    if weighing.identity < _DECISIVE:
                        continue
                    await self._confirm(weighing)
                    if weighing.score >= _CERTAIN:
                        return weighing
        return None

    def _worth_of_spot(self, spot: _Spot) -> tuple[float, float]:
        tests = self._tests[spot]
        best = max(strength(test, self._reader.unit_id) for _weighing, test in tests)
        # Standard functions are not known to many meters, and some fall silent on them.
        return (0.0 if isinstance(spot, str) else 1.0, best + len(tests))

    async def _finish_tests(self, weighing: _Weighing) -> None:
        """Tests at different places have to hold together, so the others of a profile come next."""
        for spot, tests in list(self._tests.items()):
            if any(each is weighing for each, _test in tests):
                await self._judge(spot)

    async def _judge(self, spot: _Spot) -> None:
        """Read one place and credit or debit every profile that names it."""
        tests = self._tests.pop(spot, [])
        by_profile: dict[int, list[tuple[_Weighing, IdentityTest]]] = defaultdict(list)
        for weighing, test in tests:
            by_profile[id(weighing)].append((weighing, test))
        outcomes: list[tuple[_Weighing, float | None, Reason | None]] = []
        for alternatives in by_profile.values():
            weighing = alternatives[0][0]
            best: float | None = None
            reason: Reason | None = None
            for _weighing, test in alternatives:
                raw = await self._raw(test)
                if holds(test, raw, self._reader.unit_id):
                    bits = strength(test, self._reader.unit_id)
                    if best is None or bits > best:
                        best, reason = bits, _passed(test, raw)
            outcomes.append((weighing, best, reason))
        strongest = max((bits for _w, bits, _t in outcomes if bits is not None), default=0.0)
        for weighing, won, reason in outcomes:
            if won is not None:
                weighing.identity += won
                if reason is not None:
                    weighing.passed.append(reason)
            elif strongest >= _DECISIVE:
                weighing.identity += CONTRADICTED
                weighing.contradicted = True
            else:
                weighing.identity += FAILED

    async def _raw(self, test: IdentityTest) -> Value | str:
        if test.register is None:
            return await self._reader.text(test.function)
        # Some meters give a code only to a read of exactly its register.
        if await self._reader.words(test.register.span) is None:
            return None
        return await self._reader.value(test.register)

    # SunSpec

    async def _look_for_sunspec(self) -> None:
        """Place the SunSpec profiles whose model is in the device's chain of blocks."""
        for waiting in self._sunspec:
            models = {
                int(value)
                for test in waiting.profile.identification
                if test.function == "sunspec"
                for value in test.values
            }
            address = await find_model(self._reader.words, models)
            if address is not None:
                common = await common_before(self._reader.words, address)
                profile = waiting.profile.arranged(None, address, common)
                self._all.append(
                    _Weighing(
                        profile,
                        {register.key: register for register in profile.registers},
                        base_address=address,
                        prior=waiting.prior,
                        identity=_SUNSPEC_BITS,
                        passed=[Reason(ReasonKind.CODE, {"value": "SunSpec"})],
                    )
                )

    # Measurements

    async def _confirm(self, weighing: _Weighing) -> None:
        await self._weigh_values(weighing, _VOLTAGES[:3])
        await self._weigh_values(weighing, _FREQUENCIES)
        await self._weigh_values(weighing, (*_MEASUREMENTS, *_COUNTERS))

    async def _measure(self) -> None:
        """Read ever more measurements of ever fewer profiles."""
        for keys in (_VOLTAGES, _FREQUENCIES):
            for weighing in self._promising():
                await self._weigh_values(weighing, keys, most=1)
        best = self._promising()[: 2 * _MOST_RIVALS]
        for weighing in best:
            await self._weigh_values(weighing, (*_MEASUREMENTS, *_COUNTERS))

    def _promising(self) -> list[_Weighing]:
        """Profiles that are not yet out of the question, best first."""
        ranked = sorted(self._all, key=lambda each: -each.score)
        return [each for each in ranked if each.score > ranked[0].score - _HOPELESS]

    async def _weigh_values(
        self, weighing: _Weighing, keys: Iterable[str], *, most: int | None = None
    ) -> None:
        taken = 0
        for register in weighing.has(keys):
            if most is not None and taken >= most:
                return
            if register.key in weighing.judged:
                continue
            taken += 1
            bits = await self._weigh_value(weighing, register)
            weighing.judged[register.key] = bits
            weighing.measured += bits

    async def _weigh_value(self, weighing: _Weighing, register: Register) -> float:
        wide = weighing.profile.wide_registers
        if not await self._reader.obtain(register, wide=wide):
            weighing.missing += 1
            return REFUSED
        value = await self._reader.value(register, word_order=weighing.word_order, wide=wide)
        sound = plausible(register, value)
        if sound is False and weighing.word_order is None and not weighing.values:
            other = _other_order(register)
            if other is not None:
                swapped = await self._reader.value(register, word_order=other)
                if plausible(register, swapped):
                    weighing.word_order = other
                    weighing.prior += _OTHER_ORDER_BITS
                    value, sound = swapped, True
        if isinstance(value, str) or value is None:
            return NOT_AVAILABLE
        if sound is None:
            return 0.0
        placeholders = {
            "quantity": register.key,
            "value": f"{value:.6g}",
            "unit": (register.quantity.unit if register.quantity else None) or "",
        }
        if not sound:
            weighing.reasons.append(Reason(ReasonKind.IMPLAUSIBLE, placeholders))
            return IMPLAUSIBLE
        weighing.values[register.key] = value
        if register.key in (*_VOLTAGES, *_FREQUENCIES):
            weighing.reasons.append(Reason(ReasonKind.VALUE, placeholders))
        return worth(register)

    # Telling apart what agrees so far

    async def _tell_apart(self) -> None:
        """Read registers that only some of the leading profiles have."""
        ranked = self._promising()
        if not ranked:
            return
        rivals = [each for each in ranked if each.score > ranked[0].score - _RIVALS]
        rivals = rivals[:_MOST_RIVALS]
        if len(rivals) < 2:
            return
        spans = {id(each): _measured_spans(each) for each in rivals}
        asked: dict[Span, Register] = {}
        for each in rivals:
            others = [spans[id(other)] for other in rivals if other is not each]
            own = sorted(
                spans[id(each)].items(),
                key=lambda item: -sum(item[0] not in other for other in others),
            )
            asked |= {
                span: register
                for span, register in own[:_READS_PER_RIVAL]
                if any(span not in other for other in others)
            }
        for span, register in asked.items():
            words = await self._reader.words(span)
            if words is not None and not any(words):
                continue  # Meters that know no better answer 0 for what they do not have.
            value = await self._reader.value(register)
            for each in rivals:
                own_register = spans[id(each)].get(span)
                if own_register is not None:
                    if words is None:
                        each.missing += 1
                    sound = plausible(own_register, value) is not False
                    each.measured += (1.0 if sound else -2.0) if words is not None else REFUSED
                elif words is not None and not self._covers(each, span):
                    each.measured -= 1.5

    def _covers(self, weighing: _Weighing, span: Span) -> bool:
        """Return whether the profile knows the registers, if in another shape."""
        return any(
            register.span.table is span.table
            and register.span.address < span.end
            and span.address < register.span.end
            for register in (*weighing.profile.registers, *weighing.profile.info)
        )

    # The outcome

    async def _candidates(self, decided: _Weighing | None) -> list[Candidate]:
        ranked = sorted(self._all, key=lambda each: -each.score)
        best = [each for each in ranked if each.score > 0 and (each.values or each.passed)]
        if decided is not None:
            best = [decided, *(each for each in best if each is not decided)]
        candidates = []
        for place, each in enumerate(best[:_MOST_CANDIDATES]):
            serial_number = firmware = None
            if place == 0 or each.score > best[0].score - _RIVALS:
                serial_number, firmware = await _credentials(
                    self._reader, each.profile, each.word_order
                )
            following = best[place + 1].score if place + 1 < len(best) else 0.0
            candidates.append(
                Candidate(
                    slug=each.profile.slug,
                    name=each.profile.name,
                    score=round(each.score, 1),
                    certainty=_certainty(place, each, following, decided is each),
                    reasons=_reasons(each),
                    serial_number=serial_number,
                    firmware=firmware,
                    values=dict(each.values),
                    word_order=each.word_order,
                    base_address=each.base_address,
                )
            )
        return candidates


def _prior(profile: Profile, unit_id: int, settings: SerialSettings | None) -> float:
    bits = _CONFIDENCE_BITS[profile.confidence]
    serial = profile.serial
    if serial is None:
        return bits
    if settings is not None and (serial.baudrate, serial.parity, serial.stopbits) == (
        settings.baudrate,
        settings.parity,
        settings.stopbits,
    ):
        bits += _FACTORY_SETTINGS_BITS
    if serial.unit_id == unit_id:
        bits += _FACTORY_SETTINGS_BITS
    return bits


def _passed(test: IdentityTest, raw: Value | str) -> Reason | None:
    """What a passed test says to people; nothing where answering at all was the test."""
    match test.kind:
        case TestKind.UNIT_ID | TestKind.HIGH_BYTE_UNIT_ID:
            return Reason(ReasonKind.OWN_ADDRESS)
        case TestKind.LISTED:
            return None
        case _:
            return Reason(ReasonKind.CODE, {"value": str(raw)})


def _other_order(register: Register) -> Order | None:
    """The other word order, where users may have set it: 32-bit floats only."""
    if register.type is not RegisterType.FLOAT32 or register.factor is not None:
        return None
    return "little" if register.word_order == "big" else "big"


def _measured_spans(weighing: _Weighing) -> dict[Span, Register]:
    return {register.span: register for register in weighing.profile.registers}


def _certainty(place: int, weighing: _Weighing, following: float, decided: bool) -> Certainty:
    if place > 0:
        return Certainty.POSSIBLE
    ahead = weighing.score - following
    coded = weighing.passed and weighing.score >= _CERTAIN and ahead >= _AHEAD
    measured = weighing.score >= _CERTAIN_BY_VALUES and ahead >= 2 * _AHEAD
    if decided or coded or measured:
        return Certainty.CERTAIN
    if weighing.score >= _LIKELY and ahead >= _AHEAD / 2:
        return Certainty.LIKELY
    return Certainty.POSSIBLE


def _reasons(weighing: _Weighing) -> tuple[Reason, ...]:
    reasons = [*weighing.passed, *weighing.reasons]
    if coherence(weighing.values) > 0:
        reasons.append(Reason(ReasonKind.COHERENT))
    if weighing.contradicted:
        reasons.append(Reason(ReasonKind.FAILED))
    if weighing.missing:
        reasons.append(Reason(ReasonKind.REFUSED, {"count": str(weighing.missing)}))
    return tuple(reasons)


async def _credentials(
    reader: MeterReader, profile: Profile, word_order: Order | None
) -> tuple[str | None, str | None]:
    """Serial number and firmware as the meter gives them."""
    serial = profile.info_register("serial_number")
    firmware = next(
        (found for key in _FIRMWARE if (found := profile.info_register(key)) is not None), None
    )
    return (
        await _text(reader, serial, word_order),
        await _text(reader, firmware, word_order),
    )


async def _text(
    reader: MeterReader, register: Register | None, word_order: Order | None
) -> str | None:
    if register is None:
        return None
    value = await reader.value(register, word_order=word_order)
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip() or None
