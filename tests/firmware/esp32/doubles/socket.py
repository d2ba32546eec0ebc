"""Stands for the ESP32 port's `socket` module: the unix port's, with the one constant that it lacks (as Linux numbers it)."""

from usocket import *  # noqa: F403

IP_ADD_MEMBERSHIP = 35
