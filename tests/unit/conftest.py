"""What the tests of several modules share: the server of routers inside a running loop, and a set for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import numpy as np
import pytest
import uvloop

from rov import Aspa, RouterKey, Snapshot, VrpColumns
from rov.rib import Dump, RibBatch
from rov.rib import open as open_dump
from rtr_server.cache.history import History
from rtr_server.cache.mirror import Mirror, SnapshotReceived
from rtr_server.config.transport import Listen, Transport
from rtr_server.endpoint import Endpoint
from rtr_server.protocol.client import RouterSession
from rtr_server.tools.dump import fetch
from rtr_server.transport.server import Server
from tests.rib_rows import rows_of_dump

SCENARIO_SECONDS = 60


def snapshot(count: int) -> Snapshot:
    """A set of count VRPs of IPv4, one of IPv6, one ASPA, one router key."""
    v4 = VrpColumns.ipv4(np.arange(count, dtype=np.uint32) << 8, [24] * count, [24] * count, [64496] * count)
    v6 = VrpColumns.ipv6([[0x20010DB8 << 32, 0]], [32], [48], [64497])
    aspas = [Aspa(64496, (64497,))]
    return Snapshot.build(v4, v6, aspas=aspas, router_keys=[RouterKey(64496, bytes(20), b"0")])


class Served:
    """A server of routers on a free port of 127.0.0.1; ``listen`` are further keys of its ``[[listen]]``."""

    def __init__(
        self, data: Snapshot | None = None, *, listen: dict | None = None, **settings: object
    ) -> None:
        self.history = History({0: 1, 1: 2, 2: 3}, 7, snapshot=data)
        where = Listen(Endpoint("127.0.0.1", 0), **(listen or {}))
        self.server = Server(self.history, Transport((where,), **settings))
        self.server.open()
        self.server.start()
        (self.endpoint,) = self.server.endpoints

    async def connect(self, **options):
        """A stream to it."""
        return await asyncio.open_connection(*self.endpoint, **options)

    async def fetch(self, **options):
        """What the mirror client gets over plain TCP."""
        return await asyncio.to_thread(fetch, self.endpoint, timeout=20, **options)

    async def router(self):
        """The one connection, once it is there."""
        while not self.server.connections:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        (router,) = self.server.connections
        return router

    async def close(self, reason="shutdown"):
        """End it in order."""
        await self.server.close(reason, 1.0)


@pytest.fixture
def dump(tmp_path) -> Callable[..., tuple[list[tuple], Dump, list[RibBatch]]]:
    """Reads octets as a dump: its rows as ``rib_rows`` has them, the dump, read to its end, its batches."""

    def read(octets, **options):
        file = tmp_path / "dump"
        file.write_bytes(octets)
        with open_dump(file, **options) as opened:
            batches = list(opened)
        return rows_of_dump(opened, batches), opened, batches

    return read


@pytest.fixture
def serve() -> type[Served]:
    """The class Served; make one inside a scenario."""
    return Served


@pytest.fixture
def make_snapshot() -> Callable[[int], Snapshot]:
    """A set of so many VRPs, and a few other elements."""
    return snapshot


@pytest.fixture(params=[uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"])
def run(request) -> Callable[[Callable[[], Awaitable[None]]], None]:
    """Runs a scenario on an event loop; uvloop is what the daemon uses, asyncio checks our assumptions."""

    def in_loop(scenario):
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(asyncio.wait_for(scenario(), SCENARIO_SECONDS))

    return in_loop


@pytest.fixture
def synchronize() -> Callable[..., Awaitable[SnapshotReceived]]:
    """A full synchronization over any pair of streams."""

    async def take(reader, writer, version=1):
        mirror = Mirror(RouterSession(version=version, min_version=version, now=0.0))
        while True:
            writer.write(mirror.session.data_to_send())
            octets = await reader.read(1 << 18)
            assert octets, "end of file before End of Data"
            mirror.receive_data(octets, 0.0)
            for event in mirror.events():
                if isinstance(event, SnapshotReceived):
                    return event

    return take


@pytest.fixture
def eventually() -> Callable[[Callable[[], object]], Awaitable[None]]:
    """Wait, inside a scenario, until a condition holds."""

    async def wait(condition, seconds=20):
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    return wait


@pytest.fixture
def logged(caplog) -> Callable[[str], list[dict[str, object]]]:
    """The fields of all log lines of a name."""
    caplog.set_level(logging.INFO, "rtr_server")

    def find(name):
        return [getattr(record, "fields", {}) for record in caplog.records if record.getMessage() == name]

    return find
