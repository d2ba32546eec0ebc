"""Load shedding without Home Assistant."""
