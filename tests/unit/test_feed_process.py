"""The loader process from the daemon's side: what it hands over, and what becomes of one that hangs."""

import asyncio
import json
import os
import signal
import sys
import time

import pytest

from rov import Snapshot
from rtr_server.cache import wire
from rtr_server.config.sources import (
    CommandSource,
    FileSource,
    Guard,
    Policy,
    Slurm,
    StaticSource,
    StaticVrp,
    Watch,
)
from rtr_server.config.values import Seconds, network
from rtr_server.feed import messages, pipeline, process
from rtr_server.feed.feed import FeedError
from rtr_server.feed.messages import Serving
from rtr_server.feed.process import ProcessFeed
from rtr_server.feed.settings import Settings
from rtr_server.threads import in_thread

PATIENCE = 240.0
"""Seconds for what should take some: the machines that run the tests are shared."""

HEADER = "ASN,IP Prefix,Max Length,Trust Anchor\n"
ROWS = ["AS64496,192.0.2.0/24,24,x\n", "AS64497,2001:db8::/32,48,x\n", "AS64498,198.51.100.0/24,24,x\n"]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "vrps.csv"
    path.write_text(HEADER + ROWS[0] + ROWS[1])
    return path


def replace(path, *rows):
    fresh = path.with_suffix(".fresh")
    fresh.write_text(HEADER + "".join(rows))
    os.replace(fresh, path)


def run(scenario, settings, directory, **options):
    """A feed with a real loader, and what a test does with it."""

    async def main():
        feed = ProcessFeed(settings, directory, **options)
        feed.start()
        try:
            await asyncio.wait_for(scenario(feed), PATIENCE)
        finally:
            await feed.close()
        assert feed.pid is None

    asyncio.run(main())


async def until(condition):
    while not condition():  # noqa: ASYNC110  # files have no event
        await asyncio.sleep(0.02)


async def next_set(feed):
    await feed.changed()
    return await in_thread(feed.load)


def test_a_set_comes_mapped_and_encoded_in_all_versions(file, tmp_path):
    async def scenario(feed):
        more = {}
        feed.encoded = lambda number, version, payload: more.update({version: payload})
        ready = await in_thread(feed.load)
        assert [str(vrp) for vrp in ready.snapshot.vrps()] == [
            "192.0.2.0/24-24 AS64496",
            "2001:db8::/32-48 AS64497",
        ]
        await until(lambda: len(more) == 2)
        for version, payload in {**ready.encoded, **more}.items():
            assert payload.octets == wire.encode_snapshot(ready.snapshot, version).octets
            assert payload.octets.readonly
        assert ready.sources == (str(file),)
        assert await in_thread(feed.load) is None, "nothing new"

    run(scenario, Settings((FileSource(path=file),)), tmp_path / "feed")


def test_losses_are_told_against_what_is_served(file, tmp_path):
    async def scenario(feed):
        ready = await in_thread(feed.load)
        assert ready.losses is None
        feed.serve(Serving(ready.path, 0, ready.number, (1,)))
        replace(file, ROWS[1], ROWS[2])
        losses = (await next_set(feed)).losses
        assert (losses.before, losses.withdrawn, losses.announced, losses.lost) == (2, 1, 1, 1)
        assert losses.trust_anchors == (("x", 2, 1, 1),)
        assert losses.watched == (("AS64496", 1, 1),)
        assert losses.sample == ("192.0.2.0/24-24 AS64496",)

    guard = Guard(watch=(Watch(asn=64496),))
    run(scenario, Settings((FileSource(path=file),), guard=guard), tmp_path / "feed")


def test_what_exceptions_take_out_is_counted_by_trust_anchor(file, tmp_path):
    filters = {"prefixFilters": [{"prefix": "192.0.2.0/24"}, {"asn": 64496}, {"asn": 64497}]}
    wanted = {"prefixAssertions": [{"prefix": "10.0.0.0/8", "asn": 1}]}
    empty = {"prefixAssertions": [], "bgpsecAssertions": []}
    (tmp_path / "slurm.json").write_text(
        json.dumps(
            {
                "slurmVersion": 1,
                "validationOutputFilters": {"bgpsecFilters": [], **filters},
                "locallyAddedAssertions": {**empty, **wanted},
            }
        )
    )

    async def scenario(feed):
        ready = await in_thread(feed.load)
        assert [vrp.asn for vrp in ready.snapshot.vrps()] == [1]
        assert ready.filtered == {"x": (1, 1)}

    settings = Settings((FileSource(path=file),), slurm=Slurm(files=(tmp_path / "slurm.json",)))
    run(scenario, settings, tmp_path / "feed")


def test_each_vrp_knows_its_sources(file, tmp_path):
    static = StaticSource(vrps=(StaticVrp(network("192.0.2.0/24"), 64496), StaticVrp(network("::/0"), 1, 8)))

    async def scenario(feed):
        ready = await in_thread(feed.load)
        assert [str(vrp) for vrp in ready.snapshot.vrps()] == [
            "192.0.2.0/24-24 AS64496",
            "::/0-8 AS1",
            "2001:db8::/32-48 AS64497",
        ]
        told = (await feed.ask(5, "192.0.2.0/25"))["vrps"]
        assert told == [{"vrp": "192.0.2.0/24-24 AS64496", "sources": [str(file), "static"], "served": None}]
        found = {each["name"]: each for each in (await feed.ask(5))["sources"]}
        assert found["static"]["only"] == {"count": 1, "vrps": ["::/0-8 AS1"]}
        assert found["static"]["lacks"] == {"count": 1, "vrps": ["2001:db8::/32-48 AS64497"]}

    run(scenario, Settings((FileSource(path=file), static), Policy("union")), tmp_path / "feed")


def test_a_killed_loader_is_replaced_and_goes_on_with_its_files(file, tmp_path, monkeypatch):
    monkeypatch.setattr(process, "RETRY", 0.01)

    async def scenario(feed):
        first = await in_thread(feed.load)
        os.kill(feed.pid, signal.SIGKILL)
        again = await next_set(feed)
        assert again.snapshot == first.snapshot
        assert again.number > first.number
        assert feed.restarts == 1
        replace(file, *ROWS)
        assert len((await next_set(feed)).snapshot) == 3

    run(scenario, Settings((FileSource(path=file),)), tmp_path / "feed")


def test_a_loader_that_stands_still_is_ended(file, tmp_path, monkeypatch, caplog):
    """It speaks every five seconds, so the shortest patience is a little more."""
    monkeypatch.setattr(process, "SILENCE", 7.0)
    monkeypatch.setattr(process, "TERM_WAIT", 0.2)

    async def scenario(feed):
        await in_thread(feed.load)
        os.kill(feed.pid, signal.SIGSTOP)
        assert len((await next_set(feed)).snapshot) == 2

    run(scenario, Settings((FileSource(path=file),)), tmp_path / "feed")
    failed = [each for each in caplog.records if each.getMessage() == "loader failed, the last set stays"]
    assert "silent for" in failed[0].fields["reason"]


def test_a_loader_that_cannot_be_started_is_said(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")

    async def scenario(feed):
        with pytest.raises(FeedError, match="cannot be started") as caught:
            await in_thread(feed.load)
        assert caught.value.temporary

    run(scenario, Settings((FileSource(path=tmp_path / "none"),)), tmp_path / "feed")


def test_an_answer_that_nobody_waits_for_any_more(file, tmp_path):
    async def scenario(feed):
        question = feed._questions[7] = asyncio.get_running_loop().create_future()
        question.cancel()
        feed._hear(messages.Answer(7, {}))
        feed._hear(messages.Answer(8, {}))
        assert feed.restarts == 0

    run(scenario, Settings((FileSource(path=file),)), tmp_path)


def test_a_missing_file_is_no_temporary_failure(tmp_path):
    async def scenario(feed):
        with pytest.raises(FeedError, match="No such file") as caught:
            await in_thread(feed.load)
        assert not caught.value.temporary

    run(scenario, Settings((FileSource(path=tmp_path / "none"),)), tmp_path / "feed")


def test_updates_are_recorded(file, tmp_path):
    from rov import archive

    async def scenario(feed):
        ready = await in_thread(feed.load)
        feed.serve(Serving(ready.path, 1_700_000_000, ready.number, (1,), 7, "a file", "at first"))
        await until(lambda: list((tmp_path / "history").glob("*.rovlog")))

    kept = (tmp_path / "history", 86_400, 1 << 20)
    run(scenario, Settings((FileSource(path=file),)), tmp_path / "feed", archive=kept)
    (update,) = archive.History(tmp_path / "history").updates()
    assert (update.serial, update.source, update.why) == (7, "a file", "at first")
    assert len(archive.History(tmp_path / "history").snapshot(at=1_700_000_000)) == 2


def test_other_sources_come_from_another_loader(file, tmp_path):
    static = StaticSource(vrps=(StaticVrp(network("::/0"), 1),))

    async def scenario(feed):
        await in_thread(feed.load)
        pid = feed.pid
        feed.take(Settings((static,)))
        assert [str(vrp) for vrp in (await next_set(feed)).snapshot.vrps()] == ["::/0-0 AS1"]
        assert feed.pid != pid
        assert feed.restarts == 0

    run(scenario, Settings((FileSource(path=file, lapse=Seconds(60)),)), tmp_path / "feed")


@pytest.mark.parametrize(
    "octets",
    [b"\xff\xff\xff\xff", b"\0\0\0\1\xc1", b"\0\0\0\3abc"],
    ids=["too long", "no msgpack", "no message"],
)
def test_octets_that_are_no_message(octets):
    async def scenario():
        reader = asyncio.StreamReader()
        reader.feed_data(octets)
        with pytest.raises(messages.ChannelError):
            await messages.receive(reader)

    asyncio.run(scenario())


def test_a_message_that_is_too_long_is_not_sent():
    with pytest.raises(messages.ChannelError, match="octets"):
        messages.encode(messages.Failed("x" * (messages.MAX_FRAME + 1), True))


def test_an_empty_set_is_never_handed_over(tmp_path):
    empty = tmp_path / "empty.csv"
    empty.write_text(HEADER)

    async def scenario(feed):
        with pytest.raises(FeedError, match="holds no VRPs"):
            await in_thread(feed.load)

    run(scenario, Settings((FileSource(path=empty),)), tmp_path / "feed")


def life(settings, directory, until_then=lambda told: True, clock=time.time):
    """What a pipeline in this process says up to its first set, and until something more is so."""

    async def main():
        told = []
        loader = pipeline.Pipeline(settings, directory, clock, told.append)
        running = asyncio.create_task(loader.run())
        try:
            async with asyncio.timeout(PATIENCE):
                await until(lambda: any(isinstance(each, messages.Prepared) for each in told))
                await until(lambda: until_then(told))
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        return [Snapshot.open(each.path) for each in told if isinstance(each, messages.Prepared)]

    return asyncio.run(main())


@pytest.fixture
def kept(file, tmp_path):
    """A directory in which an earlier loader kept the set of a file; and the settings."""
    settings, directory = Settings((FileSource(path=file),)), tmp_path / "feed"
    directory.mkdir()
    life(settings, directory, lambda _: list(directory.glob("source-*.state")))
    return settings, directory


def test_what_an_earlier_loader_kept_is_served_at_once(kept, monkeypatch):
    """A file that has not changed since brings no news, and nothing else may be waited for."""
    monkeypatch.setattr(pipeline, "TICK", 2 * PATIENCE)
    monkeypatch.setattr(pipeline, "RENEWAL", 2 * PATIENCE)
    assert [len(each) for each in life(*kept)] == [2]


def test_what_an_earlier_loader_kept_is_not_served_where_there_is_newer(kept, file, monkeypatch):
    """Routers would be taken back to it for a moment."""
    monkeypatch.setattr(pipeline, "TICK", 0.05)
    monkeypatch.setattr(pipeline, "RENEWAL", 2 * PATIENCE)
    replace(file, *ROWS)
    assert [len(each) for each in life(*kept)] == [3]


def test_a_program_that_is_not_due_is_not_waited_for_and_one_that_hangs_not_long(tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline, "TICK", 0.05)
    monkeypatch.setattr(pipeline, "RENEWAL", 2 * PATIENCE)
    rows = tmp_path / "rows"
    rows.write_text(HEADER + ROWS[0])
    script = f"cat {rows}; test ! -e {tmp_path}/hang || sleep 600"
    directory = tmp_path / "feed"
    directory.mkdir()
    settings = Settings((CommandSource(argv=("sh", "-c", script), interval=Seconds(1200.0)),))
    life(settings, directory, lambda _: list(directory.glob("source-*.state")))
    assert [len(each) for each in life(settings, directory)] == [1], "not due for twenty minutes"

    (tmp_path / "hang").touch()
    rows.write_text(HEADER + ROWS[0] + ROWS[1])
    monkeypatch.setattr(pipeline, "RENEWAL", 0.5)
    assert [len(each) for each in life(settings, directory, clock=lambda: time.time() + 1800)] == [1]


def test_a_source_that_fails_before_the_first_set_of_a_loader_is_told(file, tmp_path):
    """The set that the last loader kept, and then what is wrong with the source now."""
    settings, directory = Settings((FileSource(path=file),)), tmp_path / "feed"

    async def before(feed):
        assert len((await in_thread(feed.load)).snapshot) == 2
        await until(lambda: list(directory.glob("source-*.state")))

    async def after(feed):
        assert len((await in_thread(feed.load)).snapshot) == 2
        await feed.changed()
        with pytest.raises(FeedError, match="found an HTML page"):
            await in_thread(feed.load)

    run(before, settings, directory)
    file.with_suffix(".fresh").write_text("<html>")
    os.replace(file.with_suffix(".fresh"), file)
    run(after, settings, directory)


@pytest.mark.realdata
def test_two_real_sets_half_an_hour_apart(first_set, second_set, tmp_path, first_texts, second_texts):
    """Nine VRPs come and six go; ten thousand renewed times of expiry are no change."""
    current = tmp_path / "vrps.json.bz2"
    current.symlink_to(first_set)

    async def scenario(feed):
        first = await in_thread(feed.load)
        feed.serve(Serving(first.path, 0, first.number, (1,)))
        await feed.ask(0)  # answered in its turn: by now it compares with that
        fresh = tmp_path / "fresh"
        fresh.symlink_to(second_set)
        os.replace(fresh, current)
        second = await next_set(feed)
        assert (second.losses.withdrawn, second.losses.announced) == (6, 9)
        assert (len(first_texts - second_texts), len(second_texts - first_texts)) == (6, 9)
        assert len(second.snapshot) == len(second_texts)

    run(scenario, Settings((FileSource(path=current),)), tmp_path / "feed", ignore_expiry=True)
