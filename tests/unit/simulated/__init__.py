"""The simulated house and its meters."""
