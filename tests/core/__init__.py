"""What the core decides: the table, matching, names, first-generation clients, turns."""
