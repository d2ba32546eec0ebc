"""The settings, `config.json`: a table of what there is, checks, and texts that say in plain words what is wrong."""

from errno import ENOENT
import json
import os

from . import mac, names

FILE = "config.json"
MASK = "***"

_FLAG, _WHOLE, _NUMBER, _TEXT, _PIN, _CHOICE, _ID, _ADDRESSES = range(8)

# Each row: setting, kind, default, and what bounds it: (least, most), greatest length or the choices.
_TOP = (
    ("name", _TEXT, "Energy bridge", 32),
    ("key", _TEXT, "", 32),
    ("interval", _NUMBER, 1, (0.2, 3600)),
    ("mdns", _FLAG, True, None),
    ("button", _PIN, 0, None),
    ("watchdog", _WHOLE, 60, (0, 600)),
)
_GROUPS = {
    "wifi": (
        ("ssid", _TEXT, "", 32),
        ("password", _TEXT, "", 63),
        ("hostname", _TEXT, "", 32),
    ),
    "usb": (("on", _FLAG, True, None), ("crc", _FLAG, True, None)),
    "tcp": (("on", _FLAG, True, None), ("port", _WHOLE, 8731, (1, 65535))),
    "http": (
        ("on", _FLAG, False, None),
        ("url", _TEXT, "", 300),
        ("every", _NUMBER, 5, (0.2, 3600)),
        ("signed", _FLAG, True, None),
        ("verify", _FLAG, True, None),
        ("ca", _TEXT, "", 64),
    ),
    "mqtt": (
        ("on", _FLAG, False, None),
        ("host", _TEXT, "", 128),
        ("port", _WHOLE, 1883, (1, 65535)),
        ("user", _TEXT, "", 64),
        ("password", _TEXT, "", 128),
        ("prefix", _TEXT, "energy_meter", 64),
        ("tls", _FLAG, False, None),
        ("verify", _FLAG, True, None),
        ("ca", _TEXT, "", 64),
    ),
    "rs485": (
        ("on", _FLAG, False, None),
        ("port", _WHOLE, 2, (1, 2)),
        ("rx", _PIN, 25, None),
        ("tx", _PIN, 26, None),
        ("de", _PIN, 27, None),
        ("baud", _WHOLE, 9600, (300, 921600)),
        ("parity", _CHOICE, "none", ("none", "even", "odd")),
        ("stop", _WHOLE, 1, (1, 2)),
        ("listen", _WHOLE, 8899, (1, 65535)),
        ("allow", _TEXT, "", 200),
    ),
    "i2c": (
        ("on", _FLAG, False, None),
        ("port", _CHOICE, 1, (0, 1)),
        ("scl", _PIN, 22, None),
        ("sda", _PIN, 21, None),
        ("freq", _CHOICE, 100_000, (100_000, 400_000)),
        ("multiplexers", _ADDRESSES, (), (112, 119)),
        ("keep", _WHOLE, 300, (60, 86400)),
    ),
    "display": (
        ("on", _FLAG, False, None),
        ("sda", _PIN, 21, None),
        ("scl", _PIN, 22, None),
        ("address", _WHOLE, 60, (8, 119)),
        ("height", _CHOICE, 64, (32, 64)),
    ),
    "led": (("pin", _PIN, 2, None), ("active", _CHOICE, 1, (0, 1))),
    "buffer": (
        ("ram", _WHOLE, 24, (4, 64)),
        ("flash", _WHOLE, 512, (0, 1536)),
        ("thin", _NUMBER, 10, (0, 3600)),
    ),
    "sleep": (
        ("on", _FLAG, False, None),
        ("seconds", _WHOLE, 300, (10, 86400)),
        ("awake", _WHOLE, 20, (5, 300)),
    ),
}
# Lists: how many there may be, how many there are if nobody says, and what each consists of.
_LISTS = {
    "uarts": (
        2,
        1,
        (
            ("port", _WHOLE, 1, (1, 2)),
            ("rx", _PIN, 16, None),
            ("tx", _PIN, 17, None),
            ("baud", _WHOLE, 9600, (300, 921600)),
            ("meter", _ID, "main", None),
        ),
    ),
    "relays": (
        4,
        0,
        (
            ("meter", _ID, "main", None),
            ("pin", _PIN, 32, None),
            ("active", _CHOICE, 1, (0, 1)),
            ("safe", _CHOICE, 0, (0, 1)),
            ("min_off", _NUMBER, 0, (0, 3600)),
            ("away", _NUMBER, 0, (0, 86400)),
        ),
    ),
}
_METER = (
    ("name", _TEXT, "", 32),
    ("rated_current", _NUMBER, 0, (0, 10000)),
    ("voltage_gain", _NUMBER, 1, (0.5, 2)),
    ("voltage_offset", _NUMBER, 0, (-50, 50)),
    ("current_gain", _NUMBER, 1, (0.5, 2)),
    ("current_offset", _NUMBER, 0, (-10, 10)),
    ("dead_band", _NUMBER, 0, (0, 10)),
    ("power_factor", _NUMBER, 0, (0, 1)),
)
_MAX_METERS = 16
_HUB_RAM = 16
"""KB: three rounds of 100 circuits."""
SECRETS = (("key",), ("wifi", "password"), ("http", "url"), ("mqtt", "password"))
_FLASH_PINS = (6, 7, 8, 9, 10, 11)
_OPTIONAL_PINS = ("button", "led.pin", "rs485.de")
_OUTPUTS = ("tx", "de", "pin", "sda", "scl")


def defaults():
    """All settings as they are before anybody sets one."""
    return checked({})[0]


def checked(given):
    """(settings, errors): every setting there is; what is wrong has its default, and a sentence in `errors`."""
    errors = []
    settings = {}
    if not isinstance(given, dict):
        given = {}
        errors.append("The settings are not a JSON object.")
    _rows(_TOP, given, "", settings, errors)
    for group, rows in _GROUPS.items():
        settings[group] = _group(given.get(group), rows, group, errors)
    for name in _LISTS:
        settings[name] = _list(given.get(name), name, errors)
    settings["meters"] = _meters(given.get("meters"), errors)
    known = [row[0] for row in _TOP] + list(_GROUPS) + list(_LISTS) + ["meters"]
    errors.extend("There is no setting '%s'." % name for name in given if name not in known)
    if not errors:
        _together(settings, errors)
    return settings, errors


def load(file=FILE):
    """(settings, errors) of the file; without one, or with a damaged one, the defaults."""
    try:
        with open(file) as opened:
            given = json.loads(opened.read())
    except OSError as error:
        there = error.errno != ENOENT
        errors = ["%s cannot be read: %r." % (file, error)] if there else []
        return checked({})[0], errors
    except ValueError:
        return checked({})[0], ["%s is no JSON: a comma or a quote is missing." % file]
    return checked(given)


def save(settings, file=FILE):
    """Write the settings; a power cut leaves either the old ones or these. Raises OSError."""
    with open(file + ".new", "w") as opened:
        opened.write(json.dumps(settings))
    os.rename(file + ".new", file)


def merged(settings, change):
    """The settings with a change merged in: null removes, "***" leaves a secret as it is. Not checked."""
    result = dict(settings)
    for name in change:
        value = change[name]
        if value is None:
            result.pop(name, None)
        elif value == MASK:
            continue
        elif isinstance(value, dict) and isinstance(result.get(name), dict):
            result[name] = merged(result[name], value)
        else:
            result[name] = value
    return result


def masked(settings):
    """A copy that may be shown: secrets read "***" if they are set."""
    result = json.loads(json.dumps(settings))
    for path in SECRETS:
        place = result
        for name in path[:-1]:
            place = place.get(name, {})
        if place.get(path[-1]):
            place[path[-1]] = MASK
    return result


def _rows(rows, given, where, result, errors):
    for name, kind, default, bounds in rows:
        value = given.get(name)
        if value is None and name in given and kind == _PIN:
            result[name] = None  # No pin at all.
            continue
        if value is None:
            result[name] = list(default) if kind == _ADDRESSES else default
            continue
        wrong = _wrong(name, kind, value, bounds)
        if wrong:
            errors.append("'%s%s' %s." % (where, name, wrong))
        result[name] = default if wrong else value


def _group(given, rows, name, errors):
    result = {}
    if given is None:
        given = {}
    elif not isinstance(given, dict):
        errors.append("'%s' has to be an object, in braces." % name)
        given = {}
    _rows(rows, given, name + ".", result, errors)
    known = [row[0] for row in rows]
    errors.extend("There is no setting '%s.%s'." % (name, one) for one in given if one not in known)
    return result


def _list(given, name, errors):
    most, few, rows = _LISTS[name]
    if given is None:
        given = [{}] * few
    if not isinstance(given, list) or len(given) > most:
        errors.append("'%s' has to be a list of at most %d, in brackets." % (name, most))
        return []
    return [_group(one, rows, "%s[%d]" % (name, at), errors) for at, one in enumerate(given)]


def _meters(given, errors):
    if given is None:
        return {}
    if not isinstance(given, dict) or len(given) > _MAX_METERS:
        errors.append("'meters' has to be an object of at most %d meters." % _MAX_METERS)
        return {}
    result = {}
    for meter in given:
        if names.is_id(meter):
            result[meter] = _group(given[meter], _METER, "meters.%s" % meter, errors)
        else:
            errors.append("'%s' cannot name a meter: letters, digits, - and _, at most 32." % meter)
    return result


def _wrong(name, kind, value, bounds):
    """What is wrong with a value, as the rest of a sentence, or None."""
    if kind == _FLAG:
        return None if value is True or value is False else "has to be true or false"
    if kind == _CHOICE:
        return None if value in bounds else "has to be one of: " + ", ".join(map(str, bounds))
    if kind == _TEXT:
        if not isinstance(value, str):
            return "has to be a text, in quotes"
        return None if len(value.encode()) <= bounds else "is longer than %d characters" % bounds
    if kind == _ID:
        return None if names.is_id(value) else "may have letters, digits, - and _, at most 32"
    if kind == _ADDRESSES:
        least, most = bounds
        if not isinstance(value, list) or not all(
            isinstance(one, int) and least <= one <= most for one in value
        ):
            return (
                "has to be a list of addresses from %d (0x%02X) to %d (0x%02X), in brackets: [112]"
                % (least, least, most, most)
            )
        return "names an address twice" if len(set(value)) < len(value) else None
    if value is True or value is False or not isinstance(value, (int, float)):
        return "has to be a number"
    if kind == _PIN:
        if not isinstance(value, int) or not 0 <= value <= 48:
            return "has to be the number of a pin, or null for none"
        if value in _FLASH_PINS:
            return "is a pin that the flash memory uses"
        if value in (34, 35, 36, 39) and name in _OUTPUTS:
            return "is a pin that can only be an input"
        return None
    if kind == _WHOLE and not isinstance(value, int):
        return "has to be a whole number"
    least, most = bounds
    return None if least <= value <= most else "has to be between %s and %s" % (least, most)


def _together(settings, errors):
    """What is wrong between settings that are right one by one."""
    if settings["key"]:
        key = mac.normalised(settings["key"])
        if key is None:
            errors.append("'key' has to be the 20 characters of a pairing key.")
        else:
            settings["key"] = key
    http, mqtt, sleep = settings["http"], settings["mqtt"], settings["sleep"]
    rs485 = settings["rs485"]
    if http["on"] and not (http["url"].startswith("http://") or http["url"].startswith("https://")):
        errors.append("'http.url' has to begin with http:// or https://.")
    for name, on in (("http", http["url"].startswith("https://")), ("mqtt", mqtt["tls"])):
        one = settings[name]
        if one["on"] and on and one["verify"] and not one["ca"]:
            errors.append(
                "'%s.ca' has to name a file with the certificate of who signed the server's, or"
                " '%s.verify' has to be false (then nobody is checked)." % (name, name)
            )
    if mqtt["on"] and not mqtt["host"]:
        errors.append("'mqtt.host' has to be the address of the broker.")
    if any(char in mqtt["prefix"] for char in "#+") or not mqtt["prefix"].strip("/"):
        errors.append("'mqtt.prefix' has to be a topic, without + and #.")
    i2c = settings["i2c"]
    serves = rs485["on"] or i2c["on"] or settings["relays"]
    if sleep["on"] and (serves or not (http["on"] or mqtt["on"])):
        errors.append(
            "'sleep' needs HTTP or MQTT as the way up, and can have neither relays nor the RS-485"
            " gateway nor an I²C hub: who sleeps hears nobody."
        )
    if i2c["on"] and settings["display"]["on"] and i2c["port"] == 0:
        errors.append("'i2c.port' is 0, the controller of the display: choose 1.")
    if i2c["on"] and settings["buffer"]["ram"] < _HUB_RAM:
        errors.append("'i2c' needs 'buffer.ram' of %d at least." % _HUB_RAM)
    if rs485["on"] and settings["tcp"]["on"] and rs485["listen"] == settings["tcp"]["port"]:
        errors.append("'rs485.listen' and 'tcp.port' are the same.")
    _collisions(settings, errors)


def _collisions(settings, errors):
    ports = [uart["port"] for uart in settings["uarts"]]
    pins = []
    for at, uart in enumerate(settings["uarts"]):
        pins += [("uarts[%d].%s" % (at, pin), uart[pin]) for pin in ("rx", "tx")]
    for at, relay in enumerate(settings["relays"]):
        pins.append(("relays[%d].pin" % at, relay["pin"]))
    if settings["rs485"]["on"]:
        ports.append(settings["rs485"]["port"])
        pins += [("rs485." + pin, settings["rs485"][pin]) for pin in ("rx", "tx", "de")]
    if settings["i2c"]["on"]:
        pins += [("i2c." + pin, settings["i2c"][pin]) for pin in ("sda", "scl")]
    if settings["display"]["on"]:
        pins += [("display." + pin, settings["display"][pin]) for pin in ("sda", "scl")]
    pins += [("led.pin", settings["led"]["pin"]), ("button", settings["button"])]
    if len(set(ports)) < len(ports):
        errors.append("The same UART port is used twice, in 'uarts' or 'rs485'.")
    meters = [uart["meter"] for uart in settings["uarts"]]
    if len(set(meters)) < len(meters):
        errors.append("Two 'uarts' have the same meter: give one of them another 'meter'.")
    used = {}
    for name, pin in pins:
        if pin in used:
            errors.append("'%s' and '%s' are the same pin, %d." % (used[pin], name, pin))
        if pin is not None:
            used[pin] = name
        elif name not in _OPTIONAL_PINS:
            errors.append("'%s' needs a pin." % name)
