"""The first start: an access point with one page for the settings, shown to whoever joins it."""

import asyncio

from . import config, mac
from .net import shut

OPEN_MS = 900_000
"""The access point closes after a quarter of an hour; a restart opens it again."""
_MAX_REQUEST = 4096
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1"><title>Energy Meter bridge</title>
<style>body{font:16px sans-serif;max-width:26em;margin:1em auto;padding:0 1em}label{display:block;margin:.8em 0 .2em}
input,select{width:100%;box-sizing:border-box;font:inherit;padding:.4em}button{font:inherit;padding:.5em 1em;margin:1em 0}
.e{background:#fdd;padding:.6em}code{font-size:1.1em}small{color:#555}</style>
"""
_BUSES = (("", "none"), ("100000", "yes, at 100 kHz"), ("400000", "yes, at 400 kHz"))
_FIELDS = (
    ("ssid", "Wi-Fi network", "text", ("wifi", "ssid")),
    ("password", "Wi-Fi password", "password", None),
    ("name", "Name of this bridge", "text", ("name",)),
    ("key", "Pairing key (leave it as it is, or enter one of your own)", "text", ("key",)),
    ("url", "Address of Home Assistant's webhook (only for HTTP push)", "url", None),
    ("mqtt", "Address of an MQTT broker (only for MQTT)", "text", ("mqtt", "host")),
    ("user", "MQTT user", "text", ("mqtt", "user")),
    ("mqtt_password", "MQTT password", "password", None),
    ("i2c", "Circuit monitors on I²C", _BUSES, ("i2c", "freq")),
    ("sda", "Pin of SDA", "text", ("i2c", "sda")),
    ("scl", "Pin of SCL", "text", ("i2c", "scl")),
    (
        "multiplexers",
        "Addresses of multiplexers, such as 0x70 0x71",
        "text",
        ("i2c", "multiplexers"),
    ),
)


def page(settings, networks, errors):
    """The page with the form, HTML."""
    parts = [_PAGE, "<h1>Energy Meter bridge</h1>"]
    if errors:
        parts.append('<p class="e">%s</p>' % "<br>".join(escaped(error) for error in errors))
    parts.append('<form method="post" action="/"><datalist id="n">')
    parts.extend('<option value="%s">' % escaped(one) for one in networks)
    parts.append("</datalist>")
    for name, label, kind, path in _FIELDS:
        value = settings
        for step in path or ():
            value = value[step]
        if path is None:
            value = ""
        elif name == "key":
            value = mac.grouped(value)
        elif name == "multiplexers":
            value = " ".join(["0x%02X" % address for address in value])
        value = "" if value is None else str(value)
        if kind is _BUSES:
            chosen = value if settings["i2c"]["on"] else ""
            parts.append(
                '<label for="%s">%s</label><select id="%s" name="%s">' % (name, label, name, name)
            )
            parts.extend(
                '<option value="%s"%s>%s</option>'
                % (one, " selected" if one == chosen else "", text)
                for one, text in kind
            )
            parts.append("</select>")
            continue
        listed = ' list="n"' if name == "ssid" else ""
        parts.append(
            '<label for="%s">%s</label><input id="%s" name="%s" type="%s" value="%s"%s>'
            % (name, label, name, name, kind, escaped(value), listed)
        )
    parts.append(
        "<button>Save and restart</button></form><p><small>An empty password or address leaves what is"
        " set. Home Assistant finds the bridge by itself in the same network, and asks for the"
        " pairing key: write it down.</small></p></html>"
    )
    return "".join(parts)


def done_page(settings):
    """What is shown after saving, HTML."""
    return _PAGE + (
        "<h1>Saved</h1><p>The bridge restarts and joins <b>%s</b>. Its pairing key is <code>%s</code>.</p>"
        "<p>If this access point appears again, the network or its password was not right.</p></html>"
    ) % (escaped(settings["wifi"]["ssid"]), mac.grouped(settings["key"]))


def change_of(form):
    """The change of the settings that a filled form means."""
    change = {"wifi": {}, "http": {}, "mqtt": {}}
    if form.get("ssid"):
        change["wifi"]["ssid"] = form["ssid"]
        # An empty password means "as before" only for the same network; a page cannot know: keep it.
        if form.get("password"):
            change["wifi"]["password"] = form["password"]
    if form.get("name"):
        change["name"] = form["name"]
    if form.get("key"):
        change["key"] = form["key"]
    if form.get("url"):
        change["http"] = {"on": True, "url": form["url"]}
    if form.get("mqtt"):
        change["mqtt"] = {"on": True, "host": form["mqtt"], "user": form.get("user", "")}
        if form.get("mqtt_password"):
            change["mqtt"]["password"] = form["mqtt_password"]
    if "i2c" in form:
        change["i2c"] = _bus_of(form)
    return change


def _bus_of(form):
    """What the form says of the monitors' bus; what is no number stays as it is, for `config.checked` to say so."""
    change = {"on": bool(form["i2c"])}
    if form["i2c"]:
        change["freq"] = _number(form["i2c"])
    for name in ("sda", "scl"):
        if form.get(name):
            change[name] = _number(form[name])
    if "multiplexers" in form:
        words = form["multiplexers"].replace(",", " ").split()
        change["multiplexers"] = [_number(word) for word in words]
    return change


def _number(text):
    try:
        return int(text, 0)
    except ValueError:
        return text


def form_of(body):
    """The fields of an `application/x-www-form-urlencoded` body. Raises ValueError, UnicodeError."""
    fields = {}
    for pair in body.split(b"&")[:32]:
        name, _, value = pair.partition(b"=")
        fields[_decoded(name)] = _decoded(value).strip()
    return fields


def escaped(text):
    """A text for HTML."""
    for char, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
        text = text.replace(char, entity)
    return text


def dns_answer(query, address):
    """The answer that leads every name to `address`, or None for what is no question."""
    if len(query) < 17 or query[2] & 0xF8 or query[4:6] != b"\x00\x01":
        return None
    end = 12
    while end < len(query) and query[end]:
        end += query[end] + 1
    end += 5
    if end > len(query):
        return None
    head = query[:2] + b"\x84\x00\x00\x01\x00\x01\x00\x00\x00\x00"
    record = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x00\x00\x04"
    return head + query[12:end] + record + bytes(int(part) for part in address.split("."))


class Portal:
    """The access point's two servers, DNS and HTTP."""

    def __init__(self, bridge, access_point, scan, open_dns, port=80):
        """`access_point`: has start(), stop() and address; `scan()`: names of networks; `open_dns()`: a socket."""
        self._bridge = bridge
        self._point = access_point
        self._scan = scan
        self._open_dns = open_dns
        self._port = port
        self.is_open = False

    async def run(self):
        """Be open until the settings are saved or time is up."""
        clock = self._bridge.clock
        self._networks = self._scan()
        self._point.start()
        self._bridge.log("info", "set-up: join the Wi-Fi network %s" % self._point.name)
        dns = self._open_dns()
        server = await asyncio.start_server(self._serve, "0.0.0.0", self._port, 2)
        self.is_open = True
        began = clock.ms()
        try:
            while clock.ms() - began < OPEN_MS and not self._bridge.host_is_here:
                self._answer_names(dns)
                await asyncio.sleep_ms(50)
        finally:
            self.is_open = False
            server.close()
            dns.close()
            self._point.stop()

    def _answer_names(self, dns):
        for _ in range(8):
            try:
                query, asker = dns.recvfrom(512)
                answer = dns_answer(query, self._point.address)
                if answer:
                    dns.sendto(answer, asker)
            except OSError:
                return

    async def _serve(self, reader, writer):
        try:
            method, path, body = await asyncio.wait_for(_request(reader), 10)
            if method == b"POST":
                await _reply(writer, self._save(body))
            elif path == b"/":
                await _reply(writer, page(self._bridge.settings, self._networks, ()))
            else:  # Whatever a phone tries, to find out whether this is the internet: lead it to the page.
                place = "http://%s:%d/" % (self._point.address, self._port)
                writer.write(b"HTTP/1.0 302 Found\r\nLocation: %s\r\n\r\n" % place.encode())
                await writer.drain()
        except (OSError, ValueError, asyncio.TimeoutError):
            pass  # A phone that went away.
        except Exception as error:
            self._bridge.log("error", "set-up: %r" % error)
        finally:
            await shut(writer)

    def _save(self, body):
        bridge = self._bridge
        try:
            change = change_of(form_of(body))
            settings, errors = config.checked(config.merged(bridge.settings, change))
            if not settings["wifi"]["ssid"]:
                errors.append("The name of the Wi-Fi network is missing.")
            if not errors:
                config.save(settings)
        except (ValueError, UnicodeError):
            settings, errors = bridge.settings, ["This was not understood; please try again."]
        except OSError:
            errors = ["The settings could not be written to the flash memory."]
        if errors:
            return page(settings, self._networks, errors)
        bridge.settings = settings
        bridge.restart("settings")
        return done_page(settings)


async def _request(reader):
    """(method, path, body). Raises ValueError, OSError."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = await reader.read(512)
        data += piece
        if not piece or len(data) > _MAX_REQUEST:
            raise ValueError("no request")
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    method, path = lines[0].split()[:2]
    length = 0
    for line in lines[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            length = int(value)
    while len(body) < min(length, _MAX_REQUEST):
        piece = await reader.read(512)
        if not piece:
            break
        body += piece
    return method, path, body


async def _reply(writer, html):
    body = html.encode()
    head = (
        "HTTP/1.0 200 OK\r\nContent-Type: text/html\r\nCache-Control: no-store\r\nContent-Length: %d\r\n\r\n"
        % len(body)
    )
    writer.write(head.encode() + body)
    await writer.drain()


def _decoded(data):
    out = bytearray()
    at = 0
    while at < len(data):
        char = data[at]
        if char == 0x25:
            char = int(data[at + 1 : at + 3], 16)
            at += 2
        elif char == 0x2B:
            char = 0x20
        out.append(char)
        at += 1
    return bytes(out).decode()
