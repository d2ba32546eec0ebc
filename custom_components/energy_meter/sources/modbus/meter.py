"""One meter on a line: what to read of it, what it refuses, how it answers, what its registers say.

No I/O: the line asks for the next request, carries it out and hands back what came.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
import logging
import math
from typing import Any, Final

from ...model import Control, MeterInfo, Rate, Value
from ..base import MeterHealth, MeterListener
from .breaker import Breaker
from .codec import MissingRegisters, RegisterImage, decode
from .health import Counters
from .late import LateGuard, form_of
from .plan import Block, Cost, Limits, Need, Plan, alternatives, halves, plan
from .profile import Order, Profile, Register, Span, Table
from .refusals import Refused, Split
from .schedule import Group, Schedule, phase_of
from .timing import DEFAULT_TURNAROUND, LineTiming, Turnaround

_LOGGER = logging.getLogger(__name__)

REPLAN_AFTER: Final = 60.0
"""Least seconds between two plans for the sake of a turn-around learned better."""
REPLAN_SHARE: Final = 0.2
LEARNING_REQUESTS: Final = 5
WRONG_METER_PAUSE: Final = 10.0
STALE_GRACE: Final = 0.5
"""Seconds that a reading may be late on top of two rounds before it counts as missed."""
SERVICE_RETRY: Final = 30.0
"""Seconds after which factors and information that could not be read are tried again."""
FIRMWARE_KEYS: Final = ("firmware_version", "software_version", "firmware")
HARDWARE_KEYS: Final = ("hardware_version", "hardware")
SERIAL_NUMBER: Final = "serial_number"


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterConfig:
    """How one meter is to be read."""

    meter_id: str
    profile: Profile
    unit_id: int
    fast_interval: float = 5.0
    """Seconds; 0 reads as fast as the line allows."""
    counter_interval: float = 30.0
    """Seconds; 0 reads with every tenth fast reading."""
    slow_interval: float = 60.0
    serial_number: str | None = None
    """What the meter has to say for its serial number; None to take whatever answers."""
    wanted: frozenset[str] | None = None
    """Quantities to read; None for all."""
    fast_keys: frozenset[str] | None = None
    """Quantities to read at the fast rate; None for those whose rate is fast."""
    variant: str | None = None
    word_order: Order | None = None
    base_address: int | None = None
    """For a relocatable profile, where its block begins; None to look for it."""
    memory: Mapping[str, Any] | None = None
    """What `ModbusLine.memory` said when the meter was last read."""


@dataclass(slots=True)
class Item:
    """A request that waits for its turn."""

    block: Block
    deadline: float
    groups: frozenset[Group]
    split: Split | None = None
    confirming: bool = False
    """Whether the meter has refused it once already."""


def serial_text(value: Value | str) -> str | None:
    """Return a serial number as text; None where the meter gives none."""
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value).strip()
    return None if text in {"", "0"} else text


def _blocks_to_json(blocks: Iterable[Block]) -> list[list[Any]]:
    return [[block.span.table.value, block.span.address, block.span.count] for block in blocks]


class Meter:
    """State of one meter.

    Args:
        config: how to read it.
        listener: whom to tell.
        timing: of the line.
        guard: the unit's lost requests.
        now: monotonic clock.
        unix: time of day, seconds since 1970.
        index: number of the meter on its line, for taking turns.
        slot: the round, of ten, in which it reads its slow groups.
        patience_ceiling: most seconds to wait for an answer to begin.
    """

    def __init__(
        self,
        config: MeterConfig,
        listener: MeterListener,
        *,
        timing: LineTiming,
        guard: LateGuard,
        now: float,
        unix: float,
        index: int = 0,
        slot: int = 0,
        patience_ceiling: float = 1.0,
    ) -> None:
        """Work out what to read; nothing is due before `now`."""
        self.config = config
        self.listener = listener
        self.guard = guard
        self.breaker = Breaker()
        self.counters = Counters()
        self.image = RegisterImage()
        self.info: MeterInfo | None = None
        self.not_before = 0.0
        """No request before this time, so that late replies can pass."""
        self.fast_gap: float | None = None
        """Seconds between the last two fast readings."""
        self._timing = timing
        self.index = index
        self._slot = slot
        memory = config.memory or {}
        self._refused = Refused.from_memory(memory, unix)
        learned = memory.get("turnaround")
        known = isinstance(learned, int | float) and 0 < learned < 10
        self.turnaround = Turnaround(
            float(learned or 0) if known else config.profile.turnaround or DEFAULT_TURNAROUND,
            floor=timing.patience_floor,
            ceiling=patience_ceiling,
            learned=known,
        )
        self._planned_turnaround = self.turnaround.mean
        self._planned_at = now
        self._learned_requests = 0
        self._fast_at: float | None = None
        self._read_at: dict[str, float] = {}
        self._grace_from = now
        self._stale: set[str] = set()
        self._refusals: dict[Span, tuple[int, float]] = {}
        self._given: set[Need] = set()
        self._answered: set[Span] = set()
        self._remembered = self._refused.copy()
        self._accepted: dict[Table, int] = {}
        self._carry: set[Need] = set()
        self._pending: list[Item] = []
        self._turn_at = now
        self._info_values: dict[str, str] = {}
        self._serial_seen: str | None = None
        self.wrong: str | None = None
        """The serial number found instead of the configured one."""
        base = config.base_address
        if base is None and config.profile.relocatable:
            remembered = memory.get("base_address")
            base = remembered if isinstance(remembered, int) else None
        self.base_address = base
        remembered = memory.get("common_address")
        self._common_sought = "common_address" in memory and memory.get("base_address") == base
        self.common_address: int | None = None
        if self._common_sought and isinstance(remembered, int):
            self.common_address = remembered
        self._arrange(now)
        self.verified = not self._must_verify

    # What there is to read

    def _arrange(self, now: float) -> None:
        """Sort the profile's registers into groups and needs."""
        config = self.config
        self.profile = config.profile.arranged(
            config.variant, self.base_address or 0, self.common_address
        )
        self.register_bytes = 4 if self.profile.wide_registers else 2
        self._group_of: dict[Need, Group] = {}
        self._registers: dict[Need, list[Register]] = {}
        self._needs: dict[Group, set[Need]] = {}
        self._need_of_key: dict[str, Need] = {}
        wanted = config.wanted
        measured = [
            register
            for register in self.profile.registers
            if wanted is None or register.key in wanted
        ]
        for register in measured:
            need = self._need(register)
            self._want(need, self._group(register), register)
            self._need_of_key[register.key] = need
            for span in register.factor_spans:
                self._want(Need(span), Group.FACTORS, None)
        for register in self.profile.info:
            identity = register.key == SERIAL_NUMBER and self._expected_serial is not None
            self._want(
                Need(register.span, alone=True),
                Group.IDENTITY if identity else Group.INFO,
                register,
            )
        self._must_verify = Group.IDENTITY in self._needs
        self.schedule = Schedule(
            {
                Group.FAST: config.fast_interval,
                Group.COUNTER: config.counter_interval,
                Group.SLOW: config.slow_interval,
            },
            self._needs,
            now=now,
            phase=phase_of(self.index),
            slot=self._slot,
        )
        self._replan(now)

    def _need(self, register: Register) -> Need:
        """The registers that one request has to cover for the value to be right."""
        spans = register.coherent_spans
        if any(span.table is not register.span.table for span in spans):
            _LOGGER.warning(
                "%s: %s takes its scale or sign from another table and may lag behind",
                self.profile.slug,
                register.key,
            )
            return Need(register.span, register.alone)
        start = min(span.address for span in spans)
        end = max(span.end for span in spans)
        return Need(Span(register.span.table, start, end - start), register.alone)

    def _group(self, register: Register) -> Group:
        fast = self.config.fast_keys
        if register.key in fast if fast is not None else register.rate is Rate.FAST:
            return Group.FAST
        return Group.COUNTER if register.rate is Rate.COUNTER else Group.SLOW

    _URGENCY: Final = (
        Group.FAST,
        Group.FACTORS,
        Group.IDENTITY,
        Group.COUNTER,
        Group.SLOW,
        Group.INFO,
    )

    def _want(self, need: Need, group: Group, register: Register | None) -> None:
        before = self._group_of.get(need)
        if before is None or self._URGENCY.index(group) < self._URGENCY.index(before):
            if before is not None:
                self._needs[before].discard(need)
            self._group_of[need] = group
            self._needs.setdefault(group, set()).add(need)
        if register is not None:
            self._registers.setdefault(need, []).append(register)

    def set_slot(self, slot: int) -> None:
        """Take another of the ten rounds for the slow groups; what is due now stays due."""
        if slot != self._slot:
            self._slot = slot
            self.schedule.move(slot)

    @property
    def gap(self) -> float:
        """Pause that the meter needs between two requests, seconds."""
        return self.profile.min_gap

    @property
    def cost(self) -> Cost:
        """What a request to this meter takes."""
        return Cost(
            self._timing.request_overhead(self.turnaround.mean, self.gap),
            self._timing.byte,
            self.register_bytes,
        )

    def _replan(self, now: float) -> None:
        self._planned_at = now
        self._planned_turnaround = self.turnaround.mean
        profile = self.profile
        known = [
            span
            for register in (*profile.registers, *profile.info)
            for span in (*register.coherent_spans, *register.factor_spans)
        ]
        most = profile.max_registers
        if self._refused.longest:
            most = min(most, self._refused.longest[0])
        self.limits = Limits(
            max_registers=most,
            alignment=profile.alignment,
            strict=profile.strict,
            known=(*known, *profile.readable),
            apart=[register.span for register in profile.registers if register.alone],
            barred=self._refused.barred,
            refused=self._refused.whole,
        )
        self._plans: dict[frozenset[Group], Plan] = {}
        everything = self.plan(frozenset(self._needs))
        fast = self.plan(frozenset({Group.FAST}))
        self._addresses: dict[tuple[int, int], set[int]] = {}
        for block in (*everything.blocks, *fast.blocks):
            form = form_of(block.span, self.register_bytes)
            self._addresses.setdefault((form.function, form.size), set()).add(form.address)
        self.impossible = frozenset(everything.impossible)

    def plan(self, groups: frozenset[Group]) -> Plan:
        """Return the requests for these groups."""
        made = self._plans.get(groups)
        if made is None:
            needs = [need for group in groups for need in self._needs.get(group, ())]
            made = self._plans[groups] = plan(needs, self.limits, self.cost)
        return made

    def group_of(self, need: Need) -> Group | None:
        """How often a need is read; None if it is none of the meter's."""
        return self._group_of.get(need)

    @property
    def fast_cost(self) -> float:
        """Seconds on the line for one fast reading."""
        return self.cost.total(self.plan(frozenset({Group.FAST})).blocks)

    @property
    def extra_cost(self) -> float:
        """Seconds on the line that a reading of everything takes on top of a fast one."""
        whole = self.plan(frozenset({Group.FAST, Group.COUNTER, Group.SLOW}))
        return max(self.cost.total(whole.blocks) - self.fast_cost, 0)

    @property
    def keys(self) -> tuple[str, ...]:
        """Quantities that the meter delivers, in the profile's order."""
        barred = self._refused.barred
        return tuple(
            key
            for key, need in self._need_of_key.items()
            if need not in self.impossible and need.span not in barred
        )

    # When to read

    @property
    def must_locate(self) -> bool:
        """Whether the block's address has to be found before anything can be read."""
        profile = self.config.profile
        if not profile.relocatable:
            return False
        return self.base_address is None or (bool(profile.info) and not self._common_sought)

    @property
    def models(self) -> frozenset[int]:
        """SunSpec model ids, one of which the meter has to have."""
        return frozenset(
            int(value)
            for test in self.config.profile.identification
            if test.function == "sunspec"
            for value in test.values
        )

    def located(self, address: int, common: int | None, now: float) -> None:
        """The block begins here, and the common model before it, if there is one, there."""
        self.base_address = address
        self.common_address = common
        self._common_sought = True
        self._arrange(now)
        self.verified = not self._must_verify

    def ready_at(self) -> float:
        """When the meter has something to read, ignoring its breaker."""
        at = min(self._pending[0].deadline, self._turn_at) if self._pending else 0.0
        if not self._pending:
            at = self.schedule.next_at
        return max(at, self.not_before)

    def deadline(self, now: float, round_time: float) -> float | None:
        """By when its next request should be on the wire; None if there is nothing to do now."""
        if now < self.not_before:
            return None
        first = self.schedule.urgency(now, round_time)
        if self._pending:
            first = min(first, self._pending[0].deadline)
        return None if first == math.inf else first

    def take(self, now: float, round_time: float) -> tuple[Item | None, int]:
        """Return the next request, if any, and how many earlier ones were skipped as too late."""
        due = self.schedule.due(now)
        skipped = 0
        if due:
            deadlines = {group: self.schedule.deadline(group, now, round_time) for group in due}
            if not self._pending or min(deadlines.values()) <= self._pending[0].deadline:
                skipped = self._begin(due, deadlines, now)
        if not self._pending:
            return None, skipped
        return self._pending.pop(0), skipped

    def _begin(self, groups: frozenset[Group], deadlines: Mapping[Group, float], now: float) -> int:
        self._turn_at = now
        skipped = self.schedule.begun(groups, now)
        carried = self._carry
        if carried and self.breaker.closed:
            self._carry = set()
            needs = {need for group in groups for need in self._needs.get(group, ())} | {
                need for need in carried if need in self._group_of
            }
            made = plan(needs, self.limits, self.cost)
        else:
            made = self.plan(groups)
        lead = min(deadlines.values())
        items: list[Item] = []
        for block in made.blocks:
            of = frozenset(self._group_of[need] for need in block.needs)
            deadline = min((deadlines.get(group, lead) for group in of), default=lead)
            items.append(Item(block, deadline, of))
        covered = {need for block in made.blocks for need in block.needs}
        for item in self._pending:
            if covered.issuperset(item.block.needs) and item.split is None:
                skipped += item.deadline < now
                continue
            items.append(item)
        items.sort(key=self._order)
        self._pending = items
        return skipped

    def _order(self, item: Item) -> tuple[bool, float, int]:
        """Identity first until it is proven, then by deadline, factors before what needs them."""
        first = min((_WITHIN_TURN[group] for group in item.groups), default=9)
        return (self.verified or Group.IDENTITY not in item.groups, item.deadline, first)

    def probe(self) -> Item | None:
        """Return the cheapest request, to see whether a silent meter answers; None if there is none."""
        blocks = (
            self.plan(frozenset({Group.FAST})).blocks or self.plan(frozenset(self._needs)).blocks
        )
        if not blocks:
            return None
        block = min(blocks, key=lambda block: self.cost.of(block.span))
        groups = frozenset(self._group_of[need] for need in block.needs)
        return Item(block, 0.0, groups)

    def put_back(self, item: Item) -> None:
        """Ask for this again, before anything else of the meter."""
        self._pending.insert(0, item)

    def drop_turn(self) -> None:
        """Stop this round at its first silence; what was not read is read in the next."""
        for item in self._pending:
            self._carry.update(item.block.needs)
        self._pending.clear()

    def catch_up(self, now: float) -> None:
        """The meter answers again after a failure: read what was left out, not only in its next round."""
        waiting = {need for item in self._pending for need in item.block.needs}
        missing = {need for need in self._carry if need in self._group_of} - waiting
        self._carry.clear()
        for block in plan(missing, self.limits, self.cost).blocks:
            groups = frozenset(self._group_of[need] for need in block.needs)
            self._pending.append(Item(block, now, groups))
        self._pending.sort(key=self._order)

    def missed(self, item: Item) -> None:
        """A request and its retry brought nothing: read it in the next round, whatever is due then."""
        self._carry.update(need for need in item.block.needs if need in self._group_of)
        for group in item.groups & {Group.FACTORS, Group.IDENTITY, Group.INFO}:
            self.schedule.expedite(group, self._turn_at + SERVICE_RETRY)

    def restart(self, now: float, *, verify: bool) -> None:
        """Read everything anew, as after a start; the serial number first if the meter may be another."""
        self._pending.clear()
        self._carry.clear()
        self._grace_from = now
        self._stale.clear()
        self.not_before = 0.0
        if verify and self._must_verify:
            self.verified = False
        self.schedule.restart(now)

    # What to ask exactly

    def candidates(self, block: Block, now: float, *, other: bool) -> Iterator[Block]:
        """Yield requests for the block whose replies could not be mistaken, the best first.

        Args:
            block: what is wanted.
            now: monotonic clock.
            other: whether the block's own length is to be avoided.
        """
        if not other and self.guard.allows(form_of(block.span, self.register_bytes), now):
            yield block
        for each in alternatives(block, self.limits):
            form = form_of(each.span, self.register_bytes)
            if self.guard.allows(form, now) and not (
                self._addresses.get((form.function, form.size), set()) - {form.address}
            ):
                yield each

    def choose(self, block: Block, now: float, *, other: bool = False) -> Block | None:
        """Return a request for the block whose reply can only be its own; None if there is none now."""
        chosen = next(self.candidates(block, now, other=other), None)
        if chosen is not None:
            return chosen
        form = form_of(block.span, self.register_bytes)
        if self.guard.repeats(form, now) and not (
            self._addresses.get((form.function, form.size), set()) - {form.address}
        ):
            # Whichever of its requests a reply is to, it is for this very block.
            return block
        for resync in self.plan(frozenset(self._needs)).blocks:
            if self.guard.allows(form_of(resync.span, self.register_bytes), now):
                return resync
        if self.guard.quiet(now):
            self.guard.settle()
            return block
        return None

    # What came back

    def learn(self, turnaround: float, now: float) -> None:
        """Take one answer's turn-around; plan anew where it turns out to be another than thought."""
        first = not self.turnaround.learned
        self.turnaround.note(turnaround)
        self._learned_requests += 1
        off = abs(self.turnaround.mean - self._planned_turnaround)
        if off <= max(REPLAN_SHARE * self._planned_turnaround, 0.002):
            return
        early = self._learned_requests == LEARNING_REQUESTS
        if (early or now - self._planned_at >= REPLAN_AFTER) and not first:
            self._replan(now)

    def take_words(self, block: Block, words: list[int], now: float) -> dict[str, Value]:
        """Put what was read into the image and return the values that became known."""
        if not self._given:
            self._gives_something(now)
        span = block.span
        self.image.set(span, words)
        self._refusals.pop(span, None)
        self._answered.add(span)
        self._accepted[span.table] = max(self._accepted.get(span.table, 0), span.count)
        values: dict[str, Value] = {}
        fast = False
        for need in block.needs:
            group = self._group_of.get(need)
            if group is None:
                continue
            self._carry.discard(need)
            self._given.add(need)
            fast = fast or group is Group.FAST
            for register in self._registers.get(need, ()):
                value = self._decode(register)
                if register.quantity is None:
                    text = serial_text(value)
                    if text is not None:
                        self._info_values[register.key] = text
                elif value is not _MISSING and not isinstance(value, str):
                    values[register.key] = value
                    self._read_at[register.key] = now
                    self._stale.discard(register.key)
        if fast:
            if self._fast_at is not None:
                self.fast_gap = now - self._fast_at
            self._fast_at = now
        return values

    def _decode(self, register: Register) -> Value | str:
        try:
            return decode(register, self.image, word_order=self.config.word_order)
        except MissingRegisters:
            return _MISSING

    @property
    def _expected_serial(self) -> str | None:
        return serial_text(self.config.serial_number)

    def judge_identity(self, now: float) -> tuple[bool, str | None]:
        """Compare the serial number just read; return whether it fits, and what was found."""
        found = self._info_values.get(SERIAL_NUMBER)
        expected = self._expected_serial
        if expected is None or (found or "").casefold() == expected.casefold():
            self.verified, self.wrong = True, None
            return True, found
        self.verified = False
        self._pending.clear()
        self._carry.clear()
        self._stale.clear()
        self.not_before = now + WRONG_METER_PAUSE
        self.schedule.restart(now)
        return False, found

    def forget_serial(self) -> None:
        """Before the serial number is read: what it said last must not count."""
        self._info_values.pop(SERIAL_NUMBER, None)

    def new_info(self) -> MeterInfo | None:
        """Return who the meter is if that is news, else None."""
        profile, values = self.profile, self._info_values
        info = MeterInfo(
            meter_id=self.config.meter_id,
            manufacturer=profile.manufacturer,
            model=profile.model,
            serial_number=values.get(SERIAL_NUMBER),
            firmware=_first(values, FIRMWARE_KEYS),
            hardware=_first(values, HARDWARE_KEYS),
            phases=profile.phases,
            quantities=self.keys,
            controls=self.controls,
        )
        if info == self.info:
            return None
        self.info = info
        return info

    @property
    def controls(self) -> tuple[Control, ...]:
        """What users are offered."""
        return tuple(each.control for each in self.profile.controls if each.exposed)

    # Refusals

    def refused(self, item: Item, asked: Block, unix: float, now: float, *, certain: bool) -> bool:
        """The meter refused a request: confirm it, then find out by halves what is wrong with it.

        Return whether it is confirmed.

        Args:
            item: what was wanted.
            asked: the request that was sent for it.
            unix: time of day.
            now: monotonic clock.
            certain: whether the exception says that the address is wrong, and not that the meter has trouble.
        """
        count, since = self._refusals.get(asked.span, (0, now))
        self._refusals[asked.span] = (count + 1, since)
        single = asked.needs[0] if len(asked.needs) == 1 else None
        if asked.span in self._answered or single in self._given:
            # It has given this before: a meter that is starting, or has trouble.
            if now - since < REFUSAL_PROOF:
                self.missed(item)
                return False
        elif count + 1 < (CONFIRMATIONS if certain else DOUBTFUL_CONFIRMATIONS):
            if certain:
                self.put_back(item)
            else:
                self.missed(item)
            return False
        self._refusals.pop(asked.span, None)
        if Group.IDENTITY in item.groups:
            self.missed(item)  # What proves who the meter is, is asked for again whatever it says.
            return certain
        if asked.span != item.block.span:
            # Only the stand-in is refused; the block itself may still be right.
            self._refused.whole[asked.span] = unix
            self._replan(now)
            self.put_back(item)
            return True
        block = item.block
        parts = halves(block)
        if parts is None:
            need = block.needs[0]
            exact = block.span == self.limits.aligned(need.span) or need.alone
            (self._refused.barred if exact else self._refused.whole)[
                need.span if exact else block.span
            ] = unix
            _LOGGER.debug("%s refuses %s", self.config.meter_id, block.span)
            self._settle_split(item.split, 0, good=False, unix=unix)
            self._replan(now)
            if not exact:
                self._carry.add(need)
            if not self.keys:
                self._refuses_everything(now)
            return True
        self._refused.whole[block.span] = unix
        if item.split is not None:
            item.split.good = False
            self._settle_split(item.split, 0, good=False, unix=unix)
        self._replan(now)
        first_end = max(need.span.end for need in parts[0])
        second_start = min(need.span.address for need in parts[1])
        table = block.span.table
        gap = Span(table, first_end, second_start - first_end) if second_start > first_end else None
        split = Split(block.span, gap)
        new = [each for part in parts for each in plan(part, self.limits, self.cost).blocks]
        split.pending = len(new)
        self._pending[:0] = [Item(each, item.deadline, item.groups, split) for each in new]
        return True

    def _refuses_everything(self, now: float) -> None:
        """A meter that gives nothing at all is starting, or of another kind: that is not worth remembering."""
        self._refused = self._remembered.copy()
        self._replan(now)
        self._pending.clear()
        self._carry.clear()
        self.schedule.restart(now)
        self.not_before = now + NOT_READY_PAUSE

    @property
    def _proven(self) -> Refused:
        """What the meter refuses although it gives other things."""
        return self._refused if self._given else self._remembered

    def _gives_something(self, now: float) -> None:
        """What was refused before the meter gave anything at all, it may have refused because it was starting."""
        if self._refused != self._remembered:
            self._refused = self._remembered.copy()
            self._refusals.clear()
            self._replan(now)
            self.schedule.restart(now)

    def accepted(self, item: Item, unix: float, now: float) -> None:
        """A part of a request that was refused as a whole was answered."""
        if item.split is not None and self._settle_split(
            item.split, item.block.span.count, good=True, unix=unix
        ):
            self._replan(now)

    def _settle_split(self, split: Split | None, count: int, *, good: bool, unix: float) -> bool:
        """Both halves known: if both are good, the hole between them or the length was to blame."""
        if split is None:
            return False
        split.pending -= 1
        split.good = split.good and good
        split.longest = max(split.longest, count)
        if split.pending > 0 or not split.good:
            return False
        if split.gap is not None:
            self._refused.whole[split.gap] = unix
        elif self._accepted.get(split.span.table, 0) < split.span.count:
            self._refused.longest = (max(split.longest, 1), unix)
        return True

    def forget_old_refusals(self, unix: float, now: float) -> None:
        """Try again what was refused more than a week ago."""
        if self._refused.forget_old(unix):
            self._replan(now)

    # What to tell

    def stale_keys(self, now: float, round_time: float) -> frozenset[str]:
        """Return quantities that have newly missed two of their rounds."""
        if not self.verified or self.breaker.silent:
            return frozenset()
        limits = {
            group: 2 * self.schedule.period(group, round_time) + STALE_GRACE
            for group in (Group.FAST, Group.COUNTER, Group.SLOW)
        }
        missed: set[str] = set()
        for key, need in self._need_of_key.items():
            if key in self._stale:
                continue
            at = max(self._read_at.get(key, self._grace_from), self._grace_from)
            if now - at > limits[self._group_of[need]]:
                missed.add(key)
        self._stale |= missed
        return frozenset(missed)

    @property
    def memory(self) -> dict[str, Any]:
        """What is worth knowing after a restart, fit for JSON."""
        memory: dict[str, Any] = {}
        if self.turnaround.learned:
            memory["turnaround"] = round(self.turnaround.mean, 5)
        memory |= self._proven.to_memory()
        if self.config.profile.relocatable and self.base_address is not None:
            memory["base_address"] = self.base_address
            if self._common_sought:
                memory["common_address"] = self.common_address
        return memory

    @property
    def timings(self) -> dict[str, Any]:
        """Plan and learned times for diagnostics, fit for JSON; seconds."""
        groups = frozenset(self._needs)
        fast = self.plan(frozenset({Group.FAST}))
        return {
            "turnaround": self.turnaround.mean,
            "patience": self.turnaround.patience,
            "fast_interval": self.fast_gap,
            "fast_blocks": _blocks_to_json(fast.blocks),
            "blocks": _blocks_to_json(self.plan(groups).blocks),
            "fast_seconds": self.fast_cost,
            "extra_seconds": self.extra_cost,
            "impossible": [
                [need.span.table.value, need.span.address, need.span.count]
                for need in self.impossible
            ],
            "base_address": self.base_address,
            "in_step": self.guard.in_step,
            "failures": self.breaker.failures,
        }

    @property
    def health(self) -> MeterHealth:
        """How the meter fares."""
        counters = self.counters
        return MeterHealth(
            answering=self.breaker.closed and self.counters.requests > 0,
            requests=counters.requests,
            errors=counters.errors,
            retries=counters.retries,
            timeouts=counters.timeouts,
            answer_time=self.turnaround.mean if self.turnaround.learned else None,
            fast_interval=self.fast_gap,
            error_rate=counters.error_rate,
            refused=tuple(
                (span.table.value, span.address, span.count) for span in self._proven.barred
            ),
        )

    def inherit(self, other: Meter) -> None:
        """Go on where the same meter's state before a change of its configuration stood."""
        self.breaker = other.breaker
        self.counters = other.counters
        self.turnaround = other.turnaround
        self.info = other.info
        self.fast_gap = other.fast_gap


REFUSAL_PROOF: Final = 600.0
"""Seconds for which registers that were read before have to be refused until that is believed."""
NOT_READY_PAUSE: Final = 30.0
"""Seconds after which a meter that refuses everything is asked again."""
CONFIRMATIONS: Final = 2
"""How often an illegal address has to be refused before it is believed."""
DOUBTFUL_CONFIRMATIONS: Final = 5
"""How often a device failure, which some meters say for an illegal address."""

_MISSING: Final = "\0missing"
_WITHIN_TURN: Final = {
    Group.IDENTITY: 0,
    Group.FACTORS: 1,
    Group.FAST: 2,
    Group.COUNTER: 3,
    Group.SLOW: 4,
    Group.INFO: 5,
}


def _first(values: Mapping[str, str], keys: Iterable[str]) -> str | None:
    return next((values[key] for key in keys if key in values), None)


def utc_now() -> datetime:
    """The time of day, for readings."""
    return datetime.now(UTC)
