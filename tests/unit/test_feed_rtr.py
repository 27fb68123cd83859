"""Another cache as a source: how long its word holds (RFC 8210 §6), by a clock that the test moves."""

import asyncio

from rtr_server.config.sources import RtrSource
from rtr_server.config.values import Seconds
from rtr_server.feed.tracked import Tracked

ONE_V4 = "0104000000000014 01181800 c0000200 0000fbf0"
BEGIN, END = "0103000700000008", "0107000700000018 0000000{serial} 00000e10 00000258 00001c20"
WITHDRAW_OTHER = "0104000000000014 00181800 c6336400 0000fbf0"
NOTIFY = "01000007 0000000c 00000006"

EXPIRE = 0x1C20
"""Seconds that End of Data tells."""


async def until(condition):
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  # an outcome has no event
            await asyncio.sleep(0.01)


def test_a_set_lapses_when_its_cache_has_not_confirmed_it_in_time(tmp_path):
    """The connection stays and is silent: nobody has noticed a failure."""
    clock, streams = [50_000.0], []

    async def answer(reader, writer):
        streams.append((reader, writer))
        await reader.readexactly(8)
        writer.write(bytes.fromhex(BEGIN + ONE_V4 + END.format(serial=5)))

    async def scenario():
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        source = RtrSource(host="127.0.0.1", port=port, version=1, lapse=Seconds(86_400))
        outcomes = []
        tracked = Tracked(source, tmp_path, lambda: clock[0], outcomes.append)
        running = asyncio.create_task(tracked.run())
        await until(lambda: outcomes)
        assert tracked.status(clock[0], in_use=True).state == "usable"
        clock[0] += EXPIRE - 1
        assert tracked.usable(clock[0])
        clock[0] += 1
        assert not tracked.usable(clock[0]), "RFC 8210 §6: not past the Expire interval"
        assert tracked.status(clock[0], in_use=False).state == "lapsed"

        (reader, writer) = streams[0]
        writer.write(bytes.fromhex(NOTIFY))
        await reader.readexactly(12)
        writer.write(bytes.fromhex(BEGIN + END.format(serial=6)))
        await until(lambda: len(outcomes) == 2)
        assert tracked.usable(clock[0]), "an End of Data confirms what has not changed"
        assert tracked.usable(clock[0] + EXPIRE - 1)
        assert not tracked.usable(clock[0] + EXPIRE)
        assert len(tracked.snapshot) == 1

        writer.close()
        await until(lambda: tracked.error is not None)
        assert tracked.usable(clock[0] + EXPIRE - 1), "a lost connection costs nothing before"
        assert not tracked.usable(clock[0] + EXPIRE)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        server.close()

    asyncio.run(scenario())


def test_after_a_response_that_does_not_fit_everything_is_asked_for(tmp_path, monkeypatch):
    """Or the same Serial Query would get the same response for as long as the cache keeps it."""
    monkeypatch.setattr("rtr_server.feed.rtr.RETRY_INTERVAL", 0.01)
    queries = []

    async def answer(reader, writer):
        queries.append((await reader.readexactly(8))[1])
        writer.write(bytes.fromhex(BEGIN + ONE_V4 + END.format(serial=5) + NOTIFY))
        await reader.readexactly(12)
        writer.write(bytes.fromhex(BEGIN + WITHDRAW_OTHER + END.format(serial=6)))
        await reader.read()
        writer.close()

    async def scenario():
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        source = RtrSource(host="127.0.0.1", port=server.sockets[0].getsockname()[1], version=1)
        errors = []
        tracked = Tracked(source, tmp_path, lambda: 0.0, lambda source: errors.append(source.error))
        running = asyncio.create_task(tracked.run())
        await until(lambda: len(queries) == 2)
        assert "withdrawn but unknown" in str(next(error for error in errors if error))
        assert len(tracked.snapshot) == 1
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        server.close()

    asyncio.run(scenario())
    assert queries == [2, 2], "Reset Query both times"
