"""A fleet of real sidecars under load, harmed in all the ordinary ways, and judged."""
