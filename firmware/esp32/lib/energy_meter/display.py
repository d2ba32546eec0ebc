"""An SSD1306 OLED of 128 × 32 or 64 dots on I²C: power, energy, link."""

import asyncio

import framebuf

from .decimals import MICRO

_WIDTH = 128


class Ssd1306:
    """The controller: commands by the datasheet's table 9-1, the picture in pages of 8 rows."""

    def __init__(self, i2c, address, height):
        """Switch it on; raises OSError if it does not answer."""
        self._i2c = i2c
        self._address = address
        self._pages = height // 8
        self._memory = bytearray(1 + _WIDTH * self._pages)
        self._memory[0] = 0x40  # What follows is picture data.
        self.picture = framebuf.FrameBuffer(
            memoryview(self._memory)[1:], _WIDTH, height, framebuf.MONO_VLSB
        )
        wiring = 0x12 if height == 64 else 0x02
        for command in (
            0xAE, 0xD5, 0x80, 0xA8, height - 1, 0xD3, 0x00, 0x40,  # Off; clock, rows, offset, first row.
            0x8D, 0x14, 0x20, 0x00,  # Charge pump on; addresses run along the rows.
            0xA1, 0xC8, 0xDA, wiring,  # The way round that modules are mounted.
            0x81, 0x7F, 0xD9, 0xF1, 0xDB, 0x40, 0xA4, 0xA6, 0xAF,  # Contrast and drive; on.
        ):  # fmt: skip
            self._command(command)

    def show(self):
        """Send the picture."""
        for command in (0x21, 0, _WIDTH - 1, 0x22, 0, self._pages - 1):
            self._command(command)
        self._i2c.writeto(self._address, self._memory)

    def _command(self, command):
        self._i2c.writeto(self._address, bytes((0x80, command)))


def texts(meters, link, seconds, summary=None):
    """The lines to show: the meter whose turn it is, four seconds each, and the link.

    `summary`: what a hub says of its circuits, whose turn comes after the meters.
    """
    lines = []
    if summary and (not meters or seconds // 4 % (len(meters) + 1) == len(meters)):
        lines.append(summary[0])
        if summary[1] is not None:
            lines.append("%s W" % _short(summary[1]))
    elif meters:
        meter = meters[seconds // 4 % (len(meters) + bool(summary))]
        values = dict(meter.latest)
        lines.append((meter.settings.get("name") or meter.id)[:16])
        for key, unit in (("power", "W"), ("voltage", "V"), ("current", "A")):
            if values.get(key) is not None:
                lines.append("%s %s" % (_short(values[key]), unit))
        if values.get("energy_import") is not None:
            lines.insert(2, "%s kWh" % _short(values["energy_import"]))
    else:
        lines.append("no meter yet")
    return lines[:4] + [link[:16]]


async def run(make_i2c, settings, bridge, link):
    """Show what there is, each second; `link()` says how the way up is."""
    screen = Ssd1306(make_i2c(), settings["address"], settings["height"])
    step = 13 if settings["height"] == 64 else 8
    while True:
        screen.picture.fill(0)
        summary = bridge.hub.summary if bridge.hub else None
        lines = texts(list(bridge.meters.values()), link(), bridge.clock.ms() // 1000, summary)
        if settings["height"] == 32:
            lines = lines[:3] + lines[-1:]
        for at, line in enumerate(lines):
            screen.picture.text(line, 0, at * step)
        screen.show()
        await asyncio.sleep_ms(1000)


def _short(value):
    """A value with about four digits."""
    whole = abs(value) // MICRO
    places = 0 if whole >= 1000 else 1 if whole >= 100 else 2
    unit = 10 ** (6 - places)
    rounded = (abs(value) + unit // 2) // unit
    sign = "-" if value < 0 and rounded else ""
    if not places:
        return "%s%d" % (sign, rounded)
    whole, rest = divmod(rounded, 10**places)
    return sign + "%d.%s" % (whole, ("%0" + str(places) + "d") % rest)
