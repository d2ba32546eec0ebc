"""Alarms: limits of a meter's values that the user has set, and what shows how they stand."""
