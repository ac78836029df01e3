"""The fixture that runs this plugin's crew, offline and in a process of its own."""

from crews.testing import plugin_trials, run_plugin

__all__ = ["plugin_trials", "run_plugin"]
