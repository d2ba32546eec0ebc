"""The queue in front of an I²C bus: one transaction at a time, commands first, multiplexers switched as needed.

`machine.I2C` keeps the processor until a transaction has ended (5 ms for a measurement at 100 kHz), so everybody
else gets a turn between any two of them.
"""

import asyncio
from errno import EIO, ENODEV

NO_ANSWER, DISTURBED, UNREACHABLE, GONE = 1, 2, 3, 4
"""Faults: nobody acknowledged; the bus is held or the clock stretched too long; no segment; no bus at all."""
_NACKS = (ENODEV, EIO, 6)  # The last is ENXIO.
FIRST_MULTIPLEXER = 0x70
CHANNELS = 8


def place_of(segment, address):
    """One number for a place: the segment is 0 for the trunk, else 1 + 8 × multiplexer + channel."""
    return segment << 8 | address


def segment_text(place):
    """The segment of a place as people see it, `0x70/3`; empty for the trunk."""
    segment = place >> 8
    if not segment:
        return ""
    multiplexer, channel = divmod(segment - 1, CHANNELS)
    return "0x%02X/%d" % (FIRST_MULTIPLEXER + multiplexer, channel)


def address_text(place):
    """The address of a place as people see it."""
    return "0x%02X" % (place & 0xFF)


def place_text(place):
    """Both: `0x12` or `0x70/3 0x12`."""
    return (segment_text(place) + " " + address_text(place)).strip()


class Bus:
    """One bus."""

    def __init__(self, make, clear, multiplexers=()):
        """`make()`: a new `machine.I2C`; `clear()`: nine clocks for a slave that holds SDA; addresses of TCA9548As."""
        self._make = make
        self._clear = clear
        self._i2c = None
        self.multiplexers = sorted(set(multiplexers))
        self._selected = {}
        """By multiplexer: its register as it was read back; only what is in here is known."""
        self._one = bytearray(1)
        self._busy = False
        self._urgent = 0
        self.error = ""
        """Why the bus could not be opened."""

    def segments(self):
        """The trunk, then every channel."""
        found = [0]
        for address in self.multiplexers:
            first = 1 + (address - FIRST_MULTIPLEXER) * CHANNELS
            found.extend(range(first, first + CHANNELS))
        return found

    def open(self):
        """Take the controller, if it is not taken; return whether it is."""
        if self._i2c is None:
            try:
                self._i2c = self._make()
            except (OSError, ValueError) as error:
                self.error = repr(error)
        return self._i2c is not None

    def recover(self):
        """Clock a slave free that holds SDA, and take the controller anew."""
        self._i2c = None
        self._selected = {}
        self._clear()
        return self.open()

    async def read(self, place, pointer, buffer, urgent=False):
        """Read into a buffer: a block if there is a pointer (two bytes of it above 0xFF), else what comes by itself.

        Returns a fault, 0 if there is none.
        """
        return await self._run(place, pointer, buffer, False, urgent)

    async def write(self, place, data):
        """Write a command; returns a fault, 0 if there is none."""
        return await self._run(place, None, data, True, True)

    async def _run(self, place, pointer, buffer, writes, urgent):
        await self._enter(urgent)
        try:
            fault = await self._select(place >> 8)
            if not fault:
                fault = self._transact(place & 0xFF, pointer, buffer, writes)
        finally:
            self._busy = False
        await asyncio.sleep_ms(0)
        return fault

    async def _enter(self, urgent):
        if urgent:
            self._urgent += 1
        try:
            while self._busy or (self._urgent and not urgent):
                await asyncio.sleep_ms(0)
            self._busy = True
        finally:
            if urgent:
                self._urgent -= 1

    async def _select(self, segment):
        """Join this segment alone to the trunk.

        A multiplexer that does not answer keeps its own segments away only: it may have lost its supply, and what it
        would let through by mistake is known by its tag.
        """
        wanted, channel = divmod(segment - 1, CHANNELS)
        for on in (False, True):
            for address in self.multiplexers:
                if (segment > 0 and address == FIRST_MULTIPLEXER + wanted) is not on:
                    continue
                register = 1 << channel if on else 0
                if self._selected.get(address) == register:
                    continue
                self._selected.pop(address, None)
                fault = self._transact(address, register, self._one, False)
                await asyncio.sleep_ms(0)
                if not fault and self._one[0] == register:
                    self._selected[address] = register
                elif on or not fault:
                    return UNREACHABLE
        return 0

    def _transact(self, address, pointer, buffer, writes):
        if not self.open():
            return GONE
        try:
            if writes:
                self._i2c.writeto(address, buffer)
            elif pointer is None:
                self._i2c.readfrom_into(address, buffer)
            elif pointer > 0xFF:
                self._i2c.readfrom_mem_into(address, pointer, buffer, addrsize=16)
            else:
                self._i2c.readfrom_mem_into(address, pointer, buffer)
        except OSError as error:
            if error.errno in _NACKS:
                return NO_ANSWER
            self._selected = {}  # A disturbance may have reset a multiplexer.
            return DISTURBED
        return 0
