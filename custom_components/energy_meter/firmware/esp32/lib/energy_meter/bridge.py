"""The bridge: its meters, what it says of them, and the requests it carries out. No hardware, no sockets."""

import json

from . import config, says
from .decimals import MICRO, decimal, micro
from .desk import Desk, Refused
from .lines import floats, number
from .meter import CALIBRATION, RESOLUTION, Meter

AWAY_MS = 150_000
"""A host that has said nothing for so long is away; over every way it says something about once a minute."""
IDENTIFY_MS = 10_000
_TROUBLE_EVERY_MS = 60_000
_UNSAID = 8
_CAPABILITIES = '["buffer","config","update","time"]'
_SHARED = ("model", "manufacturer", "firmware", "rated_current", "resolution", "capabilities")
"""What a meter beside a hub's monitors has to say itself, lest it take what these share."""


class Bridge:
    """What all parts of the firmware meet at."""

    def __init__(self, who, settings, clock, outbox, totals, restart):
        """`who`: id, firmware, hardware and reset (texts); `restart(reason)` begins a restart."""
        self.who = who
        self.settings = settings
        self._kind = "i2c_hub" if settings["i2c"]["on"] else "esp32"
        self.clock = clock
        self.outbox = outbox
        self.totals = totals
        self.meters = {}
        self.sessions = []
        self.relays = []
        self.nodes = []
        self.errors = 0
        self.print_log = print
        self.updater = None
        self.hub = None
        """The monitors of an I²C bus, if there is one: see `i2c_hub`."""
        self.on_problem = None
        """Called when what is wrong with the hub's bus has changed."""
        self.identify_until = 0
        self.posts = 0
        """Signed posts since the start: each has a number of its own."""
        self.set_rtc = None
        self.restart = restart
        self._troubles = {}
        self._unsaid = []
        """The last warnings that nobody was there to hear."""
        self._heard_ms = None
        self.desk = Desk(
            clock, {"command": self._command, "config": self._config, "update": self._update}
        )

    # What the boards on the wires say.

    def show(self, meter_id, node, node_id, values, flags, at_ms):
        """Values (quantity → millionths) of a meter at an instant (ms; None: unknown)."""
        meter = self.meter(meter_id, node, node_id)
        if meter is None:
            return
        if meter.show(values, flags, at_ms):
            self.changed()
        now = self.clock.ms() if at_ms is None else at_ms
        if meter.is_due(now, self._step_ms()):
            self.outbox.add(meter.said(), now, known=at_ms is not None)

    def new(self, meter_id, node, node_id, told):
        """Take what a board says of a meter in its hello."""
        meter = self.meter(meter_id, node, node_id)
        if meter is not None and meter.told != told:
            meter.told = told
            self.changed()

    def interrupted(self, meter_id):
        """A board started again: its power is not known between then and now."""
        meter = self.meters.get(meter_id)
        if meter:
            meter.interrupted()
            meter.flags.add("restarted")

    def event(self, name, meter_id=None, value=None, reason=None, control=None):
        """Something happened; `value` in millionths."""
        self.outbox.add(says.event(name, meter_id, value, reason, control))
        meter = self.meters.get(meter_id)
        if meter and name in ("control", "relay"):
            _stands_at(meter, control or name, value)

    def meter(self, meter_id, node=None, node_id=None):
        """The meter of that id; a new one is made, unless there are too many."""
        meter = self.meters.get(meter_id)
        if meter is None:
            total = self.totals.of(meter_id)
            if total is None:
                self.trouble("too many meters: '%s' is left out" % meter_id)
                return None
            meter = Meter(
                meter_id,
                self.settings["meters"].get(meter_id, {}),
                total,
                lambda: self.totals.kept(meter_id),
            )
            self.meters[meter_id] = meter
            self.changed()
        if node is not None and meter.node is None:
            meter.node, meter.node_id = node, node_id
        return meter

    # What is said.

    def changed(self):
        """Say hello again: something in it has changed."""
        for session in self.sessions:
            if session.connected:
                session.say_hello()

    def hello(self):
        """Who is here, one line. That of a hub has some 20 KB: it is put together in one block of just this size."""
        line = bytearray(sum(len(piece.encode()) for piece in self._hello()))
        at = 0
        for piece in self._hello():
            encoded = piece.encode()
            line[at : at + len(encoded)] = encoded
            at += len(encoded)
        return line

    def _hello(self):
        """The pieces of a hello."""
        who = self.who
        yield (
            '{"type":"hello","v":1,"bridge":"%s","boot":%d,"firmware":"%s","hardware":%s,"name":%s,'
            '"kind":"%s","capabilities":%s,"interval":%s,"meters":['
        ) % (
            who["id"],
            self.outbox.boot,
            who["firmware"],
            says.quoted(who["hardware"]),
            says.quoted(self.settings["name"]),
            self._kind,
            _CAPABILITIES,
            decimal(micro(str(self._interval()))),
        )
        mark = ""
        for meter in self.meters.values():
            yield mark + self._meter_hello(meter, bool(self.hub))
            mark = ","
        if self.hub:
            if mark and self.hub.roster.announced():
                yield mark
            for piece in self.hub.hello():
                yield piece
        else:
            yield "]"
        yield "}"

    def log(self, level, text):
        """One line for people, to whoever listens and to the console."""
        if level in ("warning", "error"):
            self.errors += 1
        self.print_log("%s: %s" % (level, text))
        line = says.log(level if level in ("debug", "info", "warning", "error") else "info", text)
        listening = [session for session in self.sessions if session.connected]
        for session in listening:
            session.say(line)
        if not listening and level in ("warning", "error"):
            self._unsaid = self._unsaid[1 - _UNSAID :] + [line]

    def unsaid(self):
        """The warnings that nobody was there to hear; told once."""
        lines, self._unsaid = self._unsaid, []
        return lines

    def trouble(self, text):
        """A warning that may come often: one a minute of each kind, of which there are few."""
        now = self.clock.ms()
        kind = text[:16]
        last = self._troubles.get(kind)
        if last is not None and now - last < _TROUBLE_EVERY_MS:
            self.errors += 1
            return
        if len(self._troubles) >= 16:
            self._troubles = {}
        self._unsaid = []
        """The last warnings that nobody was there to hear."""
        self._troubles[kind] = now
        self.log("warning", text)

    def say_health(self, rssi, free):
        """How it fares, to all hosts."""
        outbox = self.outbox
        hub_errors = self.hub.errors if self.hub else 0
        line = says.health(
            (
                ("rssi", rssi),
                ("uptime", self.clock.ms() // 1000),
                ("free_memory", free),
                ("buffered", outbox.buffered),
                ("dropped", outbox.dropped),
                ("lost", sum(node.errors for node in self.nodes)),
                ("repeated", sum(session.repeated for session in self.sessions)),
                ("errors", self.errors + outbox.errors + self.totals.errors + hub_errors),
                ("reset", self.who["reset"]),
                ("problems", self.hub.problems if self.hub else None),
            )
        )
        for session in self.sessions:
            session.say(line)

    def tell_health(self):
        """What is wrong with the hub's bus has changed."""
        if self.on_problem:
            self.on_problem()

    # What the host says.

    def heard(self):
        """A host has said something."""
        self._heard_ms = self.clock.ms()

    def acked(self):
        """A host has taken something: this firmware works."""
        if self.updater:
            self.updater.confirm()

    def set_time(self, unix_ms):
        """The host tells the time."""
        self.clock.set_unix_ms(unix_ms)
        if self.set_rtc:
            self.set_rtc(unix_ms)

    @property
    def host_is_here(self):
        """Whether a host has been heard lately."""
        return self._heard_ms is not None and self.clock.ms() - self._heard_ms < AWAY_MS

    def is_heard(self):
        """Whether somebody may listen: a host is here, or one has had no time yet to come."""
        return self.host_is_here or self.clock.ms() <= AWAY_MS

    def has_room_for_live(self):
        """Whether rounds that need not be kept would be said in time: else they would only push each other out.

        Nobody may be connected, or everybody be busy with what was kept, or be too slow for more.
        """
        return any(
            session.connected and self.outbox.in_memory(session.position)
            for session in self.sessions
        )

    def tick(self):
        """What is to be done about once a second."""
        self.outbox.tick(self.host_is_here)
        now = self.clock.ms()
        if self.totals.due(now):
            self.totals.save(now)
        heard = self._heard_ms or 0
        for relay in self.relays:
            relay.tick(heard)

    def save(self):
        """Write down everything that a restart would lose."""
        self.totals.save(self.clock.ms())
        self.outbox.save()

    def _interval(self):
        return self.settings["interval"]

    def _step_ms(self):
        """Time between two readings of a meter, ms."""
        interval = self._interval()
        if not self.is_heard():
            interval = max(interval, self.settings["buffer"]["thin"])
        return int(interval * 1000)

    def _meter_hello(self, meter, beside_hub):
        told, settings = meter.told, meter.settings
        quantities = list(meter.quantities)
        theirs = told.get("quantities")
        quantities += [
            key for key in (theirs if isinstance(theirs, list) else ()) if key not in quantities
        ]
        counted = "energy_import" in quantities and meter.keeps_count
        parts = ['"id":"%s"' % meter.id]
        name = settings.get("name") or told.get("name")
        if isinstance(name, str):
            parts.append('"name":%s' % says.quoted(name))
        keys = ("model", "manufacturer", "firmware", "serial", "parent", "segment", "address")
        parts.extend(
            '"%s":%s' % (key, says.plain(told[key])) for key in keys if told.get(key) is not None
        )
        rated = settings.get("rated_current") or told.get("rated_current")
        if rated:
            parts.append('"rated_current":%s' % _number_text(rated))
        phases = told.get("phases")
        if not isinstance(phases, int):
            phases = 3 if any(key.endswith("_l2") for key in quantities) else 1
        parts.append('"phases":%d' % phases)
        parts.append('"quantities":[%s]' % ",".join(says.quoted(key) for key in quantities))
        if counted:
            parts.append(
                '"resolution":{"energy_import":%s,"energy_export":%s}' % (RESOLUTION, RESOLUTION)
            )
        elif isinstance(told.get("resolution"), dict):
            parts.append('"resolution":' + says.plain(told["resolution"]))
        if beside_hub:  # What the monitors share is not this meter's.
            said = [part[: part.find(":")].strip('"') for part in parts]
            parts.extend(['"%s":null' % key for key in _SHARED if key not in said])
        controls = [says.control(*control) for control in meter.own_controls()]
        controls += [says.plain(control) for control in meter.node_controls()]
        parts.append('"controls":[%s]' % ",".join(controls))
        return "{%s}" % ",".join(parts)

    async def _command(self, message):
        control, meter_id = message.get("control"), message.get("meter")
        try:
            value = number(message.get("value"))
        except ValueError:
            raise Refused("bad_value", "the value is no number")
        if meter_id is None:
            return self._own_command(control)
        if self.hub and self.hub.roster.knows(meter_id):
            return await self.hub.command(meter_id, control, value)
        meter = self.meters.get(meter_id)
        if meter is None:
            raise Refused("unknown_meter", "there is no meter of this name")
        if control == "relay" and meter.relay:
            if value not in (0, MICRO):
                raise Refused("bad_value", "a relay can be 0 or 1")
            meter.relay.switch(value // MICRO)
            return str(meter.relay.state)
        for theirs in meter.node_controls():
            if theirs.get("key") == control:
                answer = await meter.node.command(meter.node_id, control, value)
                _stands_at(meter, control, value)
                return answer
        for key, _, _, least, most, _ in CALIBRATION:
            if key == control:
                return self._calibrate(meter, key, value, least, most)
        if control == "reset_energy":
            meter.reset_energy()
            self.totals.save(self.clock.ms())
            return "null"
        raise Refused("unknown_control", "there is no control of this name")

    def _own_command(self, control):
        if control == "identify":
            self.identify_until = self.clock.ms() + IDENTIFY_MS
            return "null"
        if control == "restart":
            self.restart("restart")
            return "null"
        raise Refused("unknown_control", "the bridge can restart and identify")

    def _calibrate(self, meter, key, value, least, most):
        if value is None or not micro(least) <= value <= micro(most):
            raise Refused("bad_value", "between %s and %s" % (least, most))
        change = {"meters": {meter.id: {key: float(decimal(value))}}}
        self._take_settings(change)
        self.event("control", meter.id, value, control=key)
        return decimal(value)

    async def _config(self, message):
        change = message.get("config")
        if change is not None:
            self._take_settings(floats(change))
        return json.dumps(config.masked(self.settings))

    def _take_settings(self, change):
        """Check, write down and, where that needs no restart, follow a change of the settings."""
        if not isinstance(change, dict):
            raise Refused("bad_config", "'config' has to be an object")
        settings, errors = config.checked(config.merged(self.settings, change))
        if errors:
            raise Refused("bad_config", " ".join(errors)[:500])
        try:
            config.save(settings)
        except OSError:
            raise Refused("bad_config", "it could not be written to the flash memory")
        self.settings = settings
        for meter in self.meters.values():
            meter.set_up(settings["meters"].get(meter.id, {}))
        self.changed()

    async def _update(self, message):
        if not self.updater:
            raise Refused("unsupported", "this bridge cannot be updated over the link")
        return self.updater.step(message)


def _stands_at(meter, control, value):
    """Remember where a control of the meter's own board stands, for the next hello."""
    for theirs in meter.told.get("controls", ()):
        if theirs.get("key") == control and value is not None:
            theirs["value"] = "\x01" + decimal(value)


def _number_text(value):
    return decimal(micro(str(value))) if isinstance(value, float) else says.plain(value)
