"""The guard against late replies, against a model of a meter that queues what it is asked."""

from collections import deque

from hypothesis import given, settings, strategies as st

from custom_components.energy_meter.sources.modbus.late import WINDOW, Form, LateGuard

FORMS = [
    Form(function, address, size)
    for function in (3, 4)
    for address, size in ((0, 4), (0, 8), (20, 4), (20, 8), (40, 64), (60, 4))
]


class QueueingMeter:
    """Answers everything in order, whenever it likes; now and then with an exception."""

    def __init__(self) -> None:
        self._asked: deque[tuple[Form, bool]] = deque()

    def ask(self, form: Form, refuse: bool) -> None:
        self._asked.append((form, refuse))

    def forget(self) -> None:
        """Lose what it was asked, as at a restart."""
        self._asked.clear()

    def reply(self) -> tuple[Form, bool] | None:
        return self._asked.popleft() if self._asked else None


ACTIONS = st.lists(
    st.tuples(
        st.integers(0, len(FORMS) - 1),
        st.integers(0, 3),  # replies that arrive while nobody waits, before the request
        st.sampled_from(["reply", "reply", "reply", "late", "late", "lost"]),
        st.integers(0, 9).map(lambda number: number == 0),
    ),
    max_size=60,
)


@settings(max_examples=400)
@given(ACTIONS)
def test_what_is_accepted_is_always_of_the_block_that_was_asked(
    actions: list[tuple[int, int, str, bool]],
) -> None:
    meter, guard, now = QueueingMeter(), LateGuard(), 0.0
    for number, drained, outcome, refuse in actions:
        now += 0.1
        form = FORMS[number]
        for _ in range(drained):
            meter.reply()
        if not guard.allows(form, now):
            continue
        if outcome == "lost":
            guard.lost(form, now)  # The request never reached the meter.
            continue
        meter.ask(form, refuse)
        if outcome == "late":
            guard.lost(form, now)
            continue
        reply = meter.reply()
        assert reply is not None
        answered, refused = reply
        if answered.function != form.function:
            guard.lost(form, now)  # The shared client drops it.
        elif refused:
            if guard.trusts_exception(form.function, now):
                assert answered == form
                guard.settle()
            else:
                guard.lost(form, now)
        elif answered.size != form.size:
            guard.lost(form, now)
        else:
            assert answered == form
            guard.answered(form)


def test_a_reply_of_a_form_of_its_own_settles_all_that_was_lost_before() -> None:
    guard = LateGuard()
    guard.lost(Form(4, 0, 4), 0)
    guard.lost(Form(4, 10, 8), 1)
    assert not guard.in_step
    assert not guard.allows(Form(4, 20, 4), 2)
    assert guard.allows(Form(4, 20, 6), 2)
    assert guard.allows(Form(3, 20, 4), 2)
    guard.answered(Form(4, 20, 6))
    assert guard.in_step


def test_the_same_block_again_is_no_proof_but_no_danger_either() -> None:
    guard = LateGuard()
    form = Form(4, 0, 4)
    guard.lost(form, 0)
    assert guard.repeats(form, 1)
    assert not guard.repeats(Form(4, 2, 4), 1)
    guard.answered(form)
    assert not guard.in_step


def test_a_lost_request_is_forgotten_after_the_window() -> None:
    guard = LateGuard()
    guard.lost(Form(4, 0, 4), 0)
    assert not guard.trusts_exception(4, WINDOW - 1)
    assert guard.allows(Form(4, 2, 4), WINDOW)
    assert guard.trusts_exception(4, WINDOW)
    assert guard.in_step
