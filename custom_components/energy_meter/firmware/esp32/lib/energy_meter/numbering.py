"""The number of this start: it rises for ever, because Home Assistant tells messages apart by it.

It is kept in the key-value store and in a file; whichever is higher counts, so that losing one of the two does no harm.
"""

import os

_FILE = "data/boot"


def next_boot(nvs, random=os.urandom):
    """The number of the start that begins now, written down before it is used."""
    boot = max(_stored(nvs), _filed()) + 1
    kept = 0
    try:
        nvs.set_i32("boot", boot)
        nvs.commit()
        kept += 1
    except OSError:
        pass
    try:
        _file(boot)
        kept += 1
    except OSError:
        pass
    if not kept:  # Nothing can be written: at least a number that differs.
        boot += int.from_bytes(random(3), "big")
    return boot


def _stored(nvs):
    try:
        return nvs.get_i32("boot")
    except OSError:
        return 0


def _filed():
    try:
        with open(_FILE) as file:
            return int(file.read(12))
    except (OSError, ValueError):
        return 0


def _file(boot):
    try:
        os.mkdir("data")
    except OSError:
        pass  # It is there.
    with open(_FILE + ".new", "w") as file:
        file.write("%d" % boot)
    os.rename(_FILE + ".new", _FILE)
