"""Every name and bound of the Redis face, with its reason.

Owns what other services have written into their code (they will not change for us) and the limits that are
ours. Pure.
"""

from __future__ import annotations

from typing import Final

# --- what strangers rely on (docs/integrations.md) ----------------------------------------------------------

REQUESTS: Final = "plugin:requests"
RESULTS: Final = "plugin:results"

REQUEST_GROUP: Final = "crewai-workers"
"""Reads requests: whoever runs plugins."""

RESULT_GROUP: Final = "go-workers"
"""Reads results: whoever asked."""

SCHEMA_VERSION: Final = "v1"

PAYLOAD: Final = "payload"
PUBLISHED_AT: Final = "published_at"
VERSION: Final = "schema_version"

STREAM_LENGTH_MAX: Final = 10_000
"""Entries that a stream keeps, roughly; never at the cost of one that somebody has yet to read (L90)."""

READ_COUNT: Final = 10
READ_BLOCK_MS: Final = 5_000
"""One read takes at most so many, and waits at most so long; then the reader looks whether it should end."""

# --- what is ours -------------------------------------------------------------------------------------------

DEAD: Final = "plugin:dead"
"""Entries that nobody could make sense of, copied with the reason before they are acknowledged."""

DEAD_LENGTH_MAX: Final = 1_000
"""For a person to look at; older ones go."""

PARKED_BYTES_MAX: Final = 64 * 1024
"""Of each field of such a copy: enough to see what is wrong with it."""

PARKED_FIELDS_MAX: Final = 32
"""So many besides the payload; ours have two."""

DEAD_REASON: Final = "dead_reason"
DEAD_STREAM: Final = "dead_stream"
DEAD_ENTRY: Final = "dead_entry_id"
"""Fields that such a copy has besides its own."""

DELIVERIES_MAX: Final = 5
"""An entry that was handed out so often and never finished kills whoever takes it (L81)."""

RUN_MS_MAX: Final = 600_000
"""Ten minutes: how long a run may take, and an entry be quiet, before it is somebody else's."""

CLAIM_MARGIN_MS: Final = 60_000
"""Beyond that: publishing the result takes its time, and a clock may be off."""

TEND_EVERY_MS: Final = 15_000
"""How often a reader says of the entries in its hands that it is at them, and looks for abandoned ones."""

NAMES_KEPT_MS: Final = 86_400_000
"""A consumer of ours that has been gone for a day and holds nothing is forgotten."""

CONSUMER_PREFIX: Final = "crewhub-"

MARKER_KEPT_S: Final = 7 * 86_400
"""How long Redis remembers that something was published, so that a repeat after a crash is none. Longer than
any hub is away with an outbox that matters."""

REQUEST_MARKER: Final = "crewhub:request:"
RUN_MARKER: Final = "crewhub:run:"
FINAL_MARKER: Final = "crewhub:final:"

ENTRY_BYTES_MAX: Final = 1024 * 1024
"""A payload beyond this is not read: what a service asks for fits into a page of text."""

RUN_ID_LENGTH_MAX: Final = 200
PLUGIN_NAME_LENGTH_MAX: Final = 200
"""Names of strangers; ours are shorter."""

USER_ID_MAX: Final = 2**64 - 1
"""An unsigned integer of whatever width; 64 bits hold all of them."""

OUTPUT_BYTES_MAX: Final = 256 * 1024
"""Of a result: what a task's result may be."""

ERROR_LENGTH_MAX: Final = 8 * 1024

CHANNEL_LENGTH_MAX: Final = 512
"""Of a stream id, which is the channel's name."""

assert TEND_EVERY_MS * 4 <= CLAIM_MARGIN_MS, "an entry in hand is renewed long before it counts as abandoned"
