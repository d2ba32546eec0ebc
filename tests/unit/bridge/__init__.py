"""The bridge source: pure, and over real ports and sockets."""
