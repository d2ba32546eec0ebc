"""Tests of Energy Meter."""
