"""TCA9548A multiplexers: one bus as several segments, since no single one carries a hundred devices.

A multiplexer is written to only because the user has named its address: nothing on a bus says that it is one
without being written to. Its one register has a bit per channel; whatever is selected is joined to the trunk.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

CHANNELS: Final = range(8)
FIRST_MULTIPLEXER: Final = 0x70
LAST_MULTIPLEXER: Final = 0x77


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """One channel of one multiplexer."""

    multiplexer: int
    channel: int

    def __str__(self) -> str:
        """As people see it: `0x70/3`."""
        return f"0x{self.multiplexer:02X}/{self.channel}"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a device is: its segment (None: the trunk itself) and its address."""

    segment: Segment | None
    address: int

    def __str__(self) -> str:
        """As people see it: `0x12` or `0x70/3 0x12`."""
        address = f"0x{self.address:02X}"
        return address if self.segment is None else f"{self.segment} {address}"


class Multiplexers:
    """Which channels are joined to the trunk, and how to get to another segment.

    Args:
        addresses: of the multiplexers on the trunk.
    """

    def __init__(self, addresses: Iterable[int] = ()) -> None:
        """Begin not knowing what is selected."""
        self.addresses: Final = tuple(sorted(set(addresses)))
        self._selected: dict[int, int] = {}
        """By multiplexer: the register as it was read back."""

    @property
    def segments(self) -> tuple[Segment | None, ...]:
        """The trunk first, then every channel."""
        return (
            None,
            *(Segment(address, channel) for address in self.addresses for channel in CHANNELS),
        )

    def forget(self) -> None:
        """A disturbance: a multiplexer may have been reset."""
        self._selected.clear()

    def _steps(self, segment: Segment | None) -> Iterator[tuple[int, int]]:
        """(multiplexer, register) to write, the ones to switch off first."""
        wanted = {
            address: 1 << segment.channel if segment and segment.multiplexer == address else 0
            for address in self.addresses
        }
        for address in sorted(wanted, key=lambda each: wanted[each]):
            if self._selected.get(address) != wanted[address]:
                yield address, wanted[address]

    def select(self, segment: Segment | None, write: Callable[[int, int], int | None]) -> bool:
        """Join this segment alone to the trunk.

        Args:
            segment: None for the trunk without any channel.
            write: writes a multiplexer's register and returns what it reads back; None without an answer.

        Returns:
            Whether it is selected. A multiplexer that does not answer keeps its own segments away only: it may
            have lost its supply, and what it would let through by mistake is known by its tag.
        """
        for address, register in tuple(self._steps(segment)):
            self._selected.pop(address, None)
            found = write(address, register)
            if found == register:
                self._selected[address] = register
            elif found is not None or (segment and segment.multiplexer == address):
                return False
        return True
