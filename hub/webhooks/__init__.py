"""Webhooks in both directions: a signed call from outside starts a task, and a task is done by calling out.

Knows no Redis and no agent's socket; users of workflow tools keep these ways beside all others.
"""
