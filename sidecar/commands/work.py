"""`sidecar work`: crews for whoever asks on a Redis stream, without a hub.

Owns the words of the command line. What works is `sidecar.streamwork`.
"""

from __future__ import annotations

import sys
from typing import Any

import click

from sidecar.commands.options import exits, of_crews, say, settings_of, with_config


@click.command("work")
@click.option("--redis", metavar="URL", help="The Redis with plugin:requests; or REDIS_URL.")
@click.option("--slots", type=int, metavar="N", help="How many runs at a time [1].")
@click.option("--health-port", type=int, metavar="P", help="Answer /health/live and /health/ready there.")
@click.option("--health-host", metavar="HOST", help="Listen for probes on this address [127.0.0.1].")
@click.option("--state-dir", metavar="DIR", help="Where runs have their folders.")
@of_crews
@click.option("--log-level", metavar="LEVEL", help="debug, info, warning or error [info].")
@with_config
def command(config: str | None, **flags: Any) -> None:
    """Run plugins for services that ask on Redis Streams. No hub is needed.

    \b
    sidecar work --redis redis://127.0.0.1:6379 --plugins shipped --model offline
    """
    with exits():
        settings = settings_of(config, **flags)
        from console.logs import set_up_logs
        from sidecar.streamwork.program import work

        set_up_logs(settings.log_level)
        sys.exit(work(settings, say))
