"""Bridges: boards that speak the bridge protocol over a serial port, TCP, HTTP or MQTT."""

from .link import BridgeLink
from .protocol import BadLine, BridgeEvent, BridgeHealth, BridgeListener, Hello, MeterHello
from .serial_link import SerialLink, serial_probe
from .session import BridgeSession, SessionCounters
from .source import BridgeSource
from .tcp_link import DEFAULT_PORT, TcpLink, tcp_probe

__all__ = [
    "DEFAULT_PORT",
    "BadLine",
    "BridgeEvent",
    "BridgeHealth",
    "BridgeLink",
    "BridgeListener",
    "BridgeSession",
    "BridgeSource",
    "Hello",
    "MeterHello",
    "SerialLink",
    "SessionCounters",
    "TcpLink",
    "serial_probe",
    "tcp_probe",
]
