"""Loss, repetition and order of a bridge's numbered messages."""

from hypothesis import given, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
import pytest

from custom_components.energy_meter.sources.bridge.sequence import (
    ASK_AGAIN,
    JUMP,
    MAX_BOOTS,
    MAX_HELD,
    PATIENCE,
    Delivery,
    Instant,
    SequenceTracker,
)


class Taker:
    """A tracker with a clock; items are their own numbers."""

    def __init__(
        self, memory: list[list[object]] | None = None, *, resendable: bool = True
    ) -> None:
        self.tracker: SequenceTracker[tuple[object, int]] = SequenceTracker(memory or [])
        self.resendable = resendable
        self.now = 100.0
        self.tracker.resume(self.now)
        self.late: list[int] = []

    def take(self, *numbers: int, boot: int | str | None = 17, ago: float = 0.0) -> list[int]:
        out = []
        for number in numbers:
            when = Instant(self.now - ago, 1.8e9 + self.now - ago)
            taken = self.tracker.take(
                boot, number, (boot, number), when, now=self.now, resendable=self.resendable
            )
            out += [delivery.item[1] for delivery in taken]
            self.late += [delivery.item[1] for delivery in taken if delivery.late]
        return out

    def wait(self, seconds: float) -> list[int]:
        self.now += seconds
        return [delivery.item[1] for delivery in self.tracker.tick(self.now)]

    def gone(self, first: int, last: int) -> list[int]:
        return [each.item[1] for each in self.tracker.gone(17, first, last, now=self.now)]


def test_what_comes_in_order_is_used_at_once() -> None:
    taker = Taker()
    assert taker.take(1, 2, 3) == [1, 2, 3]
    assert (taker.tracker.lost, taker.tracker.repeated) == (0, 0)


def test_what_comes_twice_is_used_once() -> None:
    taker = Taker()
    assert taker.take(1, 2, 2, 1, 3, 3) == [1, 2, 3]
    assert taker.tracker.repeated == 3


def test_the_first_number_of_an_unknown_bridge_is_where_it_begins() -> None:
    assert Taker().take(1042, 1043) == [1042, 1043]


def test_a_gap_is_asked_for_and_filled_in_order() -> None:
    taker = Taker()
    assert taker.take(1, 4, 5) == [1]
    assert taker.tracker.requests(taker.now) == [(17, 2, 3)]
    assert taker.take(2) == [2]
    assert taker.take(3) == [3, 4, 5]
    assert taker.tracker.lost == 0


def test_a_gap_is_asked_for_again_but_not_without_end() -> None:
    taker = Taker()
    taker.take(1, 4)
    assert len(taker.tracker.requests(taker.now)) == 1
    assert taker.tracker.requests(taker.now + ASK_AGAIN - 0.1) == []
    assert len(taker.tracker.requests(taker.now + ASK_AGAIN)) == 1
    assert taker.wait(PATIENCE) == [4]
    assert taker.tracker.requests(taker.now) == []
    assert taker.tracker.resends == 2


def test_patience_ends() -> None:
    taker = Taker()
    assert taker.take(1, 4, 5) == [1]
    assert taker.wait(PATIENCE - 0.1) == []
    assert taker.wait(0.2) == [4, 5]
    assert taker.tracker.lost == 2


def test_while_the_link_is_down_nothing_is_given_up() -> None:
    taker = Taker()
    taker.take(1, 3)
    taker.tracker.pause()
    assert taker.wait(1000) == []
    taker.tracker.resume(taker.now)
    assert taker.wait(PATIENCE - 0.1) == []
    assert taker.take(2) == [2, 3]


def test_what_the_bridge_no_longer_has_is_lost_at_once() -> None:
    taker = Taker()
    taker.take(1, 6, 7)
    assert taker.gone(2, 3) == []
    assert taker.take(4) == [4]
    assert taker.gone(5, 5) == [6, 7]
    assert taker.tracker.lost == 3


def test_gone_in_the_middle_of_a_gap_is_remembered() -> None:
    taker = Taker()
    taker.take(1, 5)
    assert taker.gone(3, 4) == []
    assert taker.take(2) == [2, 5]
    assert taker.tracker.lost == 2


def test_gone_without_a_gap_changes_nothing() -> None:
    taker = Taker()
    taker.take(1)
    assert taker.gone(2, 900) == []
    assert taker.take(2, 3) == [2, 3]
    assert taker.tracker.lost == 0


def test_a_bridge_that_cannot_resend_is_not_waited_for() -> None:
    taker = Taker(resendable=False)
    assert taker.take(1, 4, 5) == [1, 4, 5]
    assert taker.tracker.lost == 2
    assert taker.tracker.requests(taker.now) == []


def test_what_was_given_up_and_comes_after_all_is_used_once() -> None:
    taker = Taker(resendable=False)
    assert taker.take(1, 4, 3, 3, 5) == [1, 4, 3, 5]
    assert taker.late == [3]
    assert (taker.tracker.lost, taker.tracker.reordered, taker.tracker.repeated) == (1, 1, 1)


def test_a_damaged_number_does_not_skip_thousands() -> None:
    taker = Taker()
    assert taker.take(1, 2, 91_003, 3, 4) == [1, 2, 3, 4]
    assert taker.tracker.doubted == 1
    assert taker.wait(PATIENCE) == []
    assert taker.tracker.lost == 0


def test_a_jump_is_believed_when_the_next_number_agrees() -> None:
    taker = Taker()
    assert taker.take(1, 5000, 5001) == [1]
    assert taker.tracker.requests(taker.now) == [(17, 2, 4999)]
    assert taker.gone(2, 4999) == [5000, 5001]
    assert taker.tracker.lost == 4998


def test_the_readings_of_two_starts_keep_their_order() -> None:
    taker = Taker()
    taker.take(1, 2)
    assert taker.take(4) == []
    assert taker.take(1, 2, boot=18) == []
    assert taker.take(3) == [3, 4, 1, 2]


def test_a_new_start_of_a_known_bridge_begins_at_one() -> None:
    taker = Taker([[17, 40, None]])
    assert taker.take(3, boot=18) == []
    assert taker.tracker.requests(taker.now) == [(18, 1, 2)]
    assert taker.take(1, 2, boot=18) == [1, 2, 3]


def test_nothing_is_taken_twice_over_a_restart() -> None:
    before = Taker()
    before.take(1, 2, 3, 5)
    after = Taker(before.tracker.memory())
    assert after.take(1, 2, 3, 4, 5, 6) == [4, 5, 6]
    assert after.tracker.repeated == 3


@pytest.mark.parametrize(
    "memory", [["x"], [[]], [[1.5, 2, 3]], [[1, "a", None]], [None], [[1, 2, 3, 4]], [{}]]
)
def test_a_memory_that_makes_no_sense_is_left_out(memory: list[list[object]]) -> None:
    assert Taker(memory).take(5, 6) == [5, 6]


def test_a_bridge_without_memory_of_its_boot_counts_anew() -> None:
    taker = Taker()
    assert taker.take(*range(1, 500)) == list(range(1, 500))
    taker.now += 3600
    assert taker.take(1, 2, 3) == [1, 2, 3]
    assert taker.tracker.repeated == 0


def test_an_old_number_of_its_old_time_is_a_repetition() -> None:
    taker = Taker()
    taker.take(*range(1, 500))
    taker.now += 3600
    assert taker.take(1, 2, ago=3600) == []
    assert taker.tracker.repeated == 2


def test_counting_anew_is_noticed_over_a_restart_of_home_assistant() -> None:
    taker = Taker([[17, 400, 1.8e9]])
    taker.now += 3600
    assert taker.take(1, 2) == [1, 2]


def test_a_clock_put_right_while_home_assistant_restarts_makes_no_repetition_new() -> None:
    taker = Taker([[17, 4000, 1.8e9]])
    taker.now += 7200
    assert taker.take(3990, 3991, 4000, 4001) == [4001]
    anew = Taker([[17, 4000, 1.8e9]])
    anew.now += 7200
    assert anew.take(2000, 2001) == [2000, 2001]


def test_a_board_that_never_repeats_has_started_anew_when_its_numbers_fall() -> None:
    taker = Taker(resendable=False)
    assert taker.take(*range(1, 100), 1, 2) == [*range(1, 100), 1, 2]
    assert taker.take(*range(3, 200), 60) == [*range(3, 200), 60]


def test_what_waits_for_a_gap_is_used_before_a_bridge_counts_anew() -> None:
    taker = Taker()
    taker.take(*range(1, 100))
    assert taker.take(105) == []
    taker.now += 3600
    assert taker.take(1) == [105, 1]
    assert taker.tracker.lost == 5


def test_acknowledged_is_what_is_settled() -> None:
    taker = Taker()
    taker.take(1, 2, 4)
    assert taker.tracker.acknowledgements() == [(17, 2)]
    assert taker.tracker.acknowledgements() == []
    taker.take(3)
    assert taker.tracker.acknowledgements() == [(17, 4)]
    taker.take(2)  # It has not heard.
    assert taker.tracker.acknowledgements() == [(17, 4)]


def test_acknowledged_is_never_more_than_saved() -> None:
    taker = Taker()
    taker.take(1, 2, 3)
    assert taker.tracker.acknowledgements({}) == []
    assert taker.tracker.acknowledgements({17: 2}) == [(17, 2)]
    assert taker.tracker.acknowledgements({17: 9}) == [(17, 3)]


def test_what_waits_is_bounded() -> None:
    taker = Taker()
    taker.take(1)
    out = taker.take(*range(3, MAX_HELD + 4))
    assert out == list(range(3, MAX_HELD + 4))
    assert taker.tracker.lost == 1


def test_the_starts_that_are_remembered_are_bounded() -> None:
    taker = Taker()
    for boot in range(MAX_BOOTS + 40):
        taker.take(1, boot=boot)
    memory = taker.tracker.memory()
    assert len(memory) == MAX_BOOTS
    assert memory[-1][0] == MAX_BOOTS + 39


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_whatever_the_link_does_each_message_is_used_once_and_in_order(data: st.DataObject) -> None:
    """Messages get lost, doubled and exchanged; the bridge answers every request from its memory."""
    taker = Taker()
    used: list[int] = taker.take(1)
    for number in range(2, 40):
        if data.draw(st.booleans(), "lost"):
            continue
        used += taker.take(number)
        if data.draw(st.booleans(), "doubled"):
            used += taker.take(data.draw(st.integers(1, number)))
        for _, first, last in taker.tracker.requests(taker.now):
            asked = list(range(first, last + 1))
            used += taker.take(*data.draw(st.permutations(asked)))
        taker.now += 1
    used += taker.take(40)
    while wanted := taker.tracker.requests(taker.now):
        for _, first, last in wanted:
            used += taker.take(*range(first, last + 1))
    assert used == list(range(1, 41))
    assert taker.tracker.lost == 0


class AnyLink(RuleBasedStateMachine):
    """Any numbers at any time: nothing twice, lost is what is missing, memory bounded."""

    def __init__(self) -> None:
        super().__init__()
        self.taker = Taker()
        self.used: list[tuple[object, int]] = []

    @rule(boot=st.integers(1, 3), number=st.integers(1, 40))
    def message(self, boot: int, number: int) -> None:
        self._take(boot, number)

    @rule(number=st.integers(JUMP * 2, JUMP * 8))
    def damaged(self, number: int) -> None:
        self._take(1, number)

    @rule(seconds=st.floats(0, 12))
    def time(self, seconds: float) -> None:
        self.taker.now += seconds
        self._keep(self.taker.tracker.tick(self.taker.now))

    @rule(first=st.integers(1, 40), length=st.integers(0, 10))
    def gone(self, first: int, length: int) -> None:
        self._keep(self.taker.tracker.gone(1, first, first + length, now=self.taker.now))

    def _take(self, boot: int, number: int) -> None:
        # All of one time: what is renewed in the same boot is another test's.
        when = Instant(100.0, 1.8e9)
        self._keep(
            self.taker.tracker.take(
                boot, number, (boot, number), when, now=self.taker.now, resendable=True
            )
        )

    def _keep(self, deliveries: list[Delivery[tuple[object, int]]]) -> None:
        self.used += [delivery.item for delivery in deliveries]

    @invariant()
    def nothing_twice(self) -> None:
        assert len(self.used) == len(set(self.used))

    @invariant()
    def counts_make_sense(self) -> None:
        tracker = self.taker.tracker
        assert tracker.lost >= 0
        for boot, upto, _ in tracker.memory():
            taken = {number for boot_, number in self.used if boot_ == boot}
            assert upto >= max(taken, default=0)


TestAnyLink = AnyLink.TestCase
TestAnyLink.settings = settings(max_examples=100, deadline=None, stateful_step_count=40)
