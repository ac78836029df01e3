"""What runs inside a crew's own process: the only package that imports crewai.

The sidecar's process never imports it; it starts `crews.child` (warm, from a zygote, or cold) and hears JSON
lines from it.
"""
