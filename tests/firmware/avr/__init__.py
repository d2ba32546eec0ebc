"""Tests of the firmware for the AVR boards, as C on this PC and in the simulator."""
