"""What we write into Redis, each act as one step there: once, however often it is repeated after a kill.

Owns the markers that make a repeat harmless. Raises RedisAway or RedisRefused and repeats nothing itself:
who has the letter sends it again (`hub.streams.relay`, `streams.inbox`). Never decides what is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Literal, TypeAlias

from streams import names, scripts
from streams.entries import Request, Result, fields_for_parking, fields_of_request, fields_of_result
from streams.link import Streams
from streams.reader import Delivered

Beginning: TypeAlias = Literal["begun", "joined", "answered"]
BEGINNINGS: Final[dict[bytes, Beginning]] = {b"begun": "begun", b"joined": "joined", b"answered": "answered"}


class Writer:
    """Writes over the link's lanes; as many of them as you like may share one link."""

    def __init__(self, streams: Streams, *, length_max: int = names.STREAM_LENGTH_MAX) -> None:
        self._commands = streams.commands
        self._publishing = streams.publishing
        self._length_max = length_max

    async def post_once(
        self, marker: str, stream: str, fields: Mapping[str, str | bytes], *, group: str
    ) -> str | None:
        """Append an entry, the first time that this marker is heard of; its id, or None for a repeat.

        `group` is who must have read an entry before the stream may lose it.
        """
        arguments = (names.MARKER_KEPT_S, group, self._length_max, *_flat(fields))
        return _id(await self._commands.script(scripts.POST_ONCE, (marker, stream), arguments))

    async def ask(self, request: Request, published_at_s: int, *, attempt: int = 1) -> str | None:
        """Publish a run on `plugin:requests`, once for each attempt: a retry keeps the run's id."""
        marker = f"{names.REQUEST_MARKER}{request.plugin_run_id}:{attempt}"
        fields = fields_of_request(request, published_at_s)
        return await self.post_once(marker, names.REQUESTS, fields, group=names.REQUEST_GROUP)

    async def answer(self, result: Result, *, entry_id: str = "") -> str | None:
        """Publish how a run ended and acknowledge the request, in one step; None where it was answered.

        Without `entry_id` it answers the entry that `RequestInbox` began the run from. A completed run has
        one answer for ever; a failed one has one for each entry, because asking again is a retry.
        """
        keys = (names.RUN_MARKER + result.plugin_run_id, names.RESULTS, names.REQUESTS)
        whom = (result.status, entry_id, names.REQUEST_GROUP, names.RESULT_GROUP, self._length_max)
        arguments = (names.MARKER_KEPT_S, *whom, *_flat(fields_of_result(result)))
        return _id(await self._commands.script(scripts.ANSWER, keys, arguments))

    async def refuse(
        self, stream: str, group: str, delivered: Delivered, reason: str, *, run_id: str | None = None
    ) -> str | None:
        """Copy an entry to `plugin:dead`, answer `failed` where it names a run, acknowledge it: one step.

        The id of the copy, or None where the entry was not pending any more.
        """
        copy = (*_flat(fields_for_parking(delivered.fields, reason, stream, delivered.entry_id)),)
        answer: tuple[str | bytes, ...] = ()
        if run_id is not None:
            said = Result(plugin_run_id=run_id, status="failed", error=reason)
            answer = (*_flat(fields_of_result(said)),)
        keys = (stream, names.DEAD, names.RUN_MARKER + (run_id or ""), names.RESULTS)
        lengths = (self._length_max, names.DEAD_LENGTH_MAX, len(copy))
        whom = (group, delivered.entry_id, names.MARKER_KEPT_S, names.RESULT_GROUP)
        return _id(await self._commands.script(scripts.REFUSE, keys, (*whom, *lengths, *copy, *answer)))

    async def begin(self, run_id: str, entry_id: str) -> Beginning:
        """Before a request is acted on: whether it is the one to act on (L79).

        `answered`: its result is out. `joined`: another entry for the same run is being worked on, and its
        result is this one's too. Both are acknowledged by this step.
        """
        keys = (names.RUN_MARKER + run_id, names.REQUESTS)
        arguments = (names.MARKER_KEPT_S, names.REQUEST_GROUP, entry_id)
        reply: bytes = await self._commands.script(scripts.BEGIN, keys, arguments)
        return BEGINNINGS[reply]

    async def publish_progress(self, key: str, channel: str, payload: bytes) -> bool:
        """Tell a channel, unless the final message of `key` is out: nothing follows that."""
        said = await self._publishing.script(
            scripts.PROGRESS, (names.FINAL_MARKER + key,), (channel, payload)
        )
        return bool(said)

    async def publish_final(self, key: str, channel: str, payload: bytes) -> bool:
        """Tell a channel that it is over, once for `key`."""
        arguments = (names.MARKER_KEPT_S, channel, payload)
        return bool(await self._publishing.script(scripts.FINAL, (names.FINAL_MARKER + key,), arguments))


def _flat(fields: Mapping[str, str | bytes]) -> Iterator[str | bytes]:
    for name, value in fields.items():
        yield name
        yield value


def _id(reply: object) -> str | None:
    return reply.decode() if isinstance(reply, bytes) else None
