"""A sidecar that now and then declines an order, although it could do it.

Owns nothing but that whim: everything else is the program that people run. Run as a program, by
`python -m tests.fleet.fussy connect …`; it changes the echo of its own process alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from zlib import crc32

from sidecar.cli import main
from sidecar.runners.contract import Order, Rejection
from sidecar.runners.echo import EchoRunner

DECLINED_PERCENT: Final = 5
"""Of the orders that it gets."""

Accepts = Callable[[EchoRunner, Order], Rejection | None]


def moody(accepts: Accepts) -> Accepts:
    """Accepts what the other accepts, unless it does not feel like it; asked again, it says the same."""

    def moodily(runner: EchoRunner, order: Order) -> Rejection | None:
        if crc32(f"{order.task_id} {order.generation}".encode()) % 100 < DECLINED_PERCENT:
            return Rejection(reason="policy", sentence="not today")
        return accepts(runner, order)

    return moodily


if __name__ == "__main__":
    setattr(EchoRunner, "accepts", moody(EchoRunner.accepts))  # noqa: B010  mypy lets nobody replace a method by its name
    main()
