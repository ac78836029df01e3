"""One suite a port, run on the double and on every real adapter."""
