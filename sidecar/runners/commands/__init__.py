"""Coding agents of others as commands: how each takes a task and what its output means, as data.

`rules.py` is the language of the rules, `dialects.py` reads a run's output by them, `presets.py` has those of
known agents and the way to their argument vectors. Starts no process: `command.py` does.
"""
