"""Stands for the ESP32 port's `esp32` module: NVS, the key-value store in flash.

It is a JSON file (`nvs.json` in the current folder), has the limits of the real one (names of 15 bytes, 32-bit
integers) and, like it, keeps what is set at once, whole or not at all. It is harsher on purpose: with `cuts` a power cut
can happen at every write, and a blob that is being written then is damaged. What is not modelled: pages, wear, encryption.
"""

import json
import os

import power

_FILE = "nvs.json"
_NOT_FOUND = -0x1102
_TOO_LONG = -0x1109
_TOO_SMALL = -0x110C


class NVS:
    """One namespace."""

    writes = 0
    """How often anything was written, for counting wear."""

    def __init__(self, namespace):
        """Open it; raises OSError for a name that is too long."""
        if len(namespace) > 15:
            raise OSError(_TOO_LONG)
        self._namespace = namespace

    def set_i32(self, key, value):
        """Set a whole number of 32 bits."""
        if not -(1 << 31) <= value < 1 << 31:
            raise OverflowError("overflow converting long int to machine word")
        self._put(key, value, value)

    def get_i32(self, key):
        """Get one; raises OSError if there is none."""
        value = self._all().get(key)
        if not isinstance(value, int):
            raise OSError(_NOT_FOUND)
        return value

    def set_blob(self, key, blob):
        """Set bytes."""
        whole = list(bytes(blob))
        self._put(key, whole, whole[: len(whole) // 2])

    def get_blob(self, key, buffer):
        """Copy bytes into a buffer, and say how many; raises OSError if there are none or too many."""
        value = self._all().get(key)
        if not isinstance(value, list):
            raise OSError(_NOT_FOUND)
        if len(value) > len(buffer):
            raise OSError(_TOO_SMALL)
        buffer[: len(value)] = bytes(value)
        return len(value)

    def erase_key(self, key):
        """Remove one; raises OSError if there is none."""
        found = self._all()
        if key not in found:
            raise OSError(_NOT_FOUND)
        del found[key]
        self._write(found)

    def commit(self):
        """Nothing is left to do: everything is written at once."""
        power.write("commit")

    def _put(self, key, value, torn):
        if len(key) > 15:
            raise OSError(_TOO_LONG)
        NVS.writes += 1
        found = self._all()
        try:
            power.write("nvs")
        except power.Cut:
            if isinstance(value, list):
                found[key] = torn
                self._write(found)
            raise
        found[key] = value
        self._write(found)

    def _all(self):
        try:
            with power.plain_open(_FILE) as file:
                return json.load(file).get(self._namespace, {})
        except OSError:
            return {}

    def _write(self, found):
        try:
            with power.plain_open(_FILE) as file:
                everything = json.load(file)
        except OSError:
            everything = {}
        everything[self._namespace] = found
        with power.plain_open(_FILE + ".new", "w") as file:
            file.write(json.dumps(everything))
        os.rename(_FILE + ".new", _FILE)
