"""Replies that come when nobody waits for them any more.

An RTU reply carries no number that ties it to its request: only unit, function and byte count. A reply
that comes after its time-out is therefore taken for the answer to whatever is asked of that unit next, if
function and byte count fit (lessons F2). Meters answer in the order they were asked, some of them queueing
what they cannot answer at once. From that follows the one rule kept here, per unit:

    While a request is *lost* (no usable reply was seen), nothing is asked whose reply could have the
    same form. The reply to a request of a form that no lost request has can only be its own, and by
    then every earlier reply has come or never will: the unit is in step again.

An exception reply has only its function, so while a request of that function is lost it proves nothing.
"""

from dataclasses import dataclass
from typing import Final

from .profile import Span, Table
from .timing import data_bytes

WINDOW: Final = 120.0
"""Seconds for which a lost request's reply is expected while the unit is asked other things."""
QUIET_WINDOW: Final = 30.0
"""Seconds for which it is expected where there is nothing else to ask: the unit is left alone meanwhile."""


@dataclass(frozen=True, slots=True)
class Form:
    """What identifies a request; its reply shows only `function` and `size`."""

    function: int
    address: int
    size: int
    """Data bytes of the reply."""


READ_FUNCTIONS: Final = {Table.COIL: 1, Table.DISCRETE: 2, Table.HOLDING: 3, Table.INPUT: 4}


def form_of(span: Span, register_bytes: int = 2) -> Form:
    """Return what tells this read's reply from others."""
    size = data_bytes(span.table, span.count, register_bytes)
    return Form(READ_FUNCTIONS[span.table], span.address, size)


class LateGuard:
    """Remembers one unit's lost requests."""

    __slots__ = ("_lost",)

    def __init__(self) -> None:
        """Begin in step."""
        self._lost: dict[Form, float] = {}

    @property
    def in_step(self) -> bool:
        """Whether no reply is outstanding."""
        return not self._lost

    def lost(self, form: Form, now: float) -> None:
        """No usable reply to this request was seen; it may still come."""
        self._lost[form] = now

    def answered(self, form: Form) -> None:
        """A reply of this form came. It settles everything asked before, if it cannot be another's."""
        if not any(_alike(form, lost) for lost in self._lost):
            self._lost.clear()

    def settle(self) -> None:
        """An exception reply came that can only be to the request just sent: all earlier is settled."""
        self._lost.clear()

    def allows(self, form: Form, now: float) -> bool:
        """Return whether a reply of this form could only be to this request."""
        self._expire(now)
        return not any(_alike(form, lost) for lost in self._lost)

    def quiet(self, now: float) -> bool:
        """Return whether nothing was asked in vain for so long that nothing is to be expected any more."""
        return all(now - since >= QUIET_WINDOW for since in self._lost.values())

    def repeats(self, form: Form, now: float) -> bool:
        """Return whether replies of this form could only be to this very block, if not to this request."""
        self._expire(now)
        return not any(_alike(form, lost) and lost != form for lost in self._lost)

    def trusts_exception(self, function: int, now: float) -> bool:
        """Return whether an exception reply could only be to the request just sent."""
        self._expire(now)
        return not any(lost.function == function for lost in self._lost)

    def _expire(self, now: float) -> None:
        if self._lost:
            self._lost = {form: since for form, since in self._lost.items() if now - since < WINDOW}


def _alike(one: Form, other: Form) -> bool:
    return one.function == other.function and one.size == other.size
