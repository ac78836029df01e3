"""The HTTP face of the hub: one resource a file, one table of routes, one map from refusals to statuses."""
