"""Runs of plugins in the hub: which plugins there are, how a run begins, and when one begins by itself."""
