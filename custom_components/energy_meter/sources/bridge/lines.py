"""Lines out of a stream of bytes, with bounded memory whatever comes."""

from typing import Final

from .protocol import MAX_LINE

TOO_LONG: Final = None


class LineSplitter:
    """Cuts bytes at line feeds and never holds more than one line's limit of them."""

    def __init__(self, limit: int = MAX_LINE) -> None:
        """Begin with nothing; `limit` is the longest line, bytes without its end."""
        self._limit = limit
        self._rest = bytearray()
        self._skipping = False

    @property
    def held(self) -> int:
        """Bytes of the unfinished line."""
        return len(self._rest)

    def clear(self) -> None:
        """Forget the unfinished line."""
        self._rest.clear()
        self._skipping = False

    def feed(self, data: bytes) -> list[bytes | None]:
        """Return the lines that `data` completes, without their ends; `TOO_LONG` once for each beyond the limit.

        Empty lines are left out. A line that is too long is announced when its limit is reached, so that its
        end need never come.
        """
        lines: list[bytes | None] = []
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            if self._skipping:
                self._skipping = False
            elif len(self._rest) + end - start > self._limit + 1:
                lines.append(TOO_LONG)
            else:
                self._rest += data[start:end]
                # The carriage return before a line feed does not count.
                line = bytes(self._rest[:-1] if self._rest.endswith(b"\r") else self._rest)
                if len(line) > self._limit:
                    lines.append(TOO_LONG)
                elif line:
                    lines.append(line)
            self._rest.clear()
            start = end + 1
        if self._skipping:
            return lines
        if len(self._rest) + len(data) - start > self._limit + 1:
            self._rest.clear()
            self._skipping = True
            lines.append(TOO_LONG)
        else:
            self._rest += data[start:]
        return lines
