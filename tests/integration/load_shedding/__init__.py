"""Load shedding in a real Home Assistant, with helpers as sensors and loads."""
