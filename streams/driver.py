"""The only module that knows redis-py: connections made from an address, and its errors in our words.

Never repeats a command by itself: whoever asked knows whether a repeat is harmless. Imported late, because
redis is an extra: only who was given a Redis URL needs it.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, cast

from redis.asyncio import Connection, ConnectionPool, Redis, Sentinel, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    NoScriptError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as LinkError
from redis.exceptions import TimeoutError as LateError

from streams.address import Address
from streams.trouble import GroupMissing, LoginRefused, RedisAway, RedisRefused, RedisTrouble, ScriptMissing

Part = str | bytes | int

LOST_GROUP = ("NOGROUP", "UNBLOCKED")
"""How Redis says that a group is gone: asked for, or while somebody waited on its stream."""


class Client(Protocol):
    """What is used of redis-py."""

    def execute_command(self, *parts: Part) -> Awaitable[Any]: ...

    def aclose(self) -> Awaitable[None]: ...


class Driver:
    """A few connections to one place, opened when they are needed."""

    def __init__(self, address: Address, *, connections: int, reply_s: float, connect_s: float) -> None:
        wanted: dict[str, Any] = {
            "socket_timeout": reply_s,
            "socket_connect_timeout": connect_s,
            "retry": Retry(NoBackoff(), 0),
            "protocol": 2,  # replies look the same on every server, scripts included
        }
        self._sentinel: Client | None = None
        if address.master is None:
            self._client = _direct(address, wanted, connections)
        else:
            self._sentinel, self._client = _by_sentinel(address, wanted, connections)

    async def execute(self, *parts: Part) -> Any:
        """The reply, as redis-py reads it. Raises RedisTrouble, and never anything of redis-py's."""
        try:
            return await self._client.execute_command(*parts)
        except (RedisError, OSError) as trouble:
            raise told(trouble) from trouble

    async def close(self) -> None:
        for client in (self._client, self._sentinel):
            if client is None:
                continue
            try:
                await client.aclose()
            except (RedisError, OSError):
                continue  # it is closed all the same: the other side was quicker


def told(trouble: Exception) -> RedisTrouble:
    """What went wrong, in one sentence, and whether waiting helps."""
    said = str(trouble) or type(trouble).__name__
    if isinstance(trouble, NoScriptError):
        return ScriptMissing(said)
    if isinstance(trouble, ResponseError) and said.startswith(LOST_GROUP):
        return GroupMissing(said)
    if isinstance(trouble, AuthenticationError | AuthorizationError):
        return LoginRefused(f"Redis refused the user or the password: {said}")
    if isinstance(trouble, LateError):
        return RedisAway("Redis did not answer in time")
    if isinstance(trouble, ssl.SSLError | LinkError | OSError):
        return RedisAway(f"Redis cannot be reached: {said}")
    return RedisRefused(f"Redis refused: {said}")


def _direct(address: Address, wanted: dict[str, Any], connections: int) -> Client:
    host, port = address.hosts[0]
    pool = ConnectionPool(
        connection_class=SSLConnection if address.has_tls else Connection,
        max_connections=connections,
        host=host,
        port=port,
        **_whom(address),
        **address.tls,
        **wanted,
    )
    return cast("Client", Redis.from_pool(pool))


def _by_sentinel(address: Address, wanted: dict[str, Any], connections: int) -> tuple[Client, Client]:
    """Every new connection asks a Sentinel who the master is now."""
    safe = {"ssl": True, **address.tls} if address.has_tls else {}
    sentinel = cast("Callable[..., Any]", Sentinel)(  # redis-py left its constructor untyped
        address.hosts,
        sentinel_kwargs={
            "username": address.sentinel_username,
            "password": address.sentinel_password,
            **safe,
            **wanted,
        },
    )
    client = sentinel.master_for(
        str(address.master), max_connections=connections, **_whom(address), **safe, **wanted
    )
    return cast("Client", sentinel), cast("Client", client)


def _whom(address: Address) -> dict[str, Any]:
    return {"username": address.username, "password": address.password, "db": address.database}
