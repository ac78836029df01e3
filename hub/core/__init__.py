"""What the hub decides, and nothing else: told the time, it returns what must be recorded and done."""
