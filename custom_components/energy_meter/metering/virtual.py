"""Meters that nobody has installed: the sum of several, and what is left of one when others are taken off."""

from collections.abc import Callable, Iterable, Mapping
import math
from typing import Any


class EnergySum:
    """A counter that rises by what other counters rise by, some of them taken off.

    What it shows never falls. Counters are read one after the other, so that what is taken off may come before or
    after what it is taken off from; a shortfall is carried until it is made up for. A counter that falls, or that
    is new to the sum, counts from where it is.

    Args:
        signs: {member: +1 or -1}.
        state: what `state` was before a restart; broken parts are ignored.
    """

    def __init__(self, signs: Mapping[str, int], state: object = None) -> None:
        """Begin at zero, or where `state` ended."""
        self._signs = dict(signs)
        self._last: dict[str, float] = {}
        self._balance = 0.0
        self.energy = 0.0
        """kWh."""
        if isinstance(state, Mapping):
            self._restore(state)

    def _restore(self, state: Mapping[str, Any]) -> None:
        last = state.get("last")
        if isinstance(last, Mapping):
            self._last = {
                member: float(total)
                for member, total in last.items()
                if member in self._signs and _is_number(total)
            }
        if _is_number(state.get("energy")) and state["energy"] >= 0:
            self.energy = float(state["energy"])
        if _is_number(state.get("balance")) and state["balance"] <= 0:
            self._balance = float(state["balance"])

    def take(self, member: str, total: float) -> None:
        """Take what a member's counter shows, kWh."""
        last = self._last.get(member)
        self._last[member] = total
        if last is None or total < last:
            return
        self._balance += self._signs[member] * (total - last)
        if self._balance > 0:
            self.energy += self._balance
            self._balance = 0.0

    @property
    def state(self) -> dict[str, Any]:
        """All that a restart has to know, ready for JSON."""
        return {"energy": self.energy, "balance": self._balance, "last": dict(self._last)}


def power_sum(signs: Mapping[str, int], power: Callable[[str], float | None]) -> float | None:
    """The members' power added up, W; None as soon as one is not known: a part is no total."""
    total = 0.0
    for member, sign in signs.items():
        value = power(member)
        if value is None:
            return None
        total += sign * value
    return total


def without_parents(members: Iterable[str], inside: Mapping[str, str]) -> list[str]:
    """The members that measure no other member too: added up, nothing counts twice.

    Args:
        members: all of them.
        inside: {member: the member that measures it too}.
    """
    parents = set(inside.values())
    return [member for member in members if member not in parents]


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
