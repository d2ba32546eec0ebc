"""One monitor on a hub's bus: who it is, and what a hello says of it."""

import struct

from . import i2c_blocks as blocks, i2c_controls as controls, i2c_rows as rows, says
from .decimals import decimal
from .i2c_bus import address_text, place_text, segment_text

# Where things are in a monitor's record.
_KEY, _TAG, _PLACE, _CAPABILITIES, _RATED = 0, 8, 10, 12, 14
_SETTINGS, _SEQUENCE, _BOOT, _BOOT_TOLD, _BUS_ERRORS = 19, 31, 33, 34, 35
_MISSES, _RELAY, _STATE = 37, 38, 39
_ANNOUNCED, _KNOWN, _BUSY, _COUNTED, _STARTED, _READ = 1, 2, 4, 8, 16, 32
"""Bits of the state: it may be told of, its settings are known, a command is under way, its bus errors were read once,
its start was told once, a block of it was read once."""
_NO_RELAY = 0xFF


def _number(form, at):
    """A property that is a number in the record."""

    def read(self):
        return struct.unpack_from(form, self._record, at)[0]

    def write(self, value):
        struct.pack_into(form, self._record, at, value)

    return property(read, write)


def _bit(mask):
    """A property that is a bit of the state."""

    def read(self):
        return bool(self._record[_STATE] & mask)

    def write(self, value):
        state = self._record[_STATE] & ~mask
        self._record[_STATE] = state | mask if value else state

    return property(read, write)


class Monitor:
    """One that answers, or did a moment ago: a record of forty bytes, because there are a hundred of them."""

    def __init__(self, identity, place):
        """`identity`: its block, whose CRC has been checked."""
        key = bytes(identity[6:14])
        capabilities, rated = struct.unpack_from("<HH", identity, 26)
        self._record = bytearray(_STATE + 1)
        struct.pack_into(
            "<8sHHHH", self._record, 0, key, blocks.tag_of(key), place, capabilities, rated
        )
        self._record[16:19] = identity[22:25]
        self._record[_RELAY] = _NO_RELAY

    tag = _number("<H", _TAG)
    place = _number("<H", _PLACE)
    capabilities = _number("<H", _CAPABILITIES)
    rated = _number("<H", _RATED)
    """Tenths of an ampere."""
    misses = _number("<B", _MISSES)
    """Rounds in a row without a good block."""
    announced = _bit(_ANNOUNCED)
    """Whether a hello may tell of it: not before its first good block."""
    busy = _bit(_BUSY)
    """Whether a command is being carried out."""

    @property
    def key(self):
        """The eight bytes of its id."""
        return bytes(self._record[_KEY:_TAG])

    @property
    def id(self):
        """Its id, as everybody names it."""
        return rows.meter_id(self._record[_KEY:_TAG])

    @property
    def firmware(self):
        """Its version."""
        return "%d.%d.%d" % (self._record[16], self._record[17], self._record[18])

    @property
    def settings(self):
        """The four calibrated numbers, in their digits; None while they are not known."""
        if not self._record[_STATE] & _KNOWN:
            return None
        return struct.unpack_from("<IIhH", self._record, _SETTINGS)

    @settings.setter
    def settings(self, values):
        if values is not None:
            struct.pack_into("<IIhH", self._record, _SETTINGS, *values)
            self._record[_STATE] |= _KNOWN

    @property
    def relay(self):
        """1 if it is closed; None while that is not known, or if there is none."""
        relay = self._record[_RELAY]
        return None if relay == _NO_RELAY else relay

    @relay.setter
    def relay(self, state):
        self._record[_RELAY] = state

    def is_new(self, block):
        """Whether a measurement block is another one than the last; it is the last from now on."""
        same = self._record[_STATE] & _READ and self._record[_SEQUENCE : _BOOT + 1] == block[2:5]
        self._record[_SEQUENCE : _BOOT + 1] = block[2:5]
        self._record[_STATE] |= _READ
        return not same

    def resumes(self, other):
        """Go on from what another record says of this monitor: its last block and its start, so that nothing is told twice."""
        self._record[_SEQUENCE:_BUS_ERRORS] = other[:4]
        self._record[_STATE] |= other[4] & (_READ | _STARTED)

    def rest(self):
        """What `resumes` needs, of a monitor that is gone."""
        return bytes(self._record[_SEQUENCE:_BUS_ERRORS]) + bytes((self._record[_STATE],))

    def starts(self, boot):
        """Take the number of its start: None if it is the one that was told, else whether there was another before."""
        known = bool(self._record[_STATE] & _STARTED)
        if known and self._record[_BOOT_TOLD] == boot:
            return None
        self._record[_BOOT_TOLD] = boot
        self._record[_STATE] |= _STARTED
        return known

    def dropped(self, count):
        """Take the number of transactions that it has dropped, as it counts them; how many are new."""
        before = struct.unpack_from("<H", self._record, _BUS_ERRORS)[0]
        counted = self._record[_STATE] & _COUNTED
        struct.pack_into("<H", self._record, _BUS_ERRORS, count)
        self._record[_STATE] |= _COUNTED
        return max(0, count - before) if counted else 0

    def hello(self, common):
        """What a hello says of it beside `common`, JSON text."""
        parts = ['"id":"%s","name":"Circuit %s"' % (self.id, place_text(self.place))]
        if self.firmware != common.firmware:
            parts.append('"firmware":"%s"' % self.firmware)
        if self.rated != common.rated:
            parts.append('"rated_current":%s' % _amperes(self.rated))
        missing = controls.lacking(self.capabilities, common.capabilities)
        if not self.capabilities & blocks.EXPORT and common.capabilities & blocks.EXPORT:
            missing.append("energy_export")
        if missing:
            parts.append('"without":[%s]' % ",".join(['"%s"' % key for key in missing]))
        if not self.capabilities & blocks.CAPTURES and common.capabilities & blocks.CAPTURES:
            parts.append('"capabilities":[]')
        if self.place >> 8:
            parts.append('"segment":"%s"' % segment_text(self.place))
        parts.append('"address":"%s"' % address_text(self.place))
        parts.append('"settings":%s' % controls.settings_text(self))
        return "{%s}" % ",".join(parts)


class Common:
    """What is the same for most monitors, so that a hundred of them fit one line."""

    def __init__(self, monitors):
        """Look for it."""
        self.firmware = _most([one.firmware for one in monitors])
        self.rated = _most([one.rated for one in monitors])
        self.capabilities = 0
        for one in monitors:
            self.capabilities |= one.capabilities

    def text(self):
        """The hello's `common`, JSON text."""
        exports = self.capabilities & blocks.EXPORT
        quantities = [key for key in rows.QUANTITIES if exports or key != "energy_export"]
        return (
            '{"model":"I²C monitor","manufacturer":"Energy Meter","phases":1,"firmware":%s,"rated_current":%s,'
            '"quantities":[%s],"resolution":{"energy_import":0.000001,"energy_export":0.000001},'
            '"capabilities":[%s],"controls":[%s]}'
        ) % (
            says.quoted(self.firmware),
            _amperes(self.rated),
            ",".join(['"%s"' % key for key in quantities]),
            '"waveform"' if self.capabilities & blocks.CAPTURES else "",
            ",".join(controls.offered(self.capabilities)),
        )


def _most(values):
    return max(set(values), key=values.count) if values else None


def _amperes(tenths):
    return "null" if tenths in (None, 0, 0xFFFF) else decimal(tenths * 100_000)
