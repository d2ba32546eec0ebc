"""Keeps the board in the Wi-Fi network, without ever waiting for it."""

import asyncio

_TRY_MS = 20_000
_RESTART_EVERY = 6
"""Attempts after which the radio is switched off and on."""


class Wifi:
    """The station side of `network.WLAN`."""

    def __init__(self, wlan, settings, clock, log):
        """`settings`: `wifi` of the configuration."""
        self._wlan = wlan
        self._settings = settings
        self._clock = clock
        self._log = log
        self.ever = False
        """Whether it has been connected since the start."""
        self.attempts = 0
        self._was_up = False

    @property
    def up(self):
        """Whether there is a network now."""
        return self._wlan.isconnected()

    @property
    def address(self):
        """The board's own IPv4 address, or None."""
        return self._wlan.ifconfig()[0] if self.up else None

    @property
    def rssi(self):
        """Signal strength, dBm, or None."""
        try:
            return self._wlan.status("rssi") if self.up else None
        except (OSError, ValueError):
            return None

    async def run(self):
        """Connect, and again, for ever."""
        self._wlan.active(True)
        while True:
            if self.up:
                if not self._was_up:
                    self._was_up = self.ever = True
                    self.attempts = 0
                    self._log("info", "Wi-Fi: connected, %s" % self.address)
                await asyncio.sleep_ms(500)
                continue
            if self._was_up:
                self._was_up = False
                self._log("warning", "Wi-Fi: connection lost")
            await self._attempt()

    async def _attempt(self):
        self.attempts += 1
        if self.attempts % _RESTART_EVERY == 0:
            self._wlan.active(False)
            await asyncio.sleep_ms(500)
            self._wlan.active(True)
        try:
            self._wlan.disconnect()
            self._wlan.connect(self._settings["ssid"], self._settings["password"])
        except OSError as error:
            self._log("warning", "Wi-Fi: %r" % error)
        end = self._clock.ms() + _TRY_MS
        while not self.up and self._clock.ms() < end:
            await asyncio.sleep_ms(250)
