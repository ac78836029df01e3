"""The hub's side of Redis: the outbox emptied, requests taken in, progress told, runs handed out.

Knows how to speak with Redis by the package `streams`, and with the board as everybody does: by letters.
"""
