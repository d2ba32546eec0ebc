"""A simulated house and the meters in it, for trying everything without hardware."""
