"""MQTT 3.1.1 packets (OASIS standard, sections 2 and 3): those that the bridge needs, as bytes."""

import struct

CONNACK, PUBLISH, PUBACK, SUBACK, PINGRESP = 2, 3, 4, 9, 13
PINGREQ = b"\xc0\x00"
DISCONNECT = b"\xe0\x00"
REFUSALS = {
    1: "the broker does not speak MQTT 3.1.1",
    2: "the broker refuses the name of the bridge",
    3: "the broker is not available",
    4: "the broker refuses user and password",
    5: "the broker does not let this user in",
}


def connect(client, keep_alive, will, user="", password=""):
    """Begin a session that the broker forgets at its end; `will`: (topic, message), retained, QoS 1."""
    flags = 0x02 | 0x04 | 0x08 | 0x20  # Clean session; a will of QoS 1 that is retained.
    parts = [_text(client), _text(will[0]), _text(will[1])]
    if user:
        flags |= 0x80
        parts.append(_text(user))
        if password:
            flags |= 0x40
            parts.append(_text(password))
    head = _text("MQTT") + struct.pack(">BBH", 4, flags, keep_alive)
    return _packet(0x10, head + b"".join(parts))


def publish(topic, size, packet, retain=False, again=False):
    """What comes before a message of QoS 1 of `size` bytes; `packet` is its identifier."""
    flags = 0x32 | (1 if retain else 0) | (8 if again else 0)
    return _packet(flags, _text(topic) + struct.pack(">H", packet), size)


def subscribe(topic, packet):
    """Ask for a topic with QoS 1."""
    return _packet(0x82, struct.pack(">H", packet) + _text(topic) + b"\x01")


def puback(packet):
    """Take a message of QoS 1."""
    return struct.pack(">BBH", 0x40, 2, packet)


def published(flags, body):
    """(topic, packet identifier or None, payload) of a message that came. Raises ValueError."""
    if len(body) < 2:
        raise ValueError("short")
    end = 2 + struct.unpack_from(">H", body)[0]
    topic = body[2:end].decode()
    packet = None
    if flags >> 1 & 3:
        if len(body) < end + 2:
            raise ValueError("short")
        packet = struct.unpack_from(">H", body, end)[0]
        end += 2
    return topic, packet, body[end:]


class Packets:
    """Cuts a stream into packets; of one longer than `limit` only the kind is kept, and it is counted."""

    def __init__(self, limit):
        """Begin a connection."""
        self._limit = limit
        self._data = b""
        self._skip = 0
        self.too_long = 0

    def feed(self, data):
        """Take bytes; return (kind, flags, body) of the packets they complete. Raises ValueError: no MQTT."""
        if self._skip:
            gone = min(self._skip, len(data))
            self._skip -= gone
            data = data[gone:]
        self._data += data
        found = []
        while True:
            head = self._head()
            if head is None:
                return found
            start, size = head
            if size > self._limit:
                self.too_long += 1
                self._skip = start + size - len(self._data)
                self._data = b"" if self._skip >= 0 else self._data[self._skip :]
                self._skip = max(0, self._skip)
                continue
            if len(self._data) < start + size:
                return found
            first = self._data[0]
            found.append((first >> 4, first & 15, self._data[start : start + size]))
            self._data = self._data[start + size :]

    def _head(self):
        """(bytes of the head, bytes of the rest) of the next packet, or None if that is not known yet."""
        size = 0
        for at in range(1, 5):
            if len(self._data) <= at:
                return None
            size |= (self._data[at] & 0x7F) << 7 * (at - 1)
            if not self._data[at] & 0x80:
                return at + 1, size
        raise ValueError("no MQTT")


def _text(text):
    data = text if isinstance(text, bytes) else text.encode()
    return struct.pack(">H", len(data)) + data


def _packet(first, body, more=0):
    """A packet, or its beginning if `more` bytes are still to come."""
    size = len(body) + more
    head = bytearray([first])
    while True:
        head.append(size & 0x7F | (0x80 if size > 0x7F else 0))
        size >>= 7
        if not size:
            return bytes(head) + body
