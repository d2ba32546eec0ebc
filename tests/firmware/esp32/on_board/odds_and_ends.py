"""Settings, the choice of versions, updates, set-up page, mDNS, display, LED, supervisor, MQTT packets."""

import asyncio
import binascii
import hashlib
import json
import os
import random
import struct

from energy_meter import config, display, led, mdns, mqtt_packets, net, portal, update
from energy_meter.desk import Refused
from energy_meter.supervisor import Supervisor
from esp32 import NVS
import machine
import power
import slots
from support import Moved, raises

# Settings


def the_defaults_are_right():
    settings, errors = config.checked({})
    assert errors == [] and settings["tcp"] == {"on": True, "port": 8731}
    assert len(settings["uarts"]) == 1 and settings["relays"] == []
    assert config.checked(settings) == (settings, [])


def what_is_wrong_is_said_in_words():
    for given, part in (
        ([], "not a JSON object"),
        ({"nmae": "x"}, "There is no setting 'nmae'"),
        ({"name": 5}, "'name' has to be a text"),
        ({"name": "x" * 33}, "'name' is longer than 32"),
        ({"interval": "1"}, "'interval' has to be a number"),
        ({"interval": 0}, "'interval' has to be between 0.2 and 3600"),
        ({"tcp": {"port": 1.5}}, "'tcp.port' has to be a whole number"),
        ({"tcp": {"on": 1}}, "'tcp.on' has to be true or false"),
        ({"tcp": []}, "'tcp' has to be an object"),
        ({"wifi": {"pasword": "x"}}, "There is no setting 'wifi.pasword'"),
        ({"led": {"pin": 6}}, "flash memory"),
        ({"relays": [{"pin": 34}]}, "only be an input"),
        ({"relays": [{"pin": 16}]}, "are the same pin, 16"),
        ({"uarts": [{}, {}]}, "same UART port"),
        ({"uarts": [{}, {"port": 2, "rx": 4, "tx": 5}]}, "same meter"),
        ({"uarts": [{}] * 3}, "at most 2"),
        ({"uarts": [{"tx": None}]}, "'uarts[0].tx' needs a pin"),
        ({"key": "ABC"}, "20 characters"),
        ({"http": {"on": True, "url": "ftp://x"}}, "http://"),
        ({"http": {"on": True, "url": "https://x/y"}}, "'http.ca'"),
        ({"mqtt": {"on": True}}, "mqtt.host"),
        ({"mqtt": {"prefix": "a/#"}}, "mqtt.prefix"),
        ({"sleep": {"on": True}}, "'sleep' needs HTTP or MQTT"),
        ({"rs485": {"on": True, "listen": 8731}}, "are the same"),
        ({"rs485": {"parity": "mark"}}, "none, even, odd"),
        ({"meters": {"no name": {}}}, "cannot name a meter"),
        ({"meters": {"a": {"voltage_gain": 3}}}, "'meters.a.voltage_gain'"),
    ):
        _, errors = config.checked(given)
        assert any(part in error for error in errors), (given, errors)


def a_wrong_setting_leaves_the_others_alone():
    settings, errors = config.checked({"name": "Cellar", "interval": "x", "tcp": {"port": 9000}})
    assert len(errors) == 1
    assert (settings["name"], settings["interval"], settings["tcp"]["port"]) == ("Cellar", 1, 9000)


def settings_merge_and_secrets_are_masked():
    settings, _ = config.checked({"wifi": {"ssid": "a", "password": "secret"}, "key": "A" * 20})
    shown = config.masked(settings)
    assert shown["wifi"]["password"] == shown["key"] == "***" and shown["mqtt"]["password"] == ""
    assert settings["wifi"]["password"] == "secret"
    change = dict(shown, name="new", led=None)
    merged, errors = config.checked(config.merged(settings, change))
    assert errors == [] and merged["wifi"]["password"] == "secret" and merged["name"] == "new"
    assert merged["led"] == {"pin": 2, "active": 1}


def a_power_cut_leaves_the_old_settings_or_the_new():
    config.save(config.checked({"name": "old"})[0])
    with open("config.json.new", "w") as file:
        file.write('{"name": "ne')
    assert config.load()[0]["name"] == "old"
    with open("config.json", "w") as file:
        file.write("{")
    settings, errors = config.load()
    assert settings["name"] == "Energy bridge" and "no JSON" in errors[0]


# Versions


def _slots():
    return slots.Slots(NVS(slots.STORE))


def a_version_on_trial_gets_three_starts():
    assert _slots().choose() == ""
    _slots().begin_trial("a")
    for _ in range(3):
        assert _slots().choose() == "a"
    assert _slots().choose() == ""
    assert _slots().take_rolled_back() and not _slots().take_rolled_back()


def a_version_that_works_stays():
    _slots().begin_trial("a")
    chosen = _slots()
    assert chosen.choose() == "a" and chosen.on_trial
    chosen.confirm()
    for _ in range(5):
        assert _slots().choose() == "a"
    _slots().begin_trial("b")
    _slots().choose()
    _slots().roll_back()
    assert _slots().choose() == "a"
    _slots().roll_back()
    assert _slots().choose() == ""


def a_power_cut_never_leads_to_a_version_that_is_not_there():
    for cut in range(12):
        power.cut_after(cut)
        try:
            _slots().begin_trial("a")
            for _ in range(5):
                chosen = _slots()
                chosen.choose()
            chosen.confirm()
        except power.Cut:
            pass
        power.cut_after(10**9)
        assert _slots().choose() in ("", "a")
        NVS(slots.STORE).set_i32("state", 0)
    NVS(slots.STORE).set_i32("state", 3 | 3 << 2)
    assert _slots().choose() == ""


def _updater(moved, running=""):
    restarts = []
    return update.Updater(_slots(), running, moved.clock, restarts.append), restarts


def _announced(files):
    return [
        {
            "name": name,
            "size": len(data),
            "sha256": binascii.hexlify(hashlib.sha256(data).digest()).decode(),
        }
        for name, data in files.items()
    ]


def _piece(name, offset, data):
    text = binascii.b2a_base64(data).decode().strip()
    return {"step": "data", "name": name, "offset": offset, "data": text}


_FILES = {
    "boot.py": b"never used",
    "lib/energy_meter/app.py": b"x" * 1500,
    "lib/energy_meter/__init__.py": b"",
    "version.txt": b"1.1.0\n",
}


def an_update_is_checked_and_started_on_trial():
    updater, restarts = _updater(Moved())
    with open("version.txt", "wb") as file:
        file.write(_FILES["version.txt"])
    answer = json.loads(updater.step({"step": "begin", "files": _announced(_FILES)}))
    assert sorted(answer["have"]) == ["boot.py", "version.txt"]
    app = _FILES["lib/energy_meter/app.py"]
    updater.step(_piece("lib/energy_meter/__init__.py", 0, b""))
    updater.step(_piece("lib/energy_meter/app.py", 0, app[:1024]))
    updater.step(_piece("lib/energy_meter/app.py", 0, app[:1024]))
    raises(Refused, updater.step, _piece("lib/energy_meter/app.py", 1400, app[1400:]))
    raises(Refused, updater.step, {"step": "commit"})
    updater.step(_piece("lib/energy_meter/app.py", 1024, app[1024:]))
    updater.step({"step": "commit"})
    assert restarts == ["update"] and _slots().choose() == "a"
    with open("a/version.txt", "rb") as file:
        assert file.read() == b"1.1.0\n"
    assert sorted(os.listdir("a")) == ["lib", "version.txt"]


def what_does_not_belong_to_the_firmware_is_refused():
    updater, restarts = _updater(Moved())
    for files in (
        None,
        [],
        [7],
        [{}],
        _announced({"../boot.py": b""}),
        _announced({"config.json": b""}),
        _announced({"lib/energy_meter/../../x.py": b""}),
        _announced({"lib/energy_meter/.py/x.py": b""}),
        _announced({"version.txt": b"1"}),
        _announced({"lib/energy_meter/app.py": b"1"}) * 65,
        [dict(_announced({"lib/energy_meter/app.py": b""})[0], size=10**9)],
    ):
        assert (
            raises(Refused, updater.step, {"step": "begin", "files": files}).error == "bad_update"
        )
    for message in ({"step": "commit"}, _piece("version.txt", 0, b""), {"step": "x"}, {}):
        assert raises(Refused, updater.step, message).error == "bad_update"
    updater.step({"step": "begin", "files": _announced(_FILES)})
    broken = _piece("lib/energy_meter/app.py", 0, b"y")
    broken["data"] = "A"
    raises(Refused, updater.step, broken)
    raises(Refused, updater.step, _piece("lib/energy_meter/app.py", 0, b"y" * 1025))
    updater.step({"step": "abort"})
    raises(Refused, updater.step, {"step": "commit"})
    assert restarts == []


def a_version_that_reaches_nobody_is_given_up():
    moved = Moved()
    _slots().begin_trial("a")
    _slots().choose()
    updater, restarts = _updater(moved, "a")
    moved.passes(update.TRIAL_MS - 2000)
    updater.tick()
    assert restarts == []
    moved.passes(2000)
    updater.tick()
    assert restarts == ["rolled_back"] and _slots().choose() == ""


# Set-up


def the_page_shows_settings_and_no_secret():
    settings = config.checked(
        {"name": 'A "b" <c>', "wifi": {"password": "secret"}, "key": "A" * 20}
    )[0]
    html = portal.page(settings, ["Home & Co"], ["Wrong <thing>."])
    assert "A &quot;b&quot; &lt;c&gt;" in html and "Home &amp; Co" in html
    assert "Wrong &lt;thing&gt;." in html and "AAAAA-AAAAA" in html and "secret" not in html


def a_filled_form_becomes_settings():
    form = portal.form_of(
        b"ssid=My+Home&password=p%26w%C3%B6&name=&key=&url=http%3A%2F%2Fx%2Fapi&mqtt="
    )
    change = portal.change_of(form)
    settings, errors = config.checked(config.merged(config.defaults(), change))
    assert errors == []
    assert settings["wifi"] == {"ssid": "My Home", "password": "p&w\u00f6", "hostname": ""}
    assert settings["http"]["on"] and settings["http"]["url"] == "http://x/api"
    assert not settings["mqtt"]["on"] and settings["name"] == "Energy bridge"


def names_all_lead_to_the_page():
    query = (
        b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03com\x00\x00\x01\x00\x01"
    )
    answer = portal.dns_answer(query, "192.168.4.1")
    assert answer[:2] == query[:2] and answer.endswith(bytes((192, 168, 4, 1)))
    random.seed(7)
    for _ in range(2000):
        portal.dns_answer(os.urandom(random.randint(0, 40)), "192.168.4.1")


async def the_access_point_takes_the_settings():
    from energy_meter.bridge import Bridge
    from energy_meter.outbox import Outbox
    from energy_meter.ram_ring import RamRing
    from energy_meter.totals import Totals

    class Point:
        name, address, on = "Energy-Meter-d3e4", "127.0.0.1", None

        def start(self):
            self.on = True

        def stop(self):
            self.on = False

    class Dns:
        def recvfrom(self, _):
            raise OSError(11)

        def close(self):
            pass

    moved = Moved()
    restarts = []
    settings = config.checked({"key": "A" * 20})[0]
    outbox = Outbox(moved.clock, 1, RamRing(4096, 16))
    bridge = Bridge({"id": "x"}, settings, moved.clock, outbox, Totals(NVS("t")), restarts.append)
    bridge.print_log = lambda text: None
    point = Point()
    port = 20000 + random.randint(0, 20000)
    page = portal.Portal(bridge, point, lambda: ["Home"], Dns, port)
    task = asyncio.create_task(page.run())
    await asyncio.sleep_ms(50)
    assert point.on and page.is_open

    async def request(text):
        connection = net.Connection("127.0.0.1", port)
        await connection.open()
        await connection.send(text)
        answer = b""
        try:
            while True:
                answer += await connection.receive(4096, 5)
        except OSError:
            return answer

    assert b"302 Found" in await request(b"GET /generate_204 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"<form" in await request(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await request(b"\x00\x01\r\n\r\n")
    post = b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s"
    body = b"ssid=&password="
    assert b"name of the Wi-Fi network is missing" in await request(post % (len(body), body))
    body = b"ssid=Home&password=secret&name=Cellar&key=" + b"B" * 20
    assert b"BBBBB-BBBBB" in await request(post % (len(body), body))
    assert restarts == ["settings"]
    assert config.load()[0]["wifi"] == {"ssid": "Home", "password": "secret", "hostname": ""}
    moved.passes(portal.OPEN_MS)
    await asyncio.sleep_ms(120)
    assert point.on is False and task.done()


# mDNS


def rubbish_is_no_question():
    random.seed(8)
    responder = mdns.Responder("a4cf12d3e4f5", "Workshop", 8731)
    for _ in range(3000):
        head = struct.pack(">HHHHHH", 0, 0, random.randint(0, 3), 0, 0, 0)
        responder.answer(head + os.urandom(random.randint(0, 30)), "192.168.1.5")
    circle = struct.pack(">HHHHHH", 0, 0, 1, 0, 0, 0) + b"\xc0\x0c\x00\x0c\x00\x01"
    assert responder.answer(circle, "192.168.1.5") is None


# Display and LED


def the_display_shows_power_energy_and_link():
    class Meter:
        id = "oven"
        settings = {"name": "Oven"}
        latest = (
            ("voltage", 230_400_000),
            ("power", -1_234_500_000),
            ("energy_import", 12_345_678_000),
        )

    assert display.texts([Meter], "Home Assistant", 0) == [
        "Oven",
        "-1235 W",
        "12346 kWh",
        "230.4 V",
        "Home Assistant",
    ]
    assert display.texts([], "no Wi-Fi", 0) == ["no meter yet", "no Wi-Fi"]


def the_display_shows_a_hubs_circuits_together():
    class Meter:
        settings = {"name": "Oven"}
        latest = ()

    summary = ("12 circuits", -1234567890)
    assert display.texts([], "", 0, summary) == ["12 circuits", "-1235 W", ""]
    assert display.texts([], "", 0, ("0 circuits", None)) == ["0 circuits", ""]
    turns = [display.texts([Meter], "", second, summary)[0] for second in (0, 4, 8)]
    assert turns == ["Oven", "12 circuits", "Oven"]


def the_display_gets_a_picture_of_its_size():
    for height in (32, 64):
        machine.I2C.written.clear()
        screen = display.Ssd1306(machine.I2C(0, scl=1, sda=2, freq=1), 0x3C, height)
        screen.picture.text("A", 0, 0)
        screen.show()
        assert len(machine.I2C.written[-1]) == 1 + 128 * height // 8
        assert any(machine.I2C.written[-1][1:])
    raises(OSError, display.Ssd1306, machine.I2C(0, scl=1, sda=2, freq=1), 0x3D, 64)


async def the_led_shows_what_is_due():
    pin = machine.Pin(2, machine.Pin.OUT)
    task = asyncio.create_task(led.run(pin, 0, lambda: "identify"))
    seen = []
    for _ in range(10):
        await asyncio.sleep_ms(80)
        seen.append(pin())
    task.cancel()
    assert 0 in seen and 1 in seen


# Supervisor


async def a_part_that_fails_is_started_again_and_the_others_run_on():
    import simulated_time

    ticks = simulated_time.install()
    from energy_meter.clock import Clock

    logged, runs, steady = [], [], []

    async def broken():
        runs.append(ticks())
        raise ValueError("oops")

    async def hungry():
        raise MemoryError

    async def works():
        while True:
            steady.append(1)
            await asyncio.sleep_ms(1000)

    supervisor = Supervisor(Clock(ticks), lambda *what: logged.append(what))
    for name, part in (("broken", broken), ("hungry", hungry), ("works", works)):
        supervisor.start(name, part)
    supervisor.set_watchdog(machine.WDT(60))
    asyncio.create_task(supervisor.watch(lambda: None))
    await simulated_time.passes(600_000)
    assert 590 <= len(steady) <= 602
    assert 10 <= len(runs) <= 18 and supervisor.failures["broken"] == len(runs)
    assert supervisor.failures["hungry"] > 5 and supervisor.failures["works"] == 0
    assert ("error", "broken failed: ValueError('oops',)") in logged
    assert machine.WDT.feeds >= 590
    supervisor.beat("works")
    await simulated_time.passes(400_000)
    fed = machine.WDT.feeds
    await simulated_time.passes(60_000)
    assert machine.WDT.feeds == fed, "a part that stopped beating"
    supervisor.stop()


# MQTT packets and addresses


def packets_are_cut_in_any_pieces():
    stream = (
        b"\x20\x02\x00\x00"
        + mqtt_packets.publish("a/b", 5, 7)
        + b"hello"
        + mqtt_packets.PINGREQ
        + mqtt_packets.publish("a/b", 5000, 8)
        + b"x" * 5000
        + mqtt_packets.publish("c", 300, 9, retain=True)
        + b"y" * 300
    )
    for size in (1, 2, 3, 7, 64, 1000, len(stream)):
        cut = mqtt_packets.Packets(1000)
        found = []
        for start in range(0, len(stream), size):
            found += cut.feed(stream[start : start + size])
        assert [kind for kind, _, _ in found] == [2, 3, 12, 3], (size, found)
        assert mqtt_packets.published(found[1][1], found[1][2]) == ("a/b", 7, b"hello")
        assert mqtt_packets.published(found[3][1], found[3][2]) == ("c", 9, b"y" * 300)
        assert cut.too_long == 1
    raises(ValueError, mqtt_packets.Packets(100).feed, b"\x30\xff\xff\xff\xff\x01")


def addresses_are_taken_apart():
    for url, parts in (
        ("http://ha.local:8123/api/webhook/x?y=1", (False, "ha.local", 8123, "/api/webhook/x?y=1")),
        ("https://example.org", (True, "example.org", 443, "/")),
        ("http://192.168.1.2/a", (False, "192.168.1.2", 80, "/a")),
    ):
        assert net.split_url(url) == parts
