"""Whole processes on this machine, doing what a person or a network may do to them."""
