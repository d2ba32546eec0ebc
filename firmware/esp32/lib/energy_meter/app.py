"""Puts the parts together as the settings say, and keeps them running."""

import asyncio
import gc

import slots as slots_module

from . import board, config, led, mac, numbering, sleep
from .bridge import Bridge
from .clock import Clock
from .flash_queue import FlashQueue
from .node import Node
from .outbox import Outbox
from .ram_ring import RamRing
from .relay import Relay
from .supervisor import Supervisor
from .totals import Totals
from .update import Updater
from .wifi import Wifi

_HEALTH_MS = 60_000
_SILENT_MS = 30_000
_REOPEN_MS = 120_000
_WRONG_PASSWORD_MS = 180_000
"""A network that could not be joined once since the start, after so long: offer the set-up page again."""
_PRESS_MS = 5000
_SLOTS = 256
_FOLDER = "data/queue"


class App:
    """The running firmware."""

    def __init__(self, clock=None):
        """Read the settings and what the last start left; put the relays into their safe state before anything slow."""
        gc.collect()
        self._remembered = board.remembered()
        self.clock = clock or Clock(start=self._remembered[2] if self._remembered else 0)
        self.settings, errors = config.load()
        pins = [
            board.output(relay["pin"], 1 - relay["active"]) for relay in self.settings["relays"]
        ]
        reason = board.reset_reason()
        if not mac.normalised(self.settings["key"]):
            self.settings["key"] = mac.new_key()
            if not errors:  # Else the file is what its owner wants to repair, not to lose.
                errors += self._save_settings()
        if self.settings["i2c"]["on"]:  # Early, while the memory is still in one piece.
            from . import i2c_hub  # noqa: F401
        self.clock.take_from_rtc()
        self._restarting = False
        self.wifi = None
        self.portal = None
        self.bridge = self._make_bridge(reason, errors)
        self.supervisor = Supervisor(self.clock, self.bridge.log)
        self._make_relays(pins)
        self._begin(reason, errors)

    def _save_settings(self):
        try:
            config.save(self.settings)
        except OSError:
            return [
                "The settings cannot be written to the flash memory: the pairing key changes with each start."
            ]
        return []

    def _make_bridge(self, reason, errors):
        store = board.store()
        totals = Totals(store)
        if self._remembered:
            boot, seq = self._remembered[:2]
        else:
            boot, seq = numbering.next_boot(store), 0
        buffer = self.settings["buffer"]
        flash = None
        if buffer["flash"]:
            try:
                flash = FlashQueue(_FOLDER, buffer["flash"] * 1024)
            except OSError as error:
                errors.append("The flash memory cannot be used as a buffer: %r." % error)
        ring = RamRing(buffer["ram"] * 1024, _SLOTS)
        outbox = Outbox(self.clock, boot, ring, flash, seq)
        self.slots = slots_module.Slots(board.store(slots_module.STORE))
        folder = running_folder()
        who = {
            "id": board.identity(),
            "firmware": version(folder),
            "hardware": board.hardware(),
            "reset": reason,
        }
        bridge = Bridge(who, self.settings, self.clock, outbox, totals, self.restart)
        bridge.set_rtc = board.set_rtc
        bridge.posts = self._remembered[3] if self._remembered else 0
        bridge.updater = Updater(self.slots, folder, self.clock, self.restart)
        return bridge

    def _make_relays(self, pins):
        for settings, pin in zip(self.settings["relays"], pins):
            if pin is None:
                continue
            meter = self.bridge.meter(settings["meter"])

            def tell(state, why, meter_id=settings["meter"]):
                self.bridge.event("relay", meter_id, state * 1_000_000, why)

            meter.relay = Relay(pin, settings, self.clock, tell)
            self.bridge.relays.append(meter.relay)

    def _begin(self, reason, errors):
        """Say what happened before this start."""
        for error in errors:
            self.bridge.log("error", error)
        if reason in ("brown_out", "watchdog"):
            self.bridge.event(reason)
        if self.slots.take_rolled_back():
            self.bridge.event("rolled_back")
            self.bridge.log("warning", "the new firmware did not work: back to the old one")

    async def run(self):
        """Run all parts, for ever."""
        settings = self.settings
        start = self.supervisor.start
        self.supervisor.set_watchdog(board.watchdog(settings["watchdog"]))
        for uart in settings["uarts"]:
            start("uart %d" % uart["port"], _bound(self._uart, uart))
        if settings["rs485"]["on"]:
            start("rs485", self._rs485)
        if settings["i2c"]["on"]:
            start("i2c", self._i2c)
        if settings["wifi"]["ssid"]:
            self.wifi = Wifi(
                board.station(settings["wifi"]["hostname"]),
                settings["wifi"],
                self.clock,
                self.bridge.log,
            )
            start("wifi", self.wifi.run)
            self._start_network_uplinks(start)
        else:
            start("set-up", self._set_up)
        if settings["usb"]["on"]:
            self._start_usb(start)
        if settings["display"]["on"]:
            start("display", self._display)
        pin = board.output(settings["led"]["pin"])
        if pin is not None:
            start("led", lambda: led.run(pin, settings["led"]["active"], self._led_state))
        if settings["button"] is not None:
            start("button", self._button)
        start("health", self._health)
        if settings["sleep"]["on"]:
            start("sleep", lambda: sleep.doze(self.bridge, settings["sleep"], self._go_to_sleep))
        await self.supervisor.watch(self._tick)

    def restart(self, reason):
        """Begin a restart: a moment later, so that the answer to who asked for it still gets out."""
        if not self._restarting:
            self._restarting = True
            self.bridge.log("info", "restart: %s" % reason)
            asyncio.create_task(self._restart())

    async def _restart(self):
        await asyncio.sleep_ms(700)
        self.bridge.save()
        for relay in self.bridge.relays:
            relay.fail_safe()
        board.restart()

    def _tick(self):
        self.bridge.tick()
        self.bridge.updater.tick()

    def _start_network_uplinks(self, start):
        settings, bridge = self.settings, self.bridge
        key = mac.normalised(settings["key"])
        if settings["tcp"]["on"]:
            from .tcp_uplink import TcpUplink

            uplink = TcpUplink(bridge, key, settings["tcp"]["port"])
            self._add(start, uplink)
            if settings["mdns"]:
                start("mdns", self._mdns)
        if settings["http"]["on"]:
            from .http_uplink import HttpUplink

            self._add(
                start,
                HttpUplink(bridge, settings["http"], key if settings["http"]["signed"] else None),
            )
        if settings["mqtt"]["on"]:
            from .mqtt_uplink import MqttUplink

            self._add(start, MqttUplink(bridge, settings["mqtt"]))

    def _start_usb(self, start):
        from .usb_uplink import UsbUplink

        self._add(start, UsbUplink(self.bridge, board.Usb(), self.settings["usb"]["crc"]))
        self.bridge.print_log = lambda text: (
            None
        )  # Its lines would stand among those of the protocol.

    def _add(self, start, uplink):
        self.bridge.sessions.append(uplink.session)
        start(uplink.session.name, uplink.run)

    async def _uart(self, settings):
        bridge, clock = self.bridge, self.clock
        uart = board.uart(settings)
        node = Node(settings, clock, bridge, uart.write)
        bridge.nodes = [one for one in bridge.nodes if one.port != node.port] + [node]
        try:
            while uart.any():
                uart.read()
            node.opened()
            stream = asyncio.StreamReader(uart)
            silent = False
            opened_ms = clock.ms()
            while True:
                try:
                    data = await asyncio.wait_for(stream.read(256), 5)
                except asyncio.TimeoutError:
                    data = b""
                if data:
                    node.feed(data)
                quiet = clock.ms() - max(opened_ms, node.heard_ms or 0)
                if quiet >= _SILENT_MS and not silent:
                    bridge.log("warning", "UART %d: no line for %d s" % (node.port, quiet // 1000))
                elif silent and quiet < _SILENT_MS:
                    bridge.log("info", "UART %d: lines again" % node.port)
                silent = quiet >= _SILENT_MS
                if quiet >= _REOPEN_MS:
                    return await self._reopen(settings)
        finally:
            uart.deinit()

    async def _reopen(self, settings):
        """A port that has been silent for long is opened anew: its driver may be stuck."""
        await asyncio.sleep_ms(100)
        raise OSError("UART %d is opened again" % settings["port"])

    async def _rs485(self):
        from .gateway import Gateway

        settings = self.settings["rs485"]
        uart = board.uart(settings, settings["parity"], settings["stop"], 512)
        try:
            await Gateway(
                uart, board.output(settings["de"]), settings, self.clock, self.bridge.log
            ).run()
        finally:
            uart.deinit()

    async def _i2c(self):
        from .i2c_bus import Bus
        from .i2c_hub import Hub

        settings, bridge = self.settings["i2c"], self.bridge
        if bridge.hub is None:
            bus = Bus(
                lambda: board.hub_bus(settings),
                lambda: board.clear_bus(settings),
                settings["multiplexers"],
            )
            bridge.hub = Hub(bridge, bus, settings)
            bridge.on_problem = self._say_health
        await bridge.hub.run(lambda: self.supervisor.beat("i2c"))

    async def _mdns(self):
        from . import mdns

        responder = mdns.Responder(
            self.bridge.who["id"], self.settings["name"], self.settings["tcp"]["port"]
        )
        group = board.address_of(mdns.GROUP, mdns.PORT)
        await mdns.run(responder, self.wifi, board.multicast, group, self.clock)

    async def _set_up(self):
        from .portal import Portal

        point = board.AccessPoint("Energy-Meter-%s" % self.bridge.who["id"][-4:])
        self.portal = Portal(self.bridge, point, board.networks, lambda: board.udp(53))
        await self.portal.run()

    async def _display(self):
        from . import display

        def make():
            return board.i2c(self.settings["display"])

        await display.run(make, self.settings["display"], self.bridge, self._link_text)

    def _link_text(self):
        if self.portal and self.portal.is_open:
            return "set-up by Wi-Fi"
        if self.bridge.host_is_here:
            return "Home Assistant"
        if self.wifi and not self.wifi.up:
            return "no Wi-Fi"
        return "waiting (%d)" % self.bridge.outbox.buffered

    def _led_state(self):
        setting_up = bool(self.portal and self.portal.is_open)
        return led.state(self.bridge, self.wifi is None or self.wifi.up, setting_up)

    async def _button(self):
        """Five seconds on the button, or a network that never lets us in, open the set-up page."""
        pin = board.button(self.settings["button"])
        pressed_ms = None
        while True:
            now = self.clock.ms()
            pressed = pin() == 0
            pressed_ms = (now if pressed_ms is None else pressed_ms) if pressed else None
            never = self.wifi and not self.wifi.ever and now >= _WRONG_PASSWORD_MS
            wanted = never or (pressed_ms is not None and now - pressed_ms >= _PRESS_MS)
            if wanted and not self.portal:
                self.supervisor.start("set-up", self._set_up)
            await asyncio.sleep_ms(200)

    async def _health(self):
        await asyncio.sleep_ms(5000)
        while True:
            gc.collect()
            self._say_health()
            await asyncio.sleep_ms(_HEALTH_MS)

    def _say_health(self):
        self.bridge.say_health(self.wifi.rssi if self.wifi else None, gc.mem_free())

    def _go_to_sleep(self):
        self.bridge.save()
        seconds = self.settings["sleep"]["seconds"]
        outbox = self.bridge.outbox
        waking_ms = self.clock.ms() + seconds * 1000
        board.deep_sleep(seconds, sleep.pack(outbox.boot, outbox.seq, waking_ms, self.bridge.posts))


def running_folder():
    """The folder this version runs from: "" as flashed, or a slot."""
    path = __file__
    return path[: -len("/lib/energy_meter/app.py")].rpartition("/")[2] if "/lib/" in path else ""


def version(folder):
    """The version of the firmware in a folder."""
    try:
        with open((folder + "/" if folder else "") + "version.txt") as file:
            return file.read(32).strip()
    except OSError:
        return "unknown"


def main():
    """Run until the power goes."""
    app = App()
    asyncio.run(app.run())


def _bound(part, settings):
    return lambda: part(settings)
