"""Tests of the ESP32 firmware, run in MicroPython."""
