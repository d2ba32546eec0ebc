"""Lines out of a stream of bytes, and messages out of lines."""

import json

from .crc import crc16
from .decimals import micro

MAX_DEPTH = 6
_NUMBER = "\x01"
"""Stands before a number with a fraction, which is kept as its digits; never part of a valid message."""


class BadLine(Exception):
    """A line that is no message; its text says why."""


class Lines:
    """Cuts a stream into lines in one buffer of fixed size; what is longer is left out and counted."""

    def __init__(self, limit):
        """Make a buffer for lines of so many bytes."""
        self._buffer = bytearray(limit)
        self._length = 0
        self._skipping = False
        self.overlong = 0

    def skip_first(self):
        """Leave out what comes up to the next line feed: the rest of a line that began before we listened."""
        self._length = 0
        self._skipping = True

    def feed(self, data):
        """Take bytes; return the lines they complete, without line feeds, empty ones left out."""
        found = []
        start = 0
        while start < len(data):
            end = data.find(b"\n", start)
            piece = len(data) if end < 0 else end
            self._add(data, start, piece)
            start = piece + 1
            if end >= 0:
                if self._length and not self._skipping:
                    line = bytes(memoryview(self._buffer)[: self._length]).strip()
                    if line:
                        found.append(line)
                self._skipping = False
                self._length = 0
        return found

    def _add(self, data, start, end):
        if self._skipping:
            return
        size = end - start
        if self._length + size > len(self._buffer):
            self._skipping = True
            self._length = 0
            self.overlong += 1
            return
        self._buffer[self._length : self._length + size] = data[start:end]
        self._length += size


class CrcGate:
    """What a line's CRC means on one connection: right if there, and wanted once one has come."""

    def __init__(self):
        """Begin a connection."""
        self.wanted = False

    def opened(self, line):
        """The line without its CRC. Raises BadLine."""
        if line[-5:-4] == b"*":
            try:
                given = int(line[-4:], 16)
            except ValueError:
                raise BadLine("damaged (CRC)")
            line = line[:-5]
            if crc16(line) != given:
                raise BadLine("damaged (CRC)")
            self.wanted = True
        elif self.wanted:
            raise BadLine("without CRC")
        return line


def message(line):
    """The object on a line. Numbers with a fraction are kept as digits, for `number`.

    Raises BadLine for what is no JSON object, is not UTF-8, or is nested deeper than six.
    """
    if line[:1] != b"{" or line[-1:] != b"}":
        raise BadLine("torn, or no object")
    try:
        found = json.loads(_digits_kept(line).decode())
    except (ValueError, UnicodeError):
        raise BadLine("no JSON")
    if not isinstance(found, dict):
        raise BadLine("no object")
    return found


def number(value):
    """A number of a message in millionths, None for null. Raises ValueError for everything else."""
    if value is None:
        return None
    if value is True or value is False:
        raise ValueError(value)
    if isinstance(value, int):
        return micro(str(value))
    if isinstance(value, str) and value.startswith(_NUMBER):
        return micro(value[1:])
    raise ValueError(value)


def floats(value):
    """Something out of a message with its numbers as floats: for settings, which are no measurements."""
    if isinstance(value, dict):
        return {key: floats(value[key]) for key in value}
    if isinstance(value, list):
        return [floats(one) for one in value]
    if isinstance(value, str) and value.startswith(_NUMBER):
        return float(value[1:])
    return value


def _digits_kept(line):
    """The line with numbers that have a fraction or an exponent marked and in quotes. Raises BadLine."""
    out = bytearray()
    depth = 0
    copied = 0
    at = 0
    size = len(line)
    while at < size:
        char = line[at]
        if char == 0x22:  # A string: to its closing quote.
            at += 1
            while at < size and line[at] != 0x22:
                if line[at] < 0x20:
                    raise BadLine("no JSON")
                at += 2 if line[at] == 0x5C else 1
        elif char in b"{[":
            depth += 1
            if depth > MAX_DEPTH:
                raise BadLine("nested too deep")
        elif char in b"}]":
            depth -= 1
        elif char in b"-0123456789":
            end = at + 1
            fraction = False
            while end < size and line[end] in b"0123456789+-.eE":
                fraction = fraction or line[end] in b".eE"
                end += 1
            if fraction:
                out += line[copied:at]
                out += b'"\x01'
                out += line[at:end]
                out += b'"'
                copied = end
            at = end - 1
        at += 1
    if not copied:
        return line
    out += line[copied:]
    return bytes(out)
