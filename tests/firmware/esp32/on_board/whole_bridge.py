"""The bridge between its boards and its hosts: rate, hello, controls, relays."""

import asyncio
import json

from energy_meter import config
from energy_meter.bridge import AWAY_MS, Bridge
from energy_meter.node import Node
from energy_meter.outbox import Outbox
from energy_meter.ram_ring import RamRing
from energy_meter.relay import Relay
from energy_meter.session import Session
from energy_meter.totals import Totals
from esp32 import NVS
from machine import Pin
from support import Moved, raises

from energy_meter.desk import Refused  # isort: skip


class _Setting:
    def __init__(self, **settings):
        self.moved = Moved()
        clock = self.moved.clock
        found, errors = config.checked(settings)
        assert errors == [], errors
        self.outbox = Outbox(clock, 3, RamRing(32768, 256))
        who = {"id": "abc", "firmware": "1.0.0", "hardware": "test", "reset": "power"}
        self.restarts = []
        self.bridge = Bridge(who, found, clock, self.outbox, Totals(NVS("t")), self.restarts.append)
        self.bridge.print_log = lambda text: None
        self.sent = []
        self.node = Node(found["uarts"][0], clock, self.bridge, self.sent.append)
        self.session = Session("test", self.bridge)
        self.bridge.sessions.append(self.session)
        self.session.connect()
        self.session.take(100_000)

    def lines(self, *kinds):
        found = [json.loads(line) for line in self.session.take(100_000)]
        return [line for line in found if not kinds or line["type"] in kinds]

    async def ask(self, **message):
        self.request = getattr(self, "request", 0) + 1
        self.session.receive(dict({"type": "command", "id": self.request}, **message))
        await asyncio.sleep_ms(1)
        return next(line for line in self.lines("ack") if line["id"] == self.request)


def readings_go_up_at_the_chosen_rate_and_seldom_while_nobody_is_there():
    setting = _Setting(interval=2)
    setting.bridge.heard()
    for _ in range(60):
        setting.node.feed(b'{"V":230}\n')
        setting.moved.passes(1000)
    assert len(setting.lines("reading")) == 30
    setting.moved.passes(AWAY_MS)
    for _ in range(100):
        setting.node.feed(b'{"V":230}\n')
        setting.moved.passes(1000)
    assert 10 <= len(setting.lines("reading")) <= 12


def lines_that_come_a_little_late_are_all_said():
    setting = _Setting()
    setting.bridge.heard()
    for late in (240, 0, 180, 0, 150, 20, 190, 0):
        setting.moved.passes(late)
        setting.node.feed(b'{"V":230}\n')
        setting.moved.passes(1000 - late)
    assert len(setting.lines("reading")) == 8


def hello_is_said_again_when_a_meter_or_a_quantity_is_new():
    setting = _Setting()
    setting.node.feed(b'{"V":230}\n')
    assert setting.lines("hello")[0]["meters"][0]["quantities"] == ["voltage"]
    setting.node.feed(b'{"V":230}\n')
    assert setting.lines("hello") == []
    setting.node.feed(b'{"V":230,"P":5}\n')
    meter = setting.lines("hello")[0]["meters"][0]
    assert set(meter["quantities"]) == {"voltage", "power", "energy_import"}
    assert meter["resolution"]["energy_import"] == 0.01


def the_first_reading_says_so():
    setting = _Setting()
    setting.node.feed(b'{"V":230}\n')
    setting.moved.passes(1000)
    setting.node.feed(b'{"V":230}\n')
    first, second = setting.lines("reading")
    assert first["flags"] == ["restarted"] and "flags" not in second


def a_board_tells_its_meters_and_their_controls():
    setting = _Setting(meters={"main": {"name": "Oven"}})
    setting.node.feed(
        b'{"type":"hello","v":1,"boot":5,"meters":[{"id":"main","name":"x","model":"UNO","phases":1,"rated_current":20.5,"resolution":{"energy_import":0.001},"quantities":["voltage","energy_import"],"controls":[{"key":"voltage_gain","kind":"number","value":1.05,"min":0.5,"max":2,"step":0.0001}]}]}\n'
    )
    meter = setting.lines("hello")[0]["meters"][0]
    assert (meter["name"], meter["model"], meter["rated_current"]) == ("Oven", "UNO", 20.5)
    assert meter["resolution"] == {"energy_import": 0.001}
    gains = [control for control in meter["controls"] if control["key"] == "voltage_gain"]
    assert gains == [
        {
            "key": "voltage_gain",
            "kind": "number",
            "value": 1.05,
            "min": 0.5,
            "max": 2,
            "step": 0.0001,
        }
    ]
    setting.node.feed(
        b'{"type":"event","meter":"main","event":"control","control":"voltage_gain","value":1.25}\n'
    )
    assert setting.lines("event")[0]["value"] == 1.25
    meter = json.loads(setting.bridge.hello())["meters"][0]
    assert [c["value"] for c in meter["controls"] if c["key"] == "voltage_gain"] == [1.25]


async def calibration_is_kept_and_says_so():
    setting = _Setting()
    setting.node.feed(b'{"V":200,"I":0.05}\n')
    answer = await setting.ask(meter="main", control="voltage_gain", value="\x011.1")
    assert answer["value"] == 1.1
    assert config.load()[0]["meters"]["main"]["voltage_gain"] == 1.1
    setting.moved.passes(1000)
    setting.node.feed(b'{"V":200,"I":0.05}\n')
    assert setting.lines("reading")[-1]["values"]["voltage"] == 220
    assert (await setting.ask(meter="main", control="dead_band", value=11))["error"] == "bad_value"
    assert (await setting.ask(meter="main", control="dead_band"))["error"] == "bad_value"
    assert (await setting.ask(meter="main", control="dead_band", value="1"))["error"] == "bad_value"


async def energy_can_be_reset():
    setting = _Setting()
    for _ in range(8):
        setting.node.feed(b'{"P":3600000}\n')
        setting.moved.passes(1000)
        setting.bridge.tick()
    assert setting.lines("reading")[-1]["values"]["energy_import"] > 1
    assert (await setting.ask(meter="main", control="reset_energy"))["ok"]
    assert Totals(NVS("t")).of("main") == [0, 0]
    setting.node.feed(b'{"P":0}\n')
    assert setting.lines("reading")[-1]["values"]["energy_import"] == 0


async def the_bridge_itself_restarts_and_identifies():
    setting = _Setting()
    assert (await setting.ask(control="identify"))["ok"]
    assert setting.bridge.identify_until > setting.moved.clock.ms()
    assert (await setting.ask(control="restart"))["ok"]
    assert setting.restarts == ["restart"]
    assert (await setting.ask(control="explode"))["error"] == "unknown_control"
    setting.session.receive({"type": "update", "id": "u", "step": "begin"})
    await asyncio.sleep_ms(1)
    assert setting.lines("ack")[0]["error"] == "unsupported"


def _relay(setting, **settings):
    told = []
    plain = {"active": 1, "safe": 0, "min_off": 30, "away": 0}
    plain.update(settings)
    pin = Pin(32, Pin.OUT, value=1 - plain["active"])
    relay = Relay(pin, plain, setting.moved.clock, lambda *what: told.append(what))
    return relay, pin, told


def a_relay_stays_off_long_enough():
    setting = _Setting()
    relay, pin, told = _relay(setting)
    error = raises(Refused, relay.switch, 1)
    assert (error.error, error.text) == ("minimum_off_time", "30 s to go")
    setting.moved.passes(30_000)
    relay.switch(1)
    assert pin() == 1
    relay.switch(0)
    setting.moved.passes(29_001)
    assert raises(Refused, relay.switch, 1).text == "1 s to go"
    relay.switch(0)
    assert told == [(1, "command"), (0, "command")]


def a_relay_that_does_not_follow_is_told():
    setting = _Setting()
    relay, pin, told = _relay(setting, min_off=0)
    pin.stuck = True
    assert raises(Refused, relay.switch, 1).error == "mismatch"
    assert told == []


def a_relay_goes_to_its_safe_state_when_the_host_is_away():
    setting = _Setting()
    relay, pin, told = _relay(setting, min_off=0, away=60)
    relay.switch(1)
    heard = setting.moved.clock.ms()
    setting.moved.passes(59_999)
    relay.tick(heard)
    assert pin() == 1
    setting.moved.passes(1)
    relay.tick(heard)
    assert pin() == 0 and told[-1] == (0, "safe")


def a_freezer_comes_on_by_itself_after_its_pause():
    setting = _Setting()
    relay, pin, told = _relay(setting, active=0, safe=1, min_off=120)
    assert pin() == 1 and relay.state == 0
    setting.moved.passes(119_999)
    relay.tick(0)
    assert relay.state == 0
    setting.moved.passes(1)
    relay.tick(0)
    assert relay.state == 1 and pin() == 0 and told == [(1, "safe")]


def health_counts():
    setting = _Setting()
    setting.bridge.nodes.append(setting.node)
    setting.node.feed(b'{"V":1\n{"V":230}\n')
    setting.moved.passes(61_000)
    setting.bridge.say_health(-61, 81234)
    health = setting.lines("health")[0]
    assert health["rssi"] == -61 and health["free_memory"] == 81234
    assert health["lost"] == 1 and health["errors"] >= 1 and health["reset"] == "power"
    assert health["uptime"] >= 61


def warnings_wait_for_somebody_to_hear_them():
    setting = _Setting()
    setting.session.disconnect()
    for number in range(20):
        setting.bridge.log("error", "wrong setting %d" % number)
    setting.bridge.log("info", "nobody needs this")
    setting.session.connect()
    texts = [line["text"] for line in setting.lines("log")]
    assert texts == ["wrong setting %d" % number for number in range(12, 20)]
    setting.session.connect()
    assert setting.lines("log") == []


def a_flood_of_trouble_is_one_line_a_minute():
    setting = _Setting()
    for _ in range(500):
        setting.bridge.trouble("UART 1: line no JSON")
        setting.moved.passes(100)
    assert len(setting.lines("log")) == 1
