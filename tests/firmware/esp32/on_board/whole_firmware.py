"""The whole firmware, as `main.py` starts it, with the power cut at every single write to flash."""

import asyncio
import builtins
import gc
import json

import machine
import power
import simulated_time

_ticks = simulated_time.install()

from energy_meter import app, clock, config

_WATTS = 36_000
"""10 Wh a second: the counters are written each time they are looked at."""


def _set_up():
    settings = {
        "key": "A" * 20,
        "wifi": {"ssid": "Home"},
        "usb": {"on": False},
        "tcp": {"on": False},
        "led": {"pin": None},
        "button": None,
        "watchdog": 0,
        "interval": 0.2,
        "buffer": {"ram": 4, "flash": 64, "thin": 0},
    }
    settings, errors = config.checked(settings)
    assert errors == []
    config.save(settings)


class _Life:
    """One start of the board, until the power goes."""

    def __init__(self):
        self.truth = None
        self.boot = None

    async def run(self, seconds):
        started = app.App(clock.Clock(_ticks))
        started.bridge.print_log = lambda text: None
        self.boot = started.bridge.outbox.boot
        task = asyncio.create_task(started.run())
        await asyncio.sleep_ms(5)
        machine.UART.ports[1].feed(b"\n")
        line = json.dumps({"P": _WATTS}).encode() + b"\n"
        try:
            for _ in range(seconds):
                machine.UART.ports[1].feed(line)
                await simulated_time.passes(1000)
                self.truth = started.bridge.totals.of("main")[0]
                self.shown = started.bridge.totals.kept("main")[0]
                if task.done():
                    break
        finally:
            task.cancel()
            started.supervisor.stop()
            await asyncio.sleep_ms(0)


async def _live(life, seconds):
    try:
        await life.run(seconds)
    except power.Cut:
        pass


def a_power_cut_at_every_write_of_a_whole_start_harms_nothing():
    builtins.open = power.File
    _set_up()
    truth = 0
    boots = []
    for cut in range(18):
        gc.collect()
        life = _Life()
        power.cut_after(cut)
        try:
            asyncio.run(_live(life, 25))
        except power.Cut:
            pass
        simulated_time.forget_everything()
        assert power.left == 0, "cut %d never came" % cut
        power.cut_after(10**9)
        if life.boot is not None:
            boots.append(life.boot)
        after = _Life()
        asyncio.run(_live(after, 1))
        simulated_time.forget_everything()
        boots.append(after.boot)
        # One step of 10 Wh and what two seconds bring may be gone; nothing may be there twice.
        highest = truth + 26 * 10_000
        assert truth - 30_000 <= after.truth <= highest + 20_000, (cut, truth, after.truth)
        if life.truth is not None:
            assert after.truth >= life.shown, (cut, life.shown, after.truth)
            assert after.truth <= life.truth + 20_000, (cut, life.truth, after.truth)
        truth = after.truth
    assert boots == sorted(set(boots)), boots
    settings, errors = config.load()
    assert errors == [] and settings["key"] == "A" * 20
