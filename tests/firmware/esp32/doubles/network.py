"""Stands for the ESP32 port's `network` module: a Wi-Fi network that is there unless `WLAN.there` says otherwise.

Whether there is one changes nothing on the sockets of the machine: a test that plays an outage has to cut these itself.
"""

STA_IF, AP_IF = 0, 1


class WLAN:
    """The radio, as a station or as an access point."""

    there = True
    password = None
    """What the network wants; None: anything is right."""
    address = "127.0.0.1"
    networks = [(b"Home", b"", 1, -50, 3, False), (b"Neighbour", b"", 6, -80, 3, False)]
    access_point = None

    def __init__(self, interface=STA_IF):
        """Choose."""
        self._interface = interface
        self._active = False
        self._asked = None

    def active(self, on=None):
        """Switch on or off, or ask."""
        if on is None:
            return self._active
        self._active = bool(on)
        if self._interface == AP_IF and not on:
            WLAN.access_point = None
        return None

    def connect(self, ssid, password=None):
        """Try to join."""
        self._asked = (ssid, password)

    def disconnect(self):
        """Leave."""
        self._asked = None

    def isconnected(self):
        """Whether it has joined."""
        right = self._asked and WLAN.password in (None, self._asked[1])
        return bool(self._active and right and WLAN.there)

    def status(self, what=None):
        """The signal strength."""
        return -61 if what == "rssi" else 1010

    def scan(self):
        """What is around."""
        return WLAN.networks

    def ifconfig(self):
        """The address."""
        return (WLAN.address, "255.0.0.0", WLAN.address, WLAN.address)

    def config(self, **settings):
        """Set up the access point."""
        WLAN.access_point = settings


def hostname(name=None):
    """Set the name in the network."""
    return name
