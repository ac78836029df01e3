"""The sidecar: takes work from a hub, does it beside the user's own tools, brings the result home.

Owns the process next to the work; never imports the hub, and knows plugins only by their contract.
"""
