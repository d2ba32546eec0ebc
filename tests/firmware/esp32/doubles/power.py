"""Stands for the mains: a power cut after a number of writes to flash, for tests that cut at every one of them."""


class Cut(BaseException):
    """The power is gone; nothing of the firmware may catch it."""


plain_open = open
"""The real one, also where a check has put `File` in its place."""
left = None
"""Writes until the cut; None: there is none."""
written = 0


def cut_after(writes):
    """Let so many writes succeed, and the next one be cut."""
    global left, written
    left, written = writes, 0


def write(_what):
    """Something is being written."""
    global left, written
    if left is not None:
        if left <= 0:
            raise Cut
        left -= 1
    written += 1


class File:
    """Stands for a file on the flash: of what is written when the power goes, half arrives."""

    def __init__(self, name, mode="r"):
        """Open it; pass this class where `open` is expected."""
        if mode[0] in "wa":
            write("open")
        self._file = plain_open(name, mode)

    def write(self, data):
        """Write, if the power lasts."""
        try:
            write("file")
        except Cut:
            self._file.write(data[: len(data) // 2])
            self._file.close()
            raise
        return self._file.write(data)

    def read(self, size=-1):
        """Read."""
        return self._file.read(size)

    def readinto(self, buffer):
        """Read into a buffer."""
        return self._file.readinto(buffer)

    def seek(self, offset):
        """Go to an offset."""
        return self._file.seek(offset)

    def __enter__(self):
        """The file itself."""
        return self

    def __exit__(self, *_):
        """Close it."""
        self._file.close()
