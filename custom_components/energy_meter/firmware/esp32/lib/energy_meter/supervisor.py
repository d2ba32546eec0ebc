"""Runs the parts: one that fails is logged and started again, and the others do not notice."""

import asyncio
import gc
import sys

FIRST_PAUSE_MS = 1000
_MOST_PAUSE_MS = 60_000
_GOOD_MS = 120_000
"""A part that ran so long is started again without a growing pause."""
_STUCK_MS = 300_000


class Supervisor:
    """Parts by name, each a coroutine function that runs for ever."""

    def __init__(self, clock, log):
        """`log(level, text)`."""
        self._clock = clock
        self._log = log
        self._watchdog = None
        self._tasks = {}
        self.failures = {}
        """How often each part has failed."""
        self._beats = {}

    def set_watchdog(self, watchdog):
        """`machine.WDT` or None, to be fed from now on."""
        self._watchdog = watchdog

    def start(self, name, part):
        """Run a part; `part` makes its coroutine, each time anew."""
        self.failures[name] = 0
        self._tasks[name] = asyncio.create_task(self._keep(name, part))

    def stop(self):
        """End all parts."""
        for task in self._tasks.values():
            task.cancel()

    def beat(self, name):
        """A part says that it is alive; once it has, it has to say it again every five minutes."""
        self._beats[name] = self._clock.ms()

    async def watch(self, tick):
        """Feed the watchdog and call `tick` once a second, for ever."""
        while True:
            try:
                tick()
            except Exception as error:
                self._report("tick", error)
            now = self._clock.ms()
            if self._watchdog and all(now - beat < _STUCK_MS for beat in self._beats.values()):
                self._watchdog.feed()
            await asyncio.sleep_ms(1000)

    async def _keep(self, name, part):
        pause = FIRST_PAUSE_MS
        while True:
            began = self._clock.ms()
            try:
                await part()
                return  # A part that ends by itself has done what it had to.
            except Exception as error:
                self.failures[name] += 1
                self._report(name, error)
            gc.collect()
            if self._clock.ms() - began >= _GOOD_MS:
                pause = FIRST_PAUSE_MS
            await asyncio.sleep_ms(pause)
            pause = min(_MOST_PAUSE_MS, pause * 2)

    def _report(self, name, error):
        try:
            self._log("error", "%s failed: %r" % (name, error))
            sys.print_exception(error)
        except Exception:
            gc.collect()  # Even saying it failed: no memory. The part starts again all the same.
