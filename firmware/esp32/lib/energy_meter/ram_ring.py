"""A queue of records in one block of memory that is taken once."""

from array import array


class RamRing:
    """First in, first out, by number; nothing is allocated for what it holds."""

    def __init__(self, size, slots):
        """Take `size` bytes for at most `slots` records."""
        self._memory = bytearray(size)
        self._starts = array("H", bytes(2 * slots))
        self._sizes = array("H", bytes(2 * slots))
        self._first = 0
        self._count = 0
        self._end = 0

    def __len__(self):
        """How many records it holds."""
        return self._count

    def push(self, *parts):
        """Add a record that consists of these parts; False if there is no room."""
        size = sum([len(part) for part in parts])
        start = self._room(size)
        if start is None:
            return False
        slot = (self._first + self._count) % len(self._starts)
        self._starts[slot] = self._end = start
        self._sizes[slot] = size
        for part in parts:
            self._memory[self._end : self._end + len(part)] = part
            self._end += len(part)
        self._count += 1
        return True

    def get(self, number):
        """The record of that number, 0 being the oldest: a view, good until the next `push`."""
        slot = (self._first + number) % len(self._starts)
        start = self._starts[slot]
        return memoryview(self._memory)[start : start + self._sizes[slot]]

    def head(self, number, size):
        """Its first bytes."""
        start = self._starts[(self._first + number) % len(self._starts)]
        return memoryview(self._memory)[start : start + size]

    def drop(self, count):
        """Forget the oldest records."""
        self._first = (self._first + count) % len(self._starts)
        self._count -= count

    def _room(self, size):
        """Where so many bytes in one piece are free, or None."""
        if not self._count:
            return 0 if size <= len(self._memory) else None
        if self._count == len(self._starts):
            return None
        begin = self._starts[self._first]
        if self._end > begin:  # Free: behind the newest, or before the oldest.
            if self._end + size <= len(self._memory):
                return self._end
            return 0 if size < begin else None
        return self._end if self._end + size < begin else None
