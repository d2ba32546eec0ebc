"""Counters that survive power cuts, in the chip's key-value store (NVS).

All counters are one record, written by turns under two names: a generation number says which is newer, a checksum
which is whole. A power cut while one is written leaves the other. What is shown to others is only what has been written
(`kept`), so that no counter is seen to fall after a power cut. NVS itself never writes the same cell twice in a
row, so that the wear spreads over its partition; `due` keeps the writes rare.
"""

import binascii
import struct

MAX_METERS = 16
EVERY_MS = 60_000
EVERY_MWH = 10_000
_MAGIC = b"EM1"
_HEAD = "<3sBI"
_ROW = "<IQQ"


class Totals:
    """Counters by meter id, [import, export] in mWh."""

    def __init__(self, nvs):
        """Read what an earlier start left in the store (`esp32.NVS` or the like)."""
        self._nvs = nvs
        self._generation = 0
        self._rows = {}
        """CRC-32 of the meter's id → [import, export]."""
        self._used = set()
        self._saved = {}
        self._saved_ms = 0
        self._failing = False
        self.errors = 0
        for name in ("t0", "t1"):
            found = self._read(name)
            if found and found[0] > self._generation:
                self._generation, self._rows = found
        self._remember()

    def of(self, meter_id):
        """The counters of a meter, to be changed in place; None if there are too many meters."""
        name = binascii.crc32(meter_id.encode())
        self._used.add(name)
        if name not in self._rows:
            if len(self._rows) >= MAX_METERS:
                idle = [one for one in self._rows if one not in self._used]
                if not idle:
                    self._used.remove(name)
                    return None
                del self._rows[idle[0]]  # A meter that has not been seen since the start.
            self._rows[name] = [0, 0]
        return self._rows[name]

    def kept(self, meter_id):
        """(import, export) in mWh of a meter, as written down; as counted if the store does not take it."""
        name = binascii.crc32(meter_id.encode())
        if self._failing:
            return tuple(self._rows.get(name, (0, 0)))
        return self._saved.get(name, (0, 0))

    def due(self, now_ms):
        """Whether a minute has gone or 10 Wh have come since the last time, so that they should be saved."""
        moved = [self._moved(name) for name in self._rows]
        return any(moved) and (now_ms - self._saved_ms >= EVERY_MS or max(moved) >= EVERY_MWH)

    def save(self, now_ms):
        """Write them if they have changed."""
        self._saved_ms = now_ms
        if not any(self._moved(name) for name in self._rows):
            return
        try:
            generation = self._generation + 1
            self._nvs.set_blob("t%d" % (generation & 1), self._packed(generation))
            self._nvs.commit()
        except OSError:
            self.errors += 1  # Tried again when it is due again.
            self._failing = True
            return
        self._generation = generation
        self._failing = False
        self._remember()

    def _moved(self, name):
        saved = self._saved.get(name, (0, 0))
        row = self._rows[name]
        return max(abs(row[0] - saved[0]), abs(row[1] - saved[1]))

    def _remember(self):
        self._saved = {name: tuple(row) for name, row in self._rows.items()}

    def _packed(self, generation):
        parts = [struct.pack(_HEAD, _MAGIC, len(self._rows), generation)]
        for name, row in self._rows.items():
            parts.append(struct.pack(_ROW, name, row[0], row[1]))
        blob = b"".join(parts)
        return blob + struct.pack("<I", binascii.crc32(blob))

    def _read(self, name):
        """(generation, rows) of a record, or None if there is none or it is damaged."""
        buffer = bytearray(struct.calcsize(_HEAD) + MAX_METERS * struct.calcsize(_ROW) + 4)
        try:
            size = self._nvs.get_blob(name, buffer)
        except OSError:
            return None
        blob = bytes(buffer[:size])
        if size < 12 or binascii.crc32(blob[:-4]) != struct.unpack("<I", blob[-4:])[0]:
            return None
        magic, count, generation = struct.unpack_from(_HEAD, blob)
        start, step = struct.calcsize(_HEAD), struct.calcsize(_ROW)
        if magic != _MAGIC or size != start + count * step + 4:
            return None
        rows = {}
        for number in range(count):
            one, imported, exported = struct.unpack_from(_ROW, blob, start + number * step)
            rows[one] = [imported, exported]
        return generation, rows
