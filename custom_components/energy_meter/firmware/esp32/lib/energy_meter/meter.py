"""One meter: its calibration, what it shows, and the energy counted for it. Whole numbers only: see `decimals`."""

from . import says
from .decimals import MICRO, decimal, micro

CALIBRATION = (
    # control, unit, at rest, least, most, step
    ("voltage_gain", None, "1", "0.5", "2", "0.0001"),
    ("voltage_offset", "V", "0", "-50", "50", "0.01"),
    ("current_gain", None, "1", "0.5", "2", "0.0001"),
    ("current_offset", "A", "0", "-10", "10", "0.001"),
    ("dead_band", "A", "0", "0", "10", "0.001"),
    ("power_factor", None, "0", "0", "1", "0.01"),
)
_POWERS = ("power", "apparent_power", "reactive_power")
_PHASES = ("", "_l1", "_l2", "_l3")
MAX_QUANTITIES = 24
_PER_MWH = 3_600_000
"""Milliwatts × milliseconds of one mWh."""
RESOLUTION = "0.01"
"""kWh: the steps in which a counter that is kept here shows what it has counted, see `totals`."""


def _times(value, gain):
    return (value * gain + (MICRO // 2)) // MICRO


def _is_power(key):
    return any(key == power + phase for power in _POWERS for phase in _PHASES)


class Meter:
    """What becomes of a meter's values between its wire and Home Assistant."""

    def __init__(self, meter_id, settings, total, kept=None, max_gap=10_000):
        """`settings`: its part of the configuration; `total`: its counters, [import, export] in mWh, changed in place.

        `kept()`: as much of these as a power cut cannot take away any more; only that is shown, so that what is shown
        never falls. Power is not taken to have lasted over a silence longer than `max_gap` ms.
        """
        self.id = meter_id
        self.total = total
        self._kept = kept or (lambda: total)
        self.node = None
        """Who carries out controls that the meter's board has itself; None: nobody."""
        self.node_id = None
        self.told = {}
        """What its own board said of it in a hello."""
        self.relay = None
        self.quantities = []
        self.latest = ()
        """The (quantity, value) pairs shown last."""
        self.latest_ms = None
        self._due_ms = None
        self.keeps_count = False
        """Whether its energy is counted here."""
        self.flags = set()
        self._power = None
        self._rest = [0, 0]
        self._max_gap = max_gap
        self._first = True
        self.set_up(settings)

    def set_up(self, settings):
        """Take names and calibration out of the configuration."""
        self.settings = settings
        self._calibration = {}
        for key, _, rest, _, _, _ in CALIBRATION:
            self._calibration[key] = micro(str(settings.get(key, rest)))

    def show(self, values, flags, at_ms):
        """Take values (quantity → millionths or None) measured at an instant; return whether a quantity is new.

        `at_ms` None: nobody knows when, so that they count for nothing but themselves.
        """
        values = self._calibrated(dict(values))
        if at_ms is not None:
            self._count(values, at_ms, flags)
        self.keeps_count = self._counts(values) or self.keeps_count
        if self._counts(values):
            values["energy_import"], exported = self._kept()
            if exported or "energy_export" in self.quantities:
                values["energy_export"] = exported
        new = [key for key in values if key not in self.quantities]
        while len(self.quantities) + len(new) > MAX_QUANTITIES:
            del values[new.pop()]
        self.quantities.extend(new)
        self.latest = tuple(values.items())
        self.latest_ms = at_ms
        self.flags.update(flags)
        if self._first:
            self.flags.add("restarted")
            self._first = False
        return bool(new)

    def is_due(self, at_ms, step_ms):
        """Whether a reading of this instant is to be said, one in `step_ms`.

        The instants that are due lie on a grid: a line that comes late does not make the next one come too early.
        """
        due = self._due_ms
        if due is not None and due - 2 * step_ms <= at_ms < due - step_ms // 4:
            return False
        near = due is not None and abs(at_ms - due) < step_ms
        self._due_ms = (due if near else at_ms) + step_ms
        return True

    def said(self):
        """The inside of the reading that says what was shown last."""
        body = says.reading(self.id, self.latest, self.flags)
        self.flags = set()
        return body

    def interrupted(self):
        """Its power is not known from here to the next reading."""
        self._power = None

    def reset_energy(self):
        """Set its counters to zero."""
        self.total[0] = self.total[1] = 0
        self._rest = [0, 0]

    def own_controls(self):
        """(key, kind, unit, value, least, most, step) of what the bridge itself can do for this meter, as JSON text."""
        theirs = [control.get("key") for control in self.told.get("controls", ())]
        found = []
        if self.relay:
            found.append(("relay", "switch", None, str(self.relay.state), None, None, None))
        for key, unit, _, least, most, step in CALIBRATION:
            if key not in theirs:
                value = decimal(self._calibration[key])
                found.append((key, "number", unit, value, least, most, step))
        if "reset_energy" not in theirs:
            found.append(("reset_energy", "button", None, None, None, None, None))
        return found

    def node_controls(self):
        """The controls of the meter's own board, as it described them; not those the bridge has in their place."""
        return [
            control
            for control in self.told.get("controls", ())
            if not (self.relay and control.get("key") == "relay")
        ]

    def _calibrated(self, values):
        calibration = self._calibration
        gains = calibration["voltage_gain"], calibration["current_gain"]
        for key in values:
            value = values[key]
            if value is None:
                continue
            if key.startswith("voltage"):
                values[key] = max(0, _times(value, gains[0]) + calibration["voltage_offset"])
            elif key.startswith("current"):
                values[key] = self._beyond_dead_band(
                    _times(value, gains[1]) + calibration["current_offset"]
                )
            elif _is_power(key):
                values[key] = _times(_times(value, gains[0]), gains[1])
        voltage, current = values.get("voltage"), values.get("current")
        factor = values.get("power_factor") or calibration["power_factor"]
        if "power" not in values and voltage is not None and current is not None and factor:
            values["power"] = _times(_times(voltage, current), factor)
        if calibration["dead_band"]:
            for phase in _PHASES:
                if values.get("current" + phase) == 0:
                    for key in _POWERS:
                        if values.get(key + phase):
                            values[key + phase] = 0
        return values

    def _beyond_dead_band(self, current):
        return 0 if abs(current) < self._calibration["dead_band"] else current

    def _counts(self, values):
        """Whether energy is counted here: the meter knows its power and has no counter of its own."""
        return "power" in values and "energy_import" not in values

    def _count(self, values, at_ms, flags):
        """Add the energy since the last reading: the mean of both powers, split by direction (trapezoid)."""
        power = values.get("power") if self._counts(values) else None
        milliwatts = None if power is None else power // 1000
        before, self._power = self._power, (milliwatts, at_ms)
        if milliwatts is None or before is None or before[0] is None:
            return
        elapsed = at_ms - before[1]
        if not 0 < elapsed <= self._max_gap:
            if elapsed <= 0:
                self._power = before
            return
        for way, sign in ((0, 1), (1, -1)):
            # Twice the energy, so that halving costs nothing.
            twice = (max(0, sign * before[0]) + max(0, sign * milliwatts)) * elapsed
            self._rest[way] += twice
            whole = self._rest[way] // (2 * _PER_MWH)
            self._rest[way] -= whole * 2 * _PER_MWH
            self.total[way] += whole
