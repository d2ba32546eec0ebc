"""Load shedding in Home Assistant: what `load_shedding` decides, with real sensors, switches and people."""
