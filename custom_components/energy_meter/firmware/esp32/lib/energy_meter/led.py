"""What the status LED says: a pattern of on and off times, in milliseconds, over and over."""

import asyncio

PATTERNS = {
    "setup": (500, 500),
    "no_network": (100, 900),
    "no_host": (100, 200, 100, 1600),
    "well": (50, 4950),
    "identify": (80, 80),
}


def state(bridge, network_up, setting_up):
    """Which pattern is due."""
    if bridge.clock.ms() < bridge.identify_until:
        return "identify"
    if setting_up:
        return "setup"
    if bridge.host_is_here:
        return "well"
    return "no_host" if network_up else "no_network"


async def run(pin, active, which):
    """Show what `which()` names, for ever."""
    while True:
        pattern = PATTERNS[which()]
        for at, milliseconds in enumerate(pattern):
            pin(active if at % 2 == 0 else 1 - active)
            await asyncio.sleep_ms(milliseconds)
