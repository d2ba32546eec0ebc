"""Chooses the version of the firmware to start; see slots.py. Never replaced over the link."""

import sys

from esp32 import NVS
import slots

try:
    _folder = slots.Slots(NVS(slots.STORE)).choose()
except OSError:
    _folder = ""
if _folder:
    sys.path.insert(0, _folder + "/lib")
