"""A relay: its safe state, the least time that it stays off, and whether it did what it was told."""

from .desk import Refused


class Relay:
    """One output; `pin` is called with 0 or 1 to set it and without to read it back."""

    def __init__(self, pin, settings, clock, tell):
        """Go to the safe state at once; `tell(state, reason)` hears of every change."""
        self._pin = pin
        self._on_level = settings["active"]
        self._safe = settings["safe"]
        self._min_off_ms = int(settings["min_off"] * 1000)
        self._away_ms = int(settings["away"] * 1000)
        self._clock = clock
        self._tell = tell
        self._off_ms = clock.ms()
        """When it went off; a start counts, for nobody knows what was before."""
        self._due = bool(self._safe)
        self._drive(0)
        self.tick(None)

    @property
    def state(self):
        """1 if the output is on, read back from the pin."""
        return 1 if self._pin() == self._on_level else 0

    def switch(self, state, reason="command"):
        """Switch it; raises Refused if that is not allowed now, or did not happen."""
        self._due = False
        if state == self.state:
            return
        if state:
            wait = self._rest_ms()
            if wait > 0:
                raise Refused("minimum_off_time", "%d s to go" % ((wait + 999) // 1000))
        self._drive(state)
        if self.state != state:
            raise Refused("mismatch", "the output did not follow")
        if not state:
            self._off_ms = self._clock.ms()
        self._tell(state, reason)

    def tick(self, heard_ms):
        """Go to the safe state when no host has been heard since `heard_ms` for too long; call about once a second."""
        now = self._clock.ms()
        if self._away_ms and heard_ms is not None and now - heard_ms >= self._away_ms:
            self._due = self.state != self._safe
        if self._due and (not self._safe or self._rest_ms() <= 0):
            self.switch(self._safe, "safe")

    def fail_safe(self):
        """Go to the safe state at once, before a restart."""
        if self.state and not self._safe:
            self._drive(0)

    def _rest_ms(self):
        return self._off_ms + self._min_off_ms - self._clock.ms()

    def _drive(self, state):
        self._pin(self._on_level if state else 1 - self._on_level)
