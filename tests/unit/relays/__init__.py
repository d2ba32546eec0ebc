"""When a relay may be switched, and what is kept of it."""
