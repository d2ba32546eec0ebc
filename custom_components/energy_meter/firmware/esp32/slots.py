"""Which version of the firmware starts: the flashed one (folder ""), or one that came over the link ("a" or "b").

This file, boot.py and main.py choose between versions and are never replaced over the link. The state is one number in
the chip's key-value store, so that it changes in one step:
bits 0-1 the version in use (0 flashed, 1 a, 2 b), bits 2-3 the one on trial, bits 4-7 its starts, bit 8 a trial failed.
"""

STORE = "em_slots"
MOST_STARTS = 3
_KEY = "state"
_FOLDERS = ("", "a", "b")


class Slots:
    """The state, and what may be done to it."""

    def __init__(self, nvs):
        """`nvs`: `esp32.NVS` of the name `STORE`."""
        self._nvs = nvs
        try:
            state = nvs.get_i32(_KEY)
        except OSError:
            state = 0
        self._used, self._trial = state & 3, state >> 2 & 3
        self._starts, self._failed = state >> 4 & 15, state >> 8 & 1
        if self._used > 2 or self._trial > 2:
            self._used = self._trial = self._starts = 0

    @property
    def on_trial(self):
        """Whether the running version has still to prove itself."""
        return self._trial != 0

    def choose(self):
        """The folder to start from now; a version on trial gets three starts."""
        if self._trial:
            if self._starts >= MOST_STARTS:
                self.roll_back()
            else:
                self._starts += 1
                self._write()
        return _FOLDERS[self._trial or self._used]

    def other(self, running):
        """The slot that a new version may be written to while `running` runs."""
        return "b" if running == "a" else "a"

    def begin_trial(self, folder):
        """Start from this folder next, on trial."""
        self._trial, self._starts, self._failed = _FOLDERS.index(folder), 0, 0
        self._write()

    def confirm(self):
        """The version on trial works."""
        if self._trial:
            self._used, self._trial, self._starts = self._trial, 0, 0
            self._write()

    def roll_back(self):
        """Go back: from a trial to what was in use, else to what was flashed."""
        if not self._trial:
            self._used = 0
        self._trial, self._starts, self._failed = 0, 0, 1
        self._write()

    def take_rolled_back(self):
        """Whether a version failed before this start; told once."""
        failed, self._failed = self._failed, 0
        if failed:
            self._write()
        return bool(failed)

    def _write(self):
        state = self._used | self._trial << 2 | self._starts << 4 | self._failed << 8
        self._nvs.set_i32(_KEY, state)
        self._nvs.commit()
