"""The ESP32 bridge of Energy Meter; see README.md two folders up.

Modules that touch hardware: `board` (pins, buses, memory of the chip) and `net` (sockets). All others are plain
logic with what they need passed in, and run wherever MicroPython runs.
"""
