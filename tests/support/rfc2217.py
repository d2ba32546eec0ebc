"""A serial port offered over the network by RFC 2217: pyserial's server, in front of an emulated line."""

import contextlib
import socket
import threading
import time
from types import TracebackType
from typing import Any, Final, Self

import serial  # type: ignore[import-untyped]
from serial import rfc2217

_POLL: Final = 0.005
"""Seconds that the serial port is waited for; answers of meters are passed on within that time."""


class SerialServer:
    """One client at a time, at 127.0.0.1:`port`; a context manager that ends everything it started.

    pyserial negotiates, takes the line settings and carries the bytes: an implementation of RFC 2217 that is
    not the one under test.
    """

    def __init__(self, device: str, *, confirms_masks: bool = True) -> None:
        """Take the serial port to offer; it is opened for each client.

        Args:
            device: the port's path.
            confirms_masks: whether the server says that it has taken the client's wishes about modem and line
                states, as RFC 2217 has it; many, pyserial's among them, do not.
        """
        self._device = device
        self._manager = _Manager if confirms_masks else rfc2217.PortManager
        self._port = 0
        self._listener: socket.socket | None = None
        self._client: socket.socket | None = None
        self._threads: list[threading.Thread] = []
        self.settings: tuple[int, int, str, float] | None = None
        """Baud rate, data bits, parity and stop bits that the last client asked for, while it has the port."""

    @property
    def port(self) -> int:
        """The TCP port, also while the server is away."""
        return self._port

    def __enter__(self) -> Self:
        """Listen."""
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End all."""
        self.stop()

    def start(self) -> None:
        """Listen, at the same port as before."""
        self._listener = socket.create_server(("127.0.0.1", self._port))
        self._port = self._listener.getsockname()[1]
        self._run(self._accept, self._listener)

    def stop(self) -> None:
        """Be gone: neither the port nor its client's connection is there any more."""
        listener, self._listener = self._listener, None
        for one in (listener, self._client):
            if one is not None:
                # Closing alone would leave the thread that waits on it waiting.
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
                one.close()
        for thread in self._threads:
            thread.join(5)
        self._threads.clear()

    def _run(self, work: Any, *args: Any) -> None:
        thread = threading.Thread(target=work, args=args, name="rfc2217", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while self._listener is listener:
            try:
                self._client, _ = listener.accept()
            except OSError:
                return
            self._client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._serve(self._client)

    def _serve(self, client: socket.socket) -> None:
        connection = _Connection(client)
        with serial.Serial(self._device, timeout=_POLL) as device, client:
            port = _Port(device)
            manager = self._manager(port, connection)
            reader = threading.Thread(
                target=self._carry, args=(device, manager, connection), name="rfc2217", daemon=True
            )
            reader.start()
            try:
                while data := client.recv(1024):
                    port.write(b"".join(manager.filter(data)))
                    self.settings = (port.baudrate, port.bytesize, port.parity, port.stopbits)
            except OSError:
                pass
            finally:
                connection.over = True
                reader.join(5)

    def _carry(
        self, port: serial.Serial, manager: rfc2217.PortManager, connection: _Connection
    ) -> None:
        while not connection.over:
            try:
                data = port.read(port.in_waiting or 1)
            except OSError:
                time.sleep(_POLL)
                continue
            if data:
                connection.write(b"".join(manager.escape(data)))


class _Manager(rfc2217.PortManager):  # type: ignore[misc]
    """pyserial's, with the two answers that it lacks."""

    def _telnet_process_subnegotiation(self, suboption: bytes) -> None:
        super()._telnet_process_subnegotiation(suboption)
        mask = {
            rfc2217.SET_LINESTATE_MASK: rfc2217.SERVER_SET_LINESTATE_MASK,
            rfc2217.SET_MODEMSTATE_MASK: rfc2217.SERVER_SET_MODEMSTATE_MASK,
        }.get(suboption[1:2])
        if suboption[0:1] == rfc2217.COM_PORT_OPTION and mask is not None:
            self.rfc2217_send_subnegotiation(mask, suboption[2:3])


class _Connection:
    """The way to the client, as pyserial's manager wants it: writable from two threads."""

    def __init__(self, client: socket.socket) -> None:
        self._client = client
        self._lock = threading.Lock()
        self.over = False

    def write(self, data: bytes) -> None:
        """Send everything; a client that is gone is noticed where it is read."""
        with self._lock, contextlib.suppress(OSError):
            self._client.sendall(data)


class _Port:
    """A serial port for pyserial's manager, with what a pseudo terminal lacks only kept in mind."""

    _LACKING = {"cts", "dsr", "ri", "cd", "dtr", "rts", "bytesize", "parity"}

    def __init__(self, port: serial.Serial) -> None:
        self.__dict__.update(
            _port=port, cts=False, dsr=False, ri=False, cd=False, bytesize=8, parity="N"
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._port, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self._LACKING:
            self.__dict__[name] = value
        else:
            setattr(self._port, name, value)
