"""One monitor on a hub's bus: who it is, and what a hello says of it."""

import struct

from . import i2c_blocks as blocks, i2c_controls as controls, i2c_rows as rows, says
from .decimals import decimal
from .i2c_bus import address_text, place_text, segment_text


class Monitor:
    """One that answers, or did a moment ago."""

    def __init__(self, identity, place):
        """`identity`: its block, whose CRC has been checked."""
        self.key = bytes(identity[6:14])
        self.id = rows.meter_id(self.key)
        self.tag = blocks.tag_of(self.key)
        self.place = place
        self.firmware = "%d.%d.%d" % (identity[22], identity[23], identity[24])
        self.capabilities, self.rated = struct.unpack_from("<HH", identity, 26)
        self.settings = None
        """The four calibrated numbers, in their digits; None while they are not known."""
        self.relay = None
        self.misses = 0
        """Rounds in a row without a good block."""
        self.announced = False
        """Whether a hello may tell of it: not before its first good block."""
        self.boot_told = None
        self.bus_errors = None
        """Transactions that it has dropped, as it counts them."""
        self.busy = False
        """Whether a command is being carried out."""

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
