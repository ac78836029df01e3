"""Webhooks that tell of events: whoever an admin has named hears what the log says, signed and at least once.

The events' log is the outbox. Knows no agent's socket and no Redis; what starts a task by a call, or does one
by calling, is in `hub/webhooks`.
"""
