"""The hardware: everything that MicroPython offers on an ESP32 and nowhere else comes in here."""

import asyncio
import binascii
import os
import select
import socket
import sys
import time

from esp32 import NVS
import machine
import network

from . import sleep

_MARK = b"EMB1"
"""In the clock chip's memory since the start: it outlives everything but the loss of power."""
_PIECE = 64
_PARITIES = {"none": None, "even": 0, "odd": 1}


def identity():
    """The board's id: its MAC address."""
    return binascii.hexlify(machine.unique_id()).decode()


def hardware():
    """What the board is, for people."""
    return os.uname().machine if hasattr(os, "uname") else sys.platform


def store(name="energy_meter"):
    """The key-value store."""
    return NVS(name)


def remembered():
    """What was kept over a deep sleep (see `sleep`), or None."""
    if machine.reset_cause() != machine.DEEPSLEEP_RESET:
        return None
    return sleep.unpack(machine.RTC().memory())


def reset_reason():
    """Why the board started.

    MicroPython calls a brown-out a power-on. The clock chip's memory tells them apart: a short dip of the supply
    leaves it as it was, while after a loss of power our mark is gone.
    """
    cause = machine.reset_cause()
    memory = machine.RTC().memory()
    marked = memory[:4] in (_MARK, sleep.MAGIC)
    machine.RTC().memory(_MARK)
    if cause == machine.PWRON_RESET:
        return "brown_out" if marked else "power"
    return {
        machine.HARD_RESET: "button",
        machine.WDT_RESET: "watchdog",
        machine.DEEPSLEEP_RESET: "deep_sleep",
        machine.SOFT_RESET: "restart",
    }.get(cause, "unknown")


def restart():
    """Start again."""
    machine.reset()


def deep_sleep(seconds, memory):
    """Sleep; the board starts again afterwards."""
    machine.RTC().memory(memory)
    machine.deepsleep(seconds * 1000)


def set_rtc(unix_ms):
    """Set the chip's clock, which goes on through restarts and deep sleep."""
    epoch = 946684800 if time.gmtime(0)[0] == 2000 else 0
    year, month, day, hour, minute, second, weekday, _ = time.gmtime(unix_ms // 1000 - epoch)[:8]
    machine.RTC().datetime((year, month, day, weekday, hour, minute, second, unix_ms % 1000 * 1000))


def uart(settings, parity="none", stop=1, buffer=2048):
    """A UART; its buffer bridges a second or two in which something else keeps the processor."""
    return machine.UART(
        settings["port"],
        settings["baud"],
        bits=8,
        parity=_PARITIES[parity],
        stop=stop,
        tx=settings["tx"],
        rx=settings["rx"],
        rxbuf=buffer,
        timeout=0,
    )


def output(number, level=0):
    """A pin as output at a level, or None if there is no pin."""
    return None if number is None else machine.Pin(number, machine.Pin.OUT, value=level)


def button(number):
    """A pin with a push-button to ground, or None."""
    return None if number is None else machine.Pin(number, machine.Pin.IN, machine.Pin.PULL_UP)


def i2c(settings):
    """The display's bus."""
    return machine.I2C(
        0, scl=machine.Pin(settings["scl"]), sda=machine.Pin(settings["sda"]), freq=400_000
    )


def hub_bus(settings):
    """The bus of the monitors. A clock stretched for 10 ms is an error; theirs never is for more than 1.5."""
    return machine.I2C(
        settings["port"],
        scl=machine.Pin(settings["scl"]),
        sda=machine.Pin(settings["sda"]),
        freq=settings["freq"],
        timeout=10_000,
    )


def clear_bus(settings):
    """Nine clocks and a STOP: who holds SDA has sent its byte then, and lets go (I²C specification, section 3.1.16)."""
    scl = machine.Pin(settings["scl"], machine.Pin.OPEN_DRAIN, value=1)
    sda = machine.Pin(settings["sda"], machine.Pin.OPEN_DRAIN, value=1)
    for _ in range(9):
        scl(0)
        time.sleep_us(5)
        scl(1)
        time.sleep_us(5)
    sda(0)
    time.sleep_us(5)
    sda(1)


def watchdog(seconds):
    """A watchdog, or None."""
    return machine.WDT(timeout=seconds * 1000) if seconds else None


class Usb:
    """The USB port.

    On the ESP32 reading waits for as many bytes as were asked for, with everything else standing still: so one
    byte is read at a time, and only while there is one.
    """

    def __init__(self):
        """Take it over from the console."""
        self._stream = asyncio.StreamReader(sys.stdin.buffer)
        self._poll = select.poll()
        self._poll.register(sys.stdin.buffer, select.POLLIN)

    async def read(self, most):
        """What has arrived, at most so many bytes; empty if the port is closed at the other end."""
        data = bytearray(await self._stream.read(1))
        while data and len(data) < most and self._poll.poll(0):
            piece = sys.stdin.buffer.read(1)
            if not piece:
                break
            data += piece
        return bytes(data)

    async def write(self, data):
        """Send, piece by piece: while a piece goes out everything else stands still, some 5 ms at 115200 baud."""
        for at in range(0, len(data), _PIECE):
            sys.stdout.buffer.write(data[at : at + _PIECE])
            await asyncio.sleep_ms(0)


def station(hostname):
    """The radio as a station."""
    if hostname:
        network.hostname(hostname)
    return network.WLAN(network.STA_IF)


class AccessPoint:
    """The radio as an access point, open: who stands near can set the bridge up, for a quarter of an hour."""

    def __init__(self, name):
        """`name`: what people see in the list of networks."""
        self.name = name
        self.address = "192.168.4.1"
        self._wlan = network.WLAN(network.AP_IF)

    def start(self):
        """Appear."""
        self._wlan.active(True)
        self._wlan.config(ssid=self.name, security=0)
        self.address = self._wlan.ifconfig()[0]

    def stop(self):
        """Disappear."""
        self._wlan.active(False)


def networks():
    """Names of the Wi-Fi networks around, strongest first."""
    wlan = network.WLAN(network.STA_IF)
    wlan.active(True)
    try:
        found = sorted(wlan.scan(), key=lambda one: -one[3])
    except OSError:
        return []
    names = []
    for one in found:
        name = one[0].decode()
        if name and name not in names:
            names.append(name)
    return names[:20]


def udp(port):
    """A UDP socket on a port that never waits."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(address_of("0.0.0.0", port))
    sock.setblocking(False)
    return sock


def address_of(host, port):
    """What a UDP socket sends to."""
    return socket.getaddrinfo(host, port)[0][-1]


def multicast(group, port, address):
    """A UDP socket that hears a group."""
    sock = udp(port)
    joined = bytes(int(part) for part in (group + "." + address).split("."))
    sock.setsockopt(0, socket.IP_ADD_MEMBERSHIP, joined)
    return sock
