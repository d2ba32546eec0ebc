"""New firmware over the link: files into the slot that is not running, checked, then a start on trial."""

import binascii
import hashlib
import json
import os

from .desk import Refused

MAX_FILES = 64
MAX_BYTES = 600_000
MAX_PIECE = 1024
TRIAL_MS = 300_000
"""A new version that no host has acknowledged anything of by then is given up."""
_KEEP_FREE = 65_536
"""Bytes of flash that an update leaves free."""
SELECTOR = ("boot.py", "main.py", "slots.py")
"""The files that choose between versions: never replaced over the link, for nothing could undo that."""


class Updater:
    """`slots`: `slots.Slots`; `running`: the folder this version runs from ("" for the one that was flashed)."""

    def __init__(self, slots, running, clock, restart):
        """`restart(reason)` begins a restart."""
        self._slots = slots
        self._running = running
        self._clock = clock
        self._restart = restart
        self._files = None
        self._target = slots.other(running)

    def step(self, message):
        """Carry out one step of an update; JSON text, or Refused."""
        step = message.get("step")
        try:
            if step == "begin":
                return self._begin(message.get("files"))
            if step == "abort":
                self._files = None
                return "null"
            if self._files is None:
                raise Refused("bad_update", "no update has begun")
            if step == "data":
                return self._data(message)
            if step == "commit":
                return self._commit()
        except OSError as error:
            raise Refused("bad_update", "flash memory: %r" % error)
        raise Refused("bad_update", "there is no such step")

    def confirm(self):
        """A host has acknowledged a message: the version on trial stays."""
        if self._slots.on_trial:
            self._slots.confirm()

    def tick(self):
        """Give up a version on trial that reaches nobody; call about once a second."""
        if self._slots.on_trial and self._clock.ms() >= TRIAL_MS:
            self._slots.roll_back()
            self._restart("rolled_back")

    def _begin(self, files):
        self._files = None
        if not isinstance(files, list) or not 0 < len(files) <= MAX_FILES:
            raise Refused("bad_update", "'files' has to be a list of at most %d" % MAX_FILES)
        wanted = {}
        have = []
        for file in files:
            name, size, digest = _checked(file)
            if name in SELECTOR or _digest(_joined(self._running, name)) == digest:
                have.append(name)
            wanted[name] = (size, digest)
        if "lib/energy_meter/app.py" not in wanted and "lib/energy_meter/app.mpy" not in wanted:
            raise Refused("bad_update", "the firmware has no lib/energy_meter/app.py")
        total = sum(size for size, _ in wanted.values())
        _remove(self._target)
        if total > MAX_BYTES or total + _KEEP_FREE > _free():
            raise Refused("bad_update", "%d bytes do not fit" % total)
        self._files = wanted
        return '{"have":%s}' % json.dumps(have)

    def _data(self, message):
        name, offset = message.get("name"), message.get("offset")
        if name not in self._files or name in SELECTOR or not isinstance(offset, int):
            raise Refused("bad_update", "this file has not been announced")
        try:
            piece = binascii.a2b_base64(message.get("data"))
        except (ValueError, TypeError):
            raise Refused("bad_update", "the piece is not base64")
        path = _joined(self._target, name)
        there = _size(path)
        if len(piece) > MAX_PIECE or offset + len(piece) > self._files[name][0] or offset > there:
            raise Refused(
                "bad_update", "the piece does not belong there: %d bytes are here" % there
            )
        if offset + len(piece) > there or not piece:  # Else it is a piece that came before.
            _make_folders(path)
            with open(path, "ab") as file:
                file.write(piece[there - offset :])
        return str(_size(path))

    def _commit(self):
        for name, (size, digest) in self._files.items():
            if name in SELECTOR:
                continue
            path = _joined(self._target, name)
            if _size(path) < size or _digest(path) != digest:
                source = _joined(self._running, name)
                if _digest(source) != digest:
                    raise Refused("bad_update", "%s is not what was announced" % name)
                _copy(source, path)
                if _digest(path) != digest:
                    raise Refused("bad_update", "%s could not be copied" % name)
        self._files = None
        self._slots.begin_trial(self._target)
        self._restart("update")
        return "null"


def _checked(file):
    """(name, size, SHA-256) of an announced file. Raises Refused."""
    if isinstance(file, dict):
        name, size, digest = file.get("name"), file.get("size"), file.get("sha256")
        folder, _, last = name.rpartition("/") if isinstance(name, str) else ("", "", "")
        fits = folder == "lib/energy_meter" and last.rpartition(".")[2] in ("py", "mpy")
        fits = fits or name in SELECTOR or name == "version.txt"
        plain = all(char.isalpha() or char.isdigit() or char in "_." for char in last)
        if fits and plain and isinstance(size, int) and size >= 0 and isinstance(digest, str):
            return name, size, digest.lower()
    raise Refused("bad_update", "a file that does not belong to the firmware")


def _joined(folder, name):
    return folder + "/" + name if folder else name


def _size(path):
    try:
        return os.stat(path)[6]
    except OSError:
        return 0


def _digest(path):
    """SHA-256 of a file as hexadecimal digits, or None if it is not there."""
    digest = hashlib.sha256()
    buffer = bytearray(512)
    try:
        with open(path, "rb") as file:
            while True:
                size = file.readinto(buffer)
                if not size:
                    return binascii.hexlify(digest.digest()).decode()
                digest.update(memoryview(buffer)[:size])
    except OSError:
        return None


def _copy(source, path):
    _make_folders(path)
    with open(source, "rb") as read, open(path, "wb") as write:
        while True:
            piece = read.read(512)
            if not piece:
                return
            write.write(piece)


def _make_folders(path):
    parts = path.split("/")
    for end in range(1, len(parts)):
        try:
            os.mkdir("/".join(parts[:end]))
        except OSError:
            pass  # It is there.


def _remove(path):
    """Remove a folder with everything in it, or a file; nothing if it is not there."""
    try:
        if os.stat(path)[0] & 0x4000:
            for name in os.listdir(path):
                _remove(path + "/" + name)
            os.rmdir(path)
        else:
            os.remove(path)
    except OSError:
        pass  # What cannot be removed is overwritten, or the check at the end finds it.


def _free():
    """Free bytes of the flash file system."""
    found = os.statvfs(".")
    return found[0] * found[3]
