"""What is different for some routers: versions, timers, rate, the older layout of ASPAs."""

import asyncio
import ipaddress
import struct
import time

import pytest

from rov import Aspa, Snapshot
from rtr_server.cache import draft10, wire
from rtr_server.cache.view import View
from rtr_server.config.transport import Client
from rtr_server.config.values import Octets, Seconds

RESET_QUERY = bytes.fromhex("0102000000000008")


def client(prefix, **settings):
    return Client(ipaddress.ip_network(prefix), **settings)


def test_versions_and_timers_of_a_client(run, serve, make_snapshot):
    async def scenario():
        own = client("127.0.0.0/8", max_version=1, refresh=Seconds(300), retry=Seconds(60))
        served = serve(make_snapshot(3), client=(own,))
        reader, writer = await served.connect()
        writer.write(b"\x02" + RESET_QUERY[1:])
        assert (await reader.readexactly(4)).hex() == "010a0004", "error 4, stamped with their highest"
        length = int.from_bytes(await reader.readexactly(4))
        await reader.readexactly(length - 8)
        writer.write(RESET_QUERY)
        await reader.readuntil(bytes.fromhex("010700020000001800000007"))
        assert struct.unpack("!III", await reader.readexactly(12)) == (300, 60, 7_200)
        writer.close()
        await served.close()

    run(scenario)


def test_a_rate_slows_one_client_and_nobody_else(run, serve, make_snapshot):
    async def scenario():
        served = serve(make_snapshot(10_000), client=(client("127.0.0.9/32", rate=Octets(400_000)),))
        reader, writer = await served.connect(local_addr=("127.0.0.9", 0))
        writer.write(RESET_QUERY)
        began = time.monotonic()
        slow = asyncio.create_task(reader.readexactly(8 + 10_000 * 20 + 32 + 33 + 24))
        assert len((await served.fetch()).snapshot) == 10_001
        assert not slow.done()
        await slow
        assert time.monotonic() - began > 0.25, "200 kB at 400 kB/s, 80 kB of them at once"
        writer.transport.abort()
        await served.close()

    run(scenario)


ASPAS = [Aspa(64496, (64497, 64498)), Aspa(64500, (64501,))]


@pytest.mark.parametrize("count", [0, 1, 5_000])
def test_the_older_layout_of_aspas(make_snapshot, count):
    data = make_snapshot(count) if count else Snapshot.empty()
    both = Snapshot.build(data.ipv4, data.ipv6, aspas=ASPAS, router_keys=data.router_keys)
    now = wire.encode_snapshot(both, 2)
    octets, more = draft10.to_draft10(now.octets)
    objects = len(now.octets) - (20 + 16)
    assert bytes(octets[:objects]) == bytes(now.octets[:objects]), "all else is as it was"
    assert octets[objects:].hex(" ", 4) == (
        "020b0000 00000018 01000002 0000fbf0 0000fbf1 0000fbf2 "
        "020b0000 00000018 01010002 0000fbf0 0000fbf1 0000fbf2 "
        "020b0000 00000014 01000001 0000fbf4 0000fbf5 "
        "020b0000 00000014 01010001 0000fbf4 0000fbf5"
    )
    assert more == 2


def test_withdrawals_in_the_older_layout():
    gone = wire.encode(Snapshot.empty(), Snapshot.build(aspas=ASPAS[:1]), 2)
    octets, more = draft10.to_draft10(gone.octets)
    assert octets.hex(" ", 4) == "020b0000 00000010 00000000 0000fbf0 020b0000 00000010 00010000 0000fbf0"
    assert more == 1


def test_an_aspa_of_too_many_providers_for_the_older_layout_is_left_out():
    payload = wire.encode_snapshot(Snapshot.build(aspas=[Aspa(1, tuple(range(2, 16_382)))]), 2)
    assert len(payload.octets) == 65_532
    assert draft10.to_draft10(payload.octets) == (b"", -1)


def test_the_older_layout_is_for_version_2_and_shared(serve, run, make_snapshot):
    async def scenario():
        served = serve(make_snapshot(3), client=(client("127.0.0.0/8", aspa_format="draft10"),))
        view = View(served.history, None, draft10=True)
        assert view.full(1) is served.history.full(1)
        assert view.full(2) is view.full(2), "converted once"
        assert view.full(2).count == served.history.full(2).count + 1
        assert view.timing() == served.history.timing()
        reader, writer = await served.connect()
        writer.write(b"\x02" + RESET_QUERY[1:])
        await reader.readuntil(bytes.fromhex("020b000000000014010000010000fbf00000fbf1"))
        writer.close()
        await served.close()

    run(scenario)
