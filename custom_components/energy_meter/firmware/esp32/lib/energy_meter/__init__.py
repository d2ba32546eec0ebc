"""The ESP32 bridge of Energy Meter; see firmware/esp32/README.md of the repository.

Modules that touch hardware: `board` (pins, buses, memory of the chip) and `net` (sockets). All others are plain
logic with what they need passed in, and run wherever MicroPython runs.
"""

import gc
import sys

# Garbage is collected whenever so many bytes have been taken: else what stays, the modules' own code first of all, spreads
# over the whole memory, and no block of some KB is left. (Python on a PC, which checks settings, has no such thing.)
if sys.implementation.name == "micropython":
    gc.threshold(8192)
