"""The counter guard: no spike, no freeze, no step back."""

from typing import Any

from hypothesis import assume, given, settings, strategies as st
import pytest

from custom_components.energy_meter.metering.events import CounterAnswer, CounterEventKind
from custom_components.energy_meter.metering.guard import CounterGuard
from custom_components.energy_meter.model import Counts

POWER = 24_000.0
STEP = 30.0


class Bench:
    """A guard and the clock it is read by."""

    def __init__(self, counts: Counts = Counts.UP, **options: Any) -> None:
        self.options = {"counts": counts, "max_power": POWER, "digit": 0.01, **options}
        self.guard = CounterGuard("energy_import", **self.options)
        self.time = 1_700_000_000.0
        self.events: list[CounterEventKind] = []

    def read(self, *figures: float, after: float = STEP) -> float | None:
        for figure in figures:
            self.time += after
            event = self.guard.check(figure, time=self.time, monotonic=self.time)
            if event:
                self.events.append(event.kind)
        return self.guard.published

    def restart(self) -> None:
        self.guard = CounterGuard("energy_import", state=self.guard.to_dict(), **self.options)


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    assert bench.read(100.0, 100.01) == 100.01
    return bench


def test_the_first_figure_is_believed_once_a_second_agrees() -> None:
    bench = Bench()
    assert bench.read(5000.0) is None
    assert bench.read(5000.02) == 5000.02


def test_a_spike_as_the_very_first_read_is_forgotten() -> None:
    bench = Bench()
    assert bench.read(4_294_967.0) is None
    assert bench.read(5000.0) is None
    assert bench.read(5000.02) == 5000.02
    assert not bench.events


def test_zeros_of_a_meter_that_just_started_do_not_become_its_first_figure() -> None:
    bench = Bench()
    assert bench.read(0.0, 0.0) is None
    assert bench.read(5000.0, 5000.01) == 5000.01


def test_a_new_meter_at_zero_is_believed() -> None:
    bench = Bench()
    assert bench.read(0.0, 0.0, 0.0) == 0.0


def test_steps_within_the_rating_pass_at_once(bench: Bench) -> None:
    assert bench.read(100.2) == 100.2
    assert not bench.events


@pytest.mark.parametrize("spike", [100.9, 1000.0, 42_949_672.95, 0.0, 50.0, 99.9])
def test_one_spike_neither_passes_nor_freezes(bench: Bench, spike: float) -> None:
    assert bench.read(spike) == 100.01
    assert bench.read(100.02) == 100.02
    assert not bench.events


def test_a_digit_back_is_held_silently(bench: Bench) -> None:
    assert bench.read(100.0, 100.0, 100.0, 100.0) == 100.01
    assert bench.read(100.02) == 100.02
    assert not bench.events


def test_a_float_counter_that_loses_digits_is_held_silently() -> None:
    bench = Bench()
    bench.read(131_072.0, 131_072.02)
    assert bench.read(131_072.0, 131_072.0, 131_072.0, 131_072.03) == 131_072.03
    assert not bench.events


def test_a_long_absence_allows_the_catch_up_once_confirmed(bench: Bench) -> None:
    assert bench.read(700.0, after=3 * 86_400) == 100.01
    assert bench.read(700.01) == 700.01
    assert not bench.events


def test_a_spike_right_after_a_long_absence_does_not_pass(bench: Bench) -> None:
    bench.read(1500.0, after=3 * 86_400)
    assert bench.read(110.0, 110.02) == 110.02


def test_a_rating_set_too_low_is_learned_instead_of_freezing(bench: Bench) -> None:
    figures = [100.01 + 0.6 * n for n in range(1, 40)]  # 72 kW on a 24 kW circuit
    total = bench.read(*figures)
    assert total == pytest.approx(figures[-1])
    assert set(bench.events) == {CounterEventKind.JUMP}
    assert len(bench.events) == 1


def test_a_much_higher_figure_is_asked_about_and_not_counted(bench: Bench) -> None:
    assert bench.read(8000.0, 8000.01) == 100.01
    total = bench.read(8000.02)
    assert bench.events == [CounterEventKind.HIGHER]
    assert total == pytest.approx(100.03)
    bench.guard.resolve(CounterAnswer.IGNORE)
    assert bench.guard.published == 8000.02


def test_a_reset_cannot_explain_a_higher_figure(bench: Bench) -> None:
    bench.read(8000.0, 8000.01, 8000.02)
    with pytest.raises(ValueError):
        bench.guard.resolve(CounterAnswer.RESET)


def test_a_replaced_meter_goes_on_where_the_old_one_ended(bench: Bench) -> None:
    total = bench.read(7.0, 7.01, 7.02)
    assert bench.events == [CounterEventKind.LOWER]
    assert total == pytest.approx(100.03)
    bench.guard.resolve(CounterAnswer.NEW_METER)
    assert bench.read(7.05) == pytest.approx(100.06)


def test_a_reset_meter_counts_all_it_shows(bench: Bench) -> None:
    bench.read(7.0, 7.01, 7.02)
    bench.guard.resolve(CounterAnswer.RESET)
    assert bench.guard.published == pytest.approx(100.01 + 7.02)
    assert bench.read(7.10) == pytest.approx(107.11)


def test_ignoring_a_lower_figure_waits_until_the_old_one_is_back(bench: Bench) -> None:
    held = bench.read(7.0, 7.01, 7.02)
    bench.guard.resolve(CounterAnswer.IGNORE)
    assert bench.read(7.03, 7.04, 7.05, 7.06, 7.07) == held
    assert bench.read(100.10, 100.11) == pytest.approx(100.11)


@pytest.mark.parametrize("answer", list(CounterAnswer))
def test_an_answer_can_be_undone_and_given_anew(bench: Bench, answer: CounterAnswer) -> None:
    bench.read(7.0, 7.01, 7.02)
    before = bench.guard.to_dict()
    bench.guard.resolve(answer)
    bench.restart()
    question = bench.guard.question()
    assert question is not None
    assert question.answer is answer
    bench.guard.undo()
    after = bench.guard.to_dict()
    for name in ("raw", "offset", "question", "hold"):
        assert after[name] == before[name], name
    bench.guard.resolve(CounterAnswer.RESET)
    assert bench.guard.published == pytest.approx(107.03)


def test_answering_without_a_question_is_an_error(bench: Bench) -> None:
    with pytest.raises(LookupError):
        bench.guard.resolve(CounterAnswer.RESET)
    with pytest.raises(LookupError):
        bench.guard.undo()


def test_a_meter_that_comes_back_answers_the_question_itself(bench: Bench) -> None:
    bench.read(7.0, 7.01, 7.02)
    total = bench.read(100.10, 100.11)
    assert bench.events == [CounterEventKind.LOWER, CounterEventKind.BACK]
    assert total == pytest.approx(100.11)
    assert bench.guard.question() is None


def test_lasting_zeros_wait_and_cost_nothing(bench: Bench) -> None:
    assert bench.read(*[0.0] * 20) == 100.01
    assert not bench.events
    assert bench.read(100.1) in (100.01, 100.1)
    assert bench.read(100.11) == 100.11


def test_a_rollover_goes_on_counting() -> None:
    bench = Bench(modulus=100_000.0)
    bench.read(99_999.97, 99_999.98)
    assert bench.read(0.02, 0.02) == 99_999.98
    assert bench.read(0.03) == pytest.approx(100_000.03)
    assert bench.events == [CounterEventKind.ROLLOVER]


def test_a_zero_just_before_the_largest_figure_is_no_rollover() -> None:
    bench = Bench(modulus=10_000.0)
    bench.read(9_999.97, 9_999.98)
    bench.read(0.0, 0.0, 0.0, 0.0, 0.0)
    assert bench.read(9_999.99) == 9_999.99
    assert not bench.events


def test_a_meter_reset_while_away_is_not_taken_for_a_rollover() -> None:
    bench = Bench(modulus=10_000.0)
    bench.read(9_000.0, 9_000.01)
    bench.read(3.0, after=2 * 86_400)
    bench.read(3.01, 3.02)
    assert bench.events == [CounterEventKind.LOWER]


def test_a_rollover_after_an_answer_survives_its_undoing() -> None:
    bench = Bench(modulus=1_000.0)
    bench.read(2000.0, 2000.01)  # Wherever it came from.
    bench.read(998.0, 998.01, 998.02)
    bench.guard.resolve(CounterAnswer.NEW_METER)
    bench.read(*[998.1 + 0.1 * n for n in range(19)], *[0.1 * n for n in range(1, 9)])
    assert CounterEventKind.ROLLOVER in bench.events
    grown = bench.guard.published
    bench.guard.undo()
    bench.guard.resolve(CounterAnswer.NEW_METER)
    assert bench.read(0.81) == pytest.approx((grown or 0) + 0.01)


def test_what_a_meter_forgot_when_its_supply_failed_is_waited_out_silently() -> None:
    bench = Bench()
    bench.read(5000.0, 5000.8)
    assert bench.read(5000.0, 5000.01, 5000.02, 5000.03) == 5000.8
    assert bench.read(*[5000.1 + 0.1 * n for n in range(8)]) == pytest.approx(5000.8)
    assert bench.read(5000.9) == 5000.9
    assert not bench.events


def test_many_slight_falls_are_not_silent_forever() -> None:
    bench = Bench()
    bench.read(1000.0, 1000.0)
    figure = 1000.0
    while not bench.events and figure > 900:
        figure -= 2.0
        assert bench.read(figure, figure, figure) == pytest.approx(1000.0)
    assert bench.events == [CounterEventKind.LOWER]
    assert figure > 990


def test_a_register_that_is_renewed_every_quarter_of_an_hour_is_followed_silently() -> None:
    bench = Bench()
    bench.read(*[100.0] * 30)
    figure = 100.0
    for _ in range(5):
        figure += 3.0  # 12 kW of 24
        bench.read(*[figure] * 30)
        assert bench.guard.published == figure
    assert not bench.events


def test_a_register_that_is_renewed_every_minute_is_followed_at_once() -> None:
    bench = Bench(max_power=3_680.0)
    bench.read(*[100.0] * 12, after=5)
    assert bench.read(100.06, after=5) == 100.06
    assert not bench.events


def test_a_used_meter_put_in_during_an_outage_is_asked_about() -> None:
    bench = Bench()
    bench.read(1000.0, 1000.01)
    bench.read(2500.0, after=2 * 3600)
    total = bench.read(2500.01, 2500.02)
    assert bench.events == [CounterEventKind.HIGHER]
    assert total == pytest.approx(1000.03)


def test_a_glitch_that_was_ignored_and_is_over_cannot_be_undone_into_energy(bench: Bench) -> None:
    bench.read(7.0, 7.01, 7.02)
    bench.guard.resolve(CounterAnswer.IGNORE)
    bench.read(100.10, 100.11)
    assert bench.guard.question() is None
    with pytest.raises(LookupError):
        bench.guard.undo()
    assert bench.read(100.12) == 100.12


def test_undoing_ignore_goes_on_where_the_meter_stood(bench: Bench) -> None:
    bench.read(7.0, 7.01, 7.02)
    bench.guard.resolve(CounterAnswer.IGNORE)
    bench.read(7.03, 7.04)
    bench.guard.undo()
    events = list(bench.events)
    assert bench.read(7.05, 7.06) == pytest.approx(100.07)
    assert bench.events == events


def test_a_meter_replaced_after_ignoring_is_asked_about(bench: Bench) -> None:
    bench.read(7.0, 7.01, 7.02)
    bench.guard.resolve(CounterAnswer.IGNORE)
    total = bench.read(9000.0, 9000.01, 9000.02)
    assert bench.events[-1] is CounterEventKind.HIGHER
    assert total == pytest.approx(100.05)


def test_two_resets_before_an_answer_are_both_counted(bench: Bench) -> None:
    bench.read(7.0, 7.01, 7.2)
    bench.read(2.0, 2.01, 2.02)
    bench.guard.resolve(CounterAnswer.RESET)
    assert bench.guard.published == pytest.approx(100.01 + 7.2 + 2.02)


def test_a_lower_figure_that_trembles_by_a_digit_does_not_freeze(bench: Bench) -> None:
    bench.read(7.02, 7.01, 7.02)
    assert bench.events == [CounterEventKind.LOWER]
    assert bench.read(7.10) == pytest.approx(100.09)


def test_a_slight_fall_of_a_resettable_counter_is_held() -> None:
    bench = Bench(Counts.RESETTABLE)
    bench.read(50.0, 50.2)
    assert bench.read(50.0, 50.0, 50.0, 50.05) == 50.2
    assert bench.read(50.25) == 50.25
    assert not bench.events


def test_a_cleared_resettable_counter_begins_a_new_cycle() -> None:
    bench = Bench(Counts.RESETTABLE)
    bench.read(50.0, 50.01)
    assert bench.read(0.1) == 50.01
    assert bench.read(0.11, 0.12) == 0.12
    assert bench.events == [CounterEventKind.CYCLE]


def test_a_net_counter_may_fall() -> None:
    bench = Bench(Counts.BOTH)
    bench.read(-5.0, -5.0)
    assert bench.read(-5.1) == -5.1
    assert bench.read(900.0) == -5.1
    assert bench.read(-5.2) == -5.2


def test_a_step_that_the_measured_power_contradicts_is_confirmed_first(bench: Bench) -> None:
    for figure, expected in ((100.25, 0.001), (100.26, 0.001)):
        bench.time += STEP
        bench.guard.check(figure, time=bench.time, monotonic=bench.time, expected=expected)
        if figure == 100.25:
            assert bench.guard.published == 100.01
    assert bench.guard.published == 100.26


def test_time_runs_on_the_wall_clock_over_a_restart(bench: Bench) -> None:
    bench.restart()
    bench.time += 7200
    bench.guard.check(120.0, time=bench.time, monotonic=3.0)
    bench.guard.check(120.01, time=bench.time + 30, monotonic=33.0)
    assert bench.guard.published == 120.01
    assert not bench.events


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"raw": "x"},
        {"raw": 1.0},
        {"raw": float("nan"), "time": 1, "published": 1},
        {"question": 3},
    ],
)
def test_a_broken_state_is_a_new_start(state: dict[str, Any]) -> None:
    guard = CounterGuard(
        "energy_import", counts=Counts.UP, max_power=POWER, digit=0.01, state=state
    )
    assert guard.published is None


@pytest.mark.parametrize("question", [3, {}, {"kind": "lower"}, {"kind": "x", "before": 1}])
def test_a_broken_question_in_the_state_is_dropped(bench: Bench, question: object) -> None:
    state = {**bench.guard.to_dict(), "question": question, "answered": question, "hold": question}
    guard = CounterGuard("energy_import", state=state, **bench.options)
    assert guard.question() is None
    assert guard.published == 100.01


FIGURES = st.one_of(
    st.floats(0, 1e7, allow_nan=False),
    st.sampled_from([0.0, 4_294_967.295, 42_949_672.95, 1e-3]),
    st.floats(allow_nan=True, allow_infinity=True),
)


@given(
    st.lists(
        st.tuples(FIGURES, st.floats(0.5, 1e5), st.sampled_from(["", "restart", *CounterAnswer])),
        max_size=60,
    )
)
def test_whatever_comes_the_total_never_falls(
    reads: list[tuple[float, float, str]],
) -> None:
    bench = Bench()
    last = 0.0
    for figure, after, act in reads:
        total = bench.read(figure, after=after)
        if act == "restart":
            bench.restart()
            assert bench.guard.published == total
        elif act and (question := bench.guard.question()) and question.answer is None:
            if act == CounterAnswer.RESET and question.kind is CounterEventKind.HIGHER:
                continue
            bench.guard.resolve(CounterAnswer(act))
            total = bench.guard.published
        if total is not None:
            assert total >= last
            last = total


@settings(max_examples=200)
@given(
    st.lists(st.floats(0, 0.15), min_size=30, max_size=60),
    st.dictionaries(st.integers(3, 28), st.floats(0, 1e9), max_size=5),
    st.sets(st.integers(2, 59), max_size=4),
)
def test_single_spikes_leave_no_trace(
    steps: list[float], spikes: dict[int, float], restarts: set[int]
) -> None:
    """Between honest reads, isolated wrong ones change nothing once the next honest read is in."""
    bench, true = Bench(), 1000.0
    for number, step in enumerate(steps):
        true = round(true + step, 2)
        if number in spikes and number - 1 not in spikes:
            bench.read(spikes[number])
            assert bench.guard.published is not None
            assert bench.guard.published <= true + 0.011 + POWER * 1.5 * 35 / 3.6e6
        total = bench.read(true)
        if number in restarts:
            bench.restart()
    assert total is not None
    assert true <= total <= true + 0.5


@given(st.lists(st.floats(0, 3.0), min_size=12, max_size=30), st.floats(0, 5000))
def test_a_meter_that_goes_on_honestly_is_followed_from_wherever_it_stands(
    steps: list[float], start: float
) -> None:
    """Never frozen: after any change of figure the total grows with the meter again."""
    assume(not 0 < 2000 - start < 4)  # A slight fall is waited out.
    bench = Bench()
    bench.read(2000.0, 2000.0)
    figure = start
    bench.read(figure, figure + 0.01, figure + 0.02, figure + 0.03)
    figure += 0.03
    before = bench.guard.published
    grown = 0.0
    for step in steps:
        figure += step / 10
        grown += step / 10
        after = bench.read(figure)
    for _ in range(4):
        after = bench.read(figure)
    assert before is not None
    assert after is not None
    if figure > 0.05:
        assert after - before == pytest.approx(grown, abs=0.06) or after == pytest.approx(figure)


class House:
    """A true consumption, and the meters that count it one after the other."""

    def __init__(self) -> None:
        self.bench = Bench()
        self.figure = 3000.0
        self.truth = 3000.0
        self.floor = 0.0
        self.watch(self.figure, self.figure)

    def watch(self, *figures: float, after: float = STEP) -> None:
        """Read, and see that nothing steps back."""
        for figure in figures:
            total = self.bench.read(figure, after=after) or 0.0
            assert total >= self.floor
            self.floor = total

    def use(self, energy: float, after: float = STEP) -> None:
        """Consume, and have it read."""
        self.figure = round(self.figure + energy, 2)
        self.truth += round(energy, 2)
        self.watch(self.figure, after=after)

    def settle(self) -> None:
        for _ in range(4):
            self.use(0.02)

    def answer(self, answer: CounterAnswer, *, doubt: bool) -> None:
        question = self.bench.guard.question()
        assert question is not None
        assert question.answer is None
        if doubt:
            # First the answer that adds least, so that taking it back leaves nothing behind.
            self.bench.guard.resolve(CounterAnswer.NEW_METER)
            self.use(0.01)
            self.bench.restart()
            self.bench.guard.undo()
        self.bench.guard.resolve(answer)
        assert (self.bench.guard.published or 0) >= self.floor
        self.use(0.01)


ACTIONS = st.one_of(
    st.tuples(st.just("use"), st.floats(0, 0.2)),
    st.tuples(st.just("spike"), st.sampled_from([0.0, 1e-3, 42_949_672.95, 1e9, 65_535.0])),
    st.tuples(st.just("missing"), st.floats(30, 7 * 86_400)),
    st.tuples(st.just("restart"), st.just(0.0)),
    st.tuples(st.just("digit back"), st.just(0.0)),
    st.tuples(st.just("lower meter"), st.floats(0.01, 0.9)),
    st.tuples(st.just("higher meter"), st.floats(100, 1e5)),
    st.tuples(st.just("reset"), st.just(0.0)),
    st.tuples(st.just("glitch"), st.floats(0.01, 0.9)),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(ACTIONS, st.booleans()), max_size=25))
def test_through_everything_that_happens_to_a_meter_the_total_is_what_was_consumed(
    actions: list[tuple[tuple[str, float], bool]],
) -> None:
    house = House()
    for (action, size), flag in actions:
        if action == "use":
            house.use(size)
        elif action == "spike":
            house.watch(size)
            house.use(0.05)
        elif action == "missing":
            house.use(size * 5000 / 3.6e6, after=size)
            house.use(0.01)
        elif action == "restart":
            house.bench.restart()
        elif action == "digit back":
            house.watch(max(house.figure - 0.01, 0.01))
        elif action == "lower meter" and house.figure > 200:
            house.figure = round(house.figure * size, 2)
            house.watch(house.figure)
            house.settle()
            house.answer(CounterAnswer.NEW_METER, doubt=flag)
        elif action == "higher meter":
            house.figure = round(house.figure + size, 2)
            house.watch(house.figure)
            house.settle()
            house.answer(CounterAnswer.NEW_METER, doubt=flag)
        elif action == "reset" and house.figure > 200:
            house.figure = 0.0
            if flag:
                house.watch(0.0, 0.0)
            house.settle()
            house.answer(CounterAnswer.RESET, doubt=flag)
        elif action == "glitch" and house.figure > 200:
            low = round(house.figure * size, 2)
            house.watch(*[low] * 6)
            house.use(0.01)
            house.use(0.01)
            assert house.bench.guard.question() is None
        house.use(0.01)
        house.use(0.01)
        assert house.bench.guard.published == pytest.approx(house.truth, abs=0.02)
