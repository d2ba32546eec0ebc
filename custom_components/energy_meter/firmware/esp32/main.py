"""Starts the firmware that boot.py has chosen. Never replaced over the link."""

import sys
import time

try:
    from energy_meter import app

    app.main()
except Exception as error:
    sys.print_exception(error)
    from esp32 import NVS
    import machine
    import slots

    if any(folder in sys.path for folder in ("a/lib", "b/lib")):
        chosen = slots.Slots(NVS(slots.STORE))
        if not chosen.on_trial:
            chosen.roll_back()  # It worked once: its files must be damaged. The flashed ones are still there.
    else:
        time.sleep(30)  # Time to read the text above, and to reach the board with mpremote.
    machine.reset()
