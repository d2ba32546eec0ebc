"""The messages of the bridge, put together as JSON text: numbers go in as digits, never through a float."""

import json

from . import i2c_rows, records
from .decimals import decimal
from .lines import number

PING = b'{"type":"ping"}'


def quoted(text):
    """A text as JSON."""
    return json.dumps(text)


def plain(value):
    """Something out of a message (see `lines.message`) as JSON again, its numbers with the digits they came with."""
    if isinstance(value, dict):
        return "{%s}" % ",".join("%s:%s" % (quoted(key), plain(value[key])) for key in value)
    if isinstance(value, list):
        return "[%s]" % ",".join(plain(one) for one in value)
    try:
        micros = number(value)
    except ValueError:
        return json.dumps(value)
    return "null" if micros is None else decimal(micros)


def values(pairs):
    """`{"voltage":227.5}` of (quantity, millionths or None)."""
    return "{%s}" % ",".join(
        '"%s":%s' % (key, "null" if value is None else decimal(value)) for key, value in pairs
    )


def reading(meter, pairs, flags):
    """The inside of a reading."""
    tail = ',"flags":%s' % json.dumps(sorted(flags)) if flags else ""
    return ('"type":"reading","meter":"%s","values":%s%s' % (meter, values(pairs), tail)).encode()


def event(name, meter=None, value=None, reason=None, control=None):
    """The inside of an event; `value` in millionths."""
    parts = ['"type":"event"']
    if meter:
        parts.append('"meter":"%s"' % meter)
    parts.append('"event":"%s"' % name)
    if control:
        parts.append('"control":%s' % quoted(control))
    if value is not None:
        parts.append('"value":%s' % decimal(value))
    if reason:
        parts.append('"reason":%s' % quoted(reason))
    return ",".join(parts).encode()


def numbered(entry, boot, now, first=0, last=None):
    """The whole line of a buffered message, said at `now` (ms) in the start `boot`; of a round only these rows."""
    of, seq, kind, time, body = entry
    rounds, kind = kind & records.ROUND, kind & 3
    if kind == records.UNIX:
        when = b'"at":%d.%03d' % divmod(time, 1000)
    elif kind == records.MONOTONIC and of == boot:
        when = b'"age":%d' % max(0, now - time)
    else:
        when = b'"age":null'
    if rounds:
        seq = records.first_seq(entry) + first
        return i2c_rows.line(body, first, last, b'"boot":%d,"seq":%d,%s' % (of, seq, when))
    return b"".join((b"{", bytes(body), b',"boot":%d,"seq":%d,%s}' % (of, seq, when)))


def done(request, value):
    """The answer to a request that was carried out; `value` is JSON text."""
    return ('{"type":"ack","id":%s,"ok":true,"value":%s}' % (json.dumps(request), value)).encode()


def refused(request, error, text=""):
    """The answer to a request that was not."""
    return (
        '{"type":"ack","id":%s,"ok":false,"error":"%s","text":%s}'
        % (json.dumps(request), error, quoted(text))
    ).encode()


def gone(boot, first, last):
    """What was asked for again and is not there any more."""
    return b'{"type":"gone","boot":%d,"from":%d,"to":%d}' % (boot, first, last)


def log(level, text):
    """A line of the log."""
    return ('{"type":"log","level":"%s","text":%s}' % (level, quoted(text))).encode()


def control(key, kind, unit, value, least, most, step):
    """A control in a hello; `value` and what bounds it are JSON text, None where there is none."""
    parts = ['"key":"%s","kind":"%s"' % (key, kind)]
    for name, text in (("value", value), ("min", least), ("max", most), ("step", step)):
        if text is not None:
            parts.append('"%s":%s' % (name, text))
    if unit:
        parts.append('"unit":"%s"' % unit)
    return "{%s}" % ",".join(parts)


def health(pairs):
    """How the bridge fares: (key, what JSON can say); None is left out."""
    parts = ['"%s":%s' % (key, json.dumps(value)) for key, value in pairs if value is not None]
    return ('{"type":"health",%s}' % ",".join(parts)).encode()
