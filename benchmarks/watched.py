"""The daemon with its HTTP side as a program that tells, when asked, for how long its event loop was held up.

    python -m benchmarks.watched VRPS RTR_PORT HTTP_PORT

A line on standard input begins a watch, the next one ends it and is answered by ``stalls.summary`` in JSON.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

import msgspec
import uvloop

from benchmarks.stalls import Lag, summary
from rov._pandas import keep_out
from rtr_server.app import Cache
from rtr_server.config import build_config
from rtr_server.feed.process import ProcessFeed
from rtr_server.feed.settings import Settings


async def serve(vrps: Path, rtr: int, web: int, directory: Path) -> None:
    """Until SIGTERM."""
    tables: dict[str, object] = {
        "listen": [{"address": f"127.0.0.1:{rtr}"}],
        "source": [{"type": "file", "path": str(vrps)}],
        "http": {"listen": [f"127.0.0.1:{web}"]},
    }
    config = build_config(tables)
    feed = ProcessFeed(Settings.of(config), directory, ignore_expiry=True)
    watching = asyncio.create_task(_watch())
    await Cache(feed, config, ignore_expiry=True).run()
    watching.cancel()


async def _watch() -> None:
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    while await reader.readline():
        lag = Lag()
        if not await reader.readline():
            return
        print(msgspec.json.encode(summary(lag.end())).decode(), flush=True)


def main() -> None:
    """Serve."""
    vrps, rtr, web = sys.argv[1:]
    keep_out()  # as the command does
    with (
        tempfile.TemporaryDirectory() as directory,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(serve(Path(vrps), int(rtr), int(web), Path(directory)))


if __name__ == "__main__":
    main()
