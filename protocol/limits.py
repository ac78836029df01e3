"""Every bound of the wire, with its reason.

Owns the numbers and what must hold between them; never enforces one (codec, conversation and links do).
"""

from __future__ import annotations

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

FRAME_BYTES_MAX: Final = 1 * MIB
"""One message, checked before decoding: 1 MiB holds an array of facts and the biggest result with room to
spare."""

WEBSOCKET_BYTES_MAX: Final = FRAME_BYTES_MAX + 64 * KIB
"""The library's own limit lies above ours, so that ours is met first and answers with a name."""

IDENTIFY_BYTES_MAX: Final = 4 * KIB
"""The first frame of a socket that has shown no token yet: a stranger may cost us this much and no more."""

IDENTIFY_TRUSTED_BYTES_MAX: Final = 256 * KIB
"""The first frame after a valid bearer header: `holding` and `plugins` need room."""

RESULT_BYTES_MAX: Final = 256 * KIB
"""A bigger result fails its task at the sidecar (`result_too_big`), before it could close a socket for
ever."""

PROGRESS_BYTES_MAX: Final = 64 * KIB
"""Progress, log and usage frames are small talk; a bigger one is refused."""

DONE_BYTES_MAX: Final = 768 * KIB
"""All kept steps of one crew together, as `task_assign.done` hands them over. Beside a big description, big
inputs and answers there is less room: the hub keeps what still fits into one assign."""

DESCRIPTION_BYTES_MAX: Final = 64 * KIB
"""A task's description. Bigger input belongs into `inputs` or a file."""

METADATA_BYTES_MAX: Final = 128 * KIB
"""A task's `metadata` or `inputs`, each: with description and kept steps it must fit into one assign."""

ANSWERS_BYTES_MAX: Final = 128 * KIB
"""All answers of people to one task together, as `task_assign.answers` hands them to a later attempt."""

ASSIGN_REST_BYTES: Final = 8 * KIB
"""Of an assign, everything that is not free-form: names of members, numbers, plugin and trace."""

ESCAPED_BYTES_MAX: Final = 6
"""What one byte of text can become in JSON: a control character is said as `\\u0001`."""

FRAMES_PER_MESSAGE_MAX: Final = 256
"""Members of an array of frames: what one turn of a loop has to say to one peer."""

JSON_DEPTH_MAX: Final = 64
"""Nesting of a free-form member; deeper JSON exhausts the stack of readers downstream."""

JSON_MEMBERS_MAX: Final = 10_000
"""Brackets opened plus commas of a free-form member, which no count of its values exceeds by more than one: a
megabyte of `{}` would become 25 MB of objects."""

AGENT_ID_LENGTH_MAX: Final = 128
TASK_ID_LENGTH_MAX: Final = 128
"""Ours are 21 characters; v1 clients were recorded with ids of their own making."""

NAME_LENGTH_MAX: Final = 256
"""Names, statuses, reasons and kinds."""

TEXT_LENGTH_MAX: Final = 64 * KIB
"""An error, a message for people, a line of a log."""

CAPABILITIES_MAX: Final = 256
PLUGIN_SCHEMAS_BYTES_MAX: Final = 64 * KIB
"""The settings' schemas of all plugins that one agent tells: beside `holding` they fit into one identify. A
schema that a form can be made of has 1 to 4 KiB."""

HOLDING_MAX: Final = 4096
"""Generations an instance can list at identify or in a heartbeat; above any sensible number of slots."""

SLOTS_MAX: Final = 1024
SLOT_KINDS_MAX: Final = 16
SLOT_KIND_LENGTH_MAX: Final = 64
"""Kinds of slots of one agent: gpu, browser, big memory."""

INTEGER_MAX: Final = 2**53 - 1
"""The largest integer that every JSON reader keeps exact."""

IDENTIFY_TIMEOUT_MS: Final = 10_000
HEARTBEAT_MS: Final = 10_000
LEASE_MS: Final = 30_000
ACCEPT_MS: Final = 10_000
V1_SILENCE_MS: Final = 75_000
"""A v1 client pings every 30 s: two lost pings and a half."""

GRACE_MS: Final = 120_000
"""How long a holder may be out of reach before its work is given to somebody else: laptops sleep, hubs
restart."""

CANCEL_GRACE_MS: Final = 10_000
"""Between TERM and KILL of a cancelled run."""

assert FRAME_BYTES_MAX < WEBSOCKET_BYTES_MAX
assert IDENTIFY_BYTES_MAX < IDENTIFY_TRUSTED_BYTES_MAX < FRAME_BYTES_MAX
assert PLUGIN_SCHEMAS_BYTES_MAX < IDENTIFY_TRUSTED_BYTES_MAX
assert RESULT_BYTES_MAX < FRAME_BYTES_MAX
assert DESCRIPTION_BYTES_MAX < DONE_BYTES_MAX < FRAME_BYTES_MAX
assert ANSWERS_BYTES_MAX <= RESULT_BYTES_MAX, "the codec takes them"
assert (
    ESCAPED_BYTES_MAX * DESCRIPTION_BYTES_MAX + 2 * METADATA_BYTES_MAX + ANSWERS_BYTES_MAX + ASSIGN_REST_BYTES
    < FRAME_BYTES_MAX
), "whatever was pushed and answered fits into one assign; kept steps get the room that is left"
assert LEASE_MS >= 3 * HEARTBEAT_MS, "two lost heartbeats are weather, three are news"
assert GRACE_MS > LEASE_MS
