"""What may go wrong with Redis, as named errors: away, refusing, and two that their finder mends.

Never holds a credential: the sentences are Redis's own and those of `streams.address`.
"""

from __future__ import annotations


class RedisTrouble(Exception):
    """Redis did not do it, or did it and could not say so: repeat only what may be repeated."""


class RedisAway(RedisTrouble):
    """Not reachable, or silent: it may be there again in a moment."""


class LoginRefused(RedisAway):
    """There, and not for us: until somebody mends the user or the password it is as good as away."""


class RedisRefused(RedisTrouble):
    """It answered, and said no: a right is missing, or memory, or it is a replica."""


class GroupMissing(RedisRefused):
    """The stream or its group is gone (FLUSHALL): make it again."""


class ScriptMissing(RedisRefused):
    """The server does not know the script yet: send it in full."""


class RedisMissing(RedisTrouble):
    """The program was installed without its Redis half."""
