"""Stands for those parts of the ESP32 port's `machine` module that the unix port lacks.

`UART(n)` is the tty that the environment variable `UARTn` names (a pty), in raw mode; without one it is a pipe that
`UART.ports[n].feed` writes to, and what the firmware sends is in `.sent`. `Pin` is a level that can be read back; `RTC` keeps its memory in the file
`rtc.bin`; `WDT` counts how often it was fed; `I2C` collects what is written, or is simulated outside (I2C_WIRE); `reset` and `deepsleep` end the process with
exit status 75 and 76. Not modelled: baud rates, parity, FIFO sizes, electrical anything, and time.
"""

from array import array
import io
import os
import select
import sys
import termios
import time

import ffi
import power

_POLL, _FILENO = 3, 10  # MP_STREAM_POLL and MP_STREAM_GET_FILENO of py/stream.h.

PWRON_RESET, HARD_RESET, WDT_RESET, DEEPSLEEP_RESET, SOFT_RESET = 1, 2, 3, 4, 5
EXIT_RESET, EXIT_SLEEP = 75, 76
cause = PWRON_RESET


def _pipe():
    """Both ends of a pipe, to be read and written without buffers and without waiting."""
    ends = array("i", (0, 0))
    libc = ffi.open("libc.so.6")
    libc.func("i", "pipe", "p")(ends)
    libc.func("i", "fcntl", "iii")(ends[0], 4, 2048)  # F_SETFL, O_NONBLOCK
    return power.plain_open(ends[0], "rb", 0), power.plain_open(ends[1], "wb", 0)


class UART(io.IOBase):
    """A serial port."""

    ports = {}

    def __init__(self, number, baudrate=115200, **settings):
        """Open it."""
        self.settings = dict(settings, baudrate=baudrate)
        self.sent = bytearray()
        self._held = b""
        self._far = None
        older = UART.ports.get(number)
        UART.ports[number] = self
        path = os.getenv("UART%d" % number)
        if path:
            self._file = power.plain_open(path, "r+b", 0)
            termios.setraw(self._file.fileno())
            attributes = termios.tcgetattr(self._file.fileno())
            attributes[6][6] = attributes[6][5] = 0  # VMIN and VTIME: read what there is.
            termios.tcsetattr(self._file.fileno(), termios.TCSANOW, attributes)
        elif older:
            self._file, self._far = older._file, older._far
        else:
            self._file, self._far = _pipe()
        self._poll = select.poll()
        self._poll.register(self._file, select.POLLIN)

    def feed(self, data):
        """Let bytes arrive on a port without a tty."""
        self._far.write(data)

    def _fill(self):
        if self._poll.poll(0):
            self._held += self._file.read(4096) or b""

    def any(self):
        """Bytes that have arrived."""
        self._fill()
        return len(self._held)

    def read(self, size=-1):
        """What has arrived, or None."""
        self._fill()
        if not self._held:
            return None
        size = len(self._held) if size is None or size < 0 else size
        data, self._held = self._held[:size], self._held[size:]
        return data

    def readinto(self, buffer, size=None):
        """The same into a buffer."""
        data = self.read(len(buffer) if size is None else size)
        if data is None:
            return None
        buffer[: len(data)] = data
        return len(data)

    def write(self, data):
        """Send."""
        if self._far is None:
            return self._file.write(data)
        self.sent += data
        return len(data)

    def flush(self):
        """Everything has gone out already."""

    def deinit(self):
        """Close it; a pipe stays for the next one that opens the port."""
        if self._far is None:
            self._file.close()

    def ioctl(self, request, argument):
        """What asyncio asks a stream."""
        if request == _FILENO and not self._held:
            return self._file.fileno()
        if request == _POLL:
            ready = select.POLLIN if self.any() else 0
            return argument & (select.POLLOUT | ready)
        return (
            -22 if request == _FILENO else 0
        )  # EINVAL: something is held, no descriptor tells that.


class Pin:
    """A pin; what happens to one with an open drain is told to the bus, if there is one."""

    IN, OUT, PULL_UP, OPEN_DRAIN = 1, 3, 2, 7
    pins = {}

    def __init__(self, number, mode=-1, pull=-1, value=None):
        """Set it up; an input with a pull-up reads 1."""
        self.number, self.mode = number, mode
        self.level = value if value is not None else int(pull == Pin.PULL_UP)
        self.stuck = False
        Pin.pins[number] = self

    def __call__(self, level=None):
        """Read, or set."""
        if level is None:
            return self.level
        if not self.stuck:
            self.level = level
        if self.mode == Pin.OPEN_DRAIN and I2C.wire:
            I2C.wire.ask("pin %d %d" % (self.number, level))
        return None


class Wire:
    """A bus that a test simulates on the other end of a socket (`tests/support/i2c_wire.py`), and its time."""

    def __init__(self, port):
        """Connect to it on this machine."""
        self._port = port
        self._connect()

    def _connect(self):
        import socket

        self._socket = socket.socket()
        self._socket.connect(socket.getaddrinfo("127.0.0.1", self._port)[0][-1])
        self._file = self._socket.makefile("rwb")

    def ask(self, what):
        """Say what happens now, and return what came of it; the time it took passes.

        Raises OSError, and ValueError where a test has torn the connection: no driver does that, a defect does.
        """
        import simulated_time

        try:
            self._file.write(b"%d %s\n" % (simulated_time.ticks(), what.encode()))
            answer = self._file.readline().decode().split()
        except OSError:  # The socket's, not the bus's.
            answer = []
        if not answer:
            self._connect()
            raise ValueError("the wire is torn")
        verdict, microseconds, data = answer
        simulated_time.takes(int(microseconds))
        if verdict != "0":
            raise OSError(int(verdict))
        return (
            bytes(int(data[at : at + 2], 16) for at in range(0, len(data), 2))
            if data != "-"
            else b""
        )


class I2C:
    """A bus: what a test simulates, or one on which somebody listens at `present`, and `written` is kept."""

    present = {0x3C}
    written = []
    wire = None

    def __init__(self, number, *, scl, sda, freq, timeout=50_000):
        """Open it."""
        if number == int(os.getenv("I2C_CONTROLLER") or 1) and os.getenv("I2C_WIRE"):
            I2C.wire = I2C.wire or Wire(int(os.getenv("I2C_WIRE")))
            I2C.wire.ask("open %d" % freq)

    def writeto(self, address, data):
        """Send; raises OSError where nobody listens."""
        if I2C.wire:
            return I2C.wire.ask("i2c %d %s 0" % (address, bytes(data).hex()))
        if address not in I2C.present:
            raise OSError(19)
        I2C.written.append(bytes(data))
        return len(data)

    def readfrom_into(self, address, buffer):
        """Receive; raises OSError where nobody listens."""
        buffer[:] = I2C.wire.ask("i2c %d - %d" % (address, len(buffer)))

    def readfrom_mem_into(self, address, memory, buffer, *, addrsize=8):
        """Send where to read, most significant byte first, and receive after a repeated START."""
        pointer = memory.to_bytes(addrsize // 8, "big")
        buffer[:] = I2C.wire.ask("i2c %d %s %d" % (address, pointer.hex(), len(buffer)))


class WDT:
    """A watchdog that only counts."""

    feeds = 0

    def __init__(self, timeout):
        """Begin."""
        self.timeout = timeout

    def feed(self):
        """Fed."""
        WDT.feeds += 1


class RTC:
    """The clock chip: its memory is a file, its time that of the machine."""

    times = []

    def memory(self, data=None):
        """Read, or set."""
        if data is not None:
            with power.plain_open("rtc.bin", "wb") as file:
                file.write(data)
            return None
        try:
            with power.plain_open("rtc.bin", "rb") as file:
                return file.read()
        except OSError:
            return b""

    def datetime(self, when=None):
        """Read, or set (kept in `times`)."""
        if when is None:
            return time.gmtime()[:3] + (0,) + time.gmtime()[3:6] + (0,)
        RTC.times.append(when)
        return None


def unique_id():
    """The MAC address."""
    return bytes(int(os.getenv("BOARD_ID") or "a4cf12d3e4f5", 16).to_bytes(6, "big"))


def reset_cause():
    """Why it started: what the environment variable RESET_CAUSE says, else the power."""
    return int(os.getenv("RESET_CAUSE") or cause)


def reset():
    """End the process; who started it starts it again."""
    sys.exit(EXIT_RESET)


def deepsleep(milliseconds):
    """End the process; how long it wants to sleep is in the file `sleep.txt`."""
    with power.plain_open("sleep.txt", "w") as file:
        file.write(str(milliseconds))
    sys.exit(EXIT_SLEEP)
