"""The four ways in which a bridge reaches Home Assistant, each with a real other end."""
