"""A small mDNS responder (RFC 6762, RFC 6763): says that here is an `_energy-meter._tcp` service, and answers who asks."""

import asyncio
import struct

GROUP = "224.0.0.251"
PORT = 5353
SERVICE = b"_energy-meter._tcp.local"
_LISTING = b"_services._dns-sd._udp.local"
_A, _PTR, _TXT, _SRV, _ANY = 1, 12, 16, 33, 255
_IN, _FLUSH = 1, 0x8001
_TTL, _LONG_TTL = 120, 4500
_MOST_QUESTIONS = 16
_AGAIN_MS = 1800 * 1000
"""How often it announces itself unasked, besides twice at the start."""


class Responder:
    """What is asked and what is answered, as packets."""

    def __init__(self, bridge_id, name, port):
        """The service of a bridge on a TCP port."""
        instance = ("%s (%s)" % (name, bridge_id[-6:])).replace(".", " ").encode()[:63]
        self._instance = (instance,) + tuple(SERVICE.split(b"."))
        self._service = tuple(SERVICE.split(b"."))
        self._listing = tuple(_LISTING.split(b"."))
        self._host = (b"energy-meter-" + bridge_id.lower().encode(), b"local")
        texts = (b"id=" + bridge_id.encode(), b"v=1", b"name=" + name.encode())
        self._txt = b"".join(bytes((len(text),)) + text for text in texts)
        self._port = port

    def announcement(self, address, ttl=None):
        """All records; with `ttl` 0 the farewell."""
        return self._packet(_ANY, address, 0, ttl)

    def answer(self, query, address):
        """(packet, whether to the asker alone) for a query, or None if it asks nothing of ours."""
        try:
            identifier, questions = _questions(query)
        except (ValueError, IndexError):
            return None
        wanted = set()
        unicast = False
        for name, kind, alone in questions:
            for record in self._matching(name, kind):
                wanted.add(record)
                unicast = unicast or alone
        if not wanted:
            return None
        return self._packet(wanted, address, identifier if unicast else 0), unicast

    def _matching(self, name, kind):
        """The kinds of our records that a question asks for."""
        name = tuple(part.lower() for part in name)
        lower = tuple(part.lower() for part in self._instance)
        found = []
        if name == self._service and kind in (_PTR, _ANY):
            found = [_PTR, _SRV, _TXT, _A]
        elif name == self._listing and kind in (_PTR, _ANY):
            found = [0]
        elif name == lower:
            found = [one for one in (_SRV, _TXT) if kind in (one, _ANY)]
            found += [_A] if _SRV in found else []
        elif name == self._host and kind in (_A, _ANY):
            found = [_A]
        return found

    def _packet(self, wanted, address, identifier, ttl=None):
        records = []
        host = _name(self._host)
        for kind, name, klass, life, data in (
            (0, self._listing, _IN, _LONG_TTL, _name(self._service)),
            (_PTR, self._service, _IN, _LONG_TTL, _name(self._instance)),
            (_SRV, self._instance, _FLUSH, _TTL, struct.pack(">HHH", 0, 0, self._port) + host),
            (_TXT, self._instance, _FLUSH, _LONG_TTL, self._txt),
            (_A, self._host, _FLUSH, _TTL, bytes(int(part) for part in address.split("."))),
        ):
            if wanted == _ANY or kind in wanted:
                lives = life if ttl is None else ttl
                head = struct.pack(">HHIH", kind or _PTR, klass, lives, len(data))
                records.append(_name(name) + head + data)
        head = struct.pack(">HHHHHH", identifier, 0x8400, 0, len(records), 0, 0)
        return head + b"".join(records)


async def run(responder, wifi, open_socket, group, clock):
    """Announce and answer while there is a network, for ever; `group`: the address to send to."""
    while True:
        address = wifi.address
        if address is None:
            await asyncio.sleep_ms(1000)
            continue
        sock = open_socket(GROUP, PORT, address)
        try:
            await _serve(sock, responder, wifi, address, group, clock)
        finally:
            sock.close()


async def _serve(sock, responder, wifi, address, group, clock):
    due = [clock.ms(), clock.ms() + 1000]
    while wifi.address == address:
        if due and clock.ms() >= due[0]:
            due.pop(0)
            if not due:
                due.append(clock.ms() + _AGAIN_MS)
            _send(sock, responder.announcement(address), group)
        for _ in range(4):  # A flood of questions must not keep the other parts waiting.
            try:
                query, asker = sock.recvfrom(1024)
            except OSError:
                break
            found = responder.answer(query, address)
            if found:
                _send(sock, found[0], asker if found[1] else group)
        await asyncio.sleep_ms(100)


def _send(sock, packet, to):
    try:
        sock.sendto(packet, to)
    except OSError:
        pass  # The network is just going; the next question comes.


def _questions(packet):
    """(identifier, [(name, kind, whether the asker wants the answer alone)]). Raises ValueError, IndexError."""
    if len(packet) < 12:
        raise ValueError("short")
    identifier, flags, count = struct.unpack_from(">HHH", packet)
    if flags & 0x8000 or count > _MOST_QUESTIONS:
        raise ValueError("no query")
    found = []
    at = 12
    for _ in range(count):
        name, at = _read_name(packet, at)
        kind, klass = packet[at] << 8 | packet[at + 1], packet[at + 2] << 8 | packet[at + 3]
        at += 4
        found.append((name, kind, bool(klass & 0x8000)))
    return identifier, found


def _read_name(packet, at):
    """(labels, where it ends). A pointer may only lead backwards, so that there is no going in circles."""
    labels = []
    end = None
    while True:
        size = packet[at]
        if size >= 0xC0:
            to = (size & 0x3F) << 8 | packet[at + 1]
            end = at + 2 if end is None else end
            if to >= at:
                raise ValueError("a pointer that leads forwards")
            at = to
        elif size:
            if size > 63 or at + 1 + size > len(packet) or len(labels) > 8:
                raise ValueError("a name that is none")
            labels.append(bytes(packet[at + 1 : at + 1 + size]))
            at += 1 + size
        else:
            return tuple(labels), at + 1 if end is None else end


def _name(labels):
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\x00"
