"""Load shedding, as Home Assistant shows it, without Home Assistant."""
