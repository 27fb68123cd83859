"""Programs as sources: what they may do, and what becomes of those that do otherwise."""

import asyncio
import sys
import time

import pytest

from rtr_server.config.sources import CommandSource
from rtr_server.config.values import Octets, Seconds
from rtr_server.feed import command
from rtr_server.feed.command import CommandFeed
from rtr_server.feed.feed import FeedError
from tests.pids import runs

CSV = "ASN,IP Prefix,Max Length,Trust Anchor\\nAS64496,192.0.2.0/24,24,x\\n"


def feed(code, **options):
    return CommandFeed(CommandSource(argv=(sys.executable, "-c", code), **options), clock=time.time)


def fails(match, code, **options):
    with pytest.raises(FeedError, match=match) as caught:
        asyncio.run(feed(code, **options).next())
    return caught.value


def test_what_it_writes_is_read():
    loaded = asyncio.run(feed(f"print('{CSV}', end='')").next())
    assert [str(vrp) for vrp in loaded.snapshot.vrps()] == ["192.0.2.0/24-24 AS64496"]
    assert abs(loaded.as_of - time.time()) < 60


def test_the_file_it_leaves_is_read(tmp_path):
    file = tmp_path / "vrps.csv"
    code = f"open({str(file)!r}, 'w').write('{CSV}')"
    assert len(asyncio.run(feed(code, output=file).next()).snapshot) == 1
    fails("not written by this run", "pass", output=file)


def test_failures_are_told_with_the_last_words():
    error = fails(
        "exit code 3: no trust anchors",
        "import sys; sys.stderr.write('no trust anchors'); sys.exit(3)",
    )
    assert error.temporary
    fails("cannot be run", "", env={"A\0": "x"})
    fails("more than 2,000 octets", "print('x' * 5000)", max_octets=Octets(2_000))
    fails("found text", "print('nothing of use')")


def test_it_is_told_nothing_of_our_environment(monkeypatch):
    monkeypatch.setenv("SECRET", "x")
    code = "import os; assert 'SECRET' not in os.environ and os.environ['MINE'] == '1'; "
    asyncio.run(feed(code + f"print('{CSV}', end='')", env={"MINE": "1"}).next())


def test_out_of_time_it_is_killed_with_its_children(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "TERM_SECONDS", 0.2)
    pids = tmp_path / "pids"
    code = (
        "import os, signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); "
        f"open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}'); time.sleep(600)"
    )
    fails("not done in 2s", code, timeout=Seconds(2))
    until = time.monotonic() + 30
    for pid in pids.read_text().split():
        while runs(pid):
            assert time.monotonic() < until
            time.sleep(0.02)


def test_a_later_feed_waits_until_it_is_due(monkeypatch):
    first = feed(f"print('{CSV}', end='')")
    asyncio.run(first.next())
    later = feed(f"print('{CSV}', end='')", interval=Seconds(3_600))
    later.resume(first.remember())

    async def scenario():
        waiting = asyncio.create_task(later.next())
        await asyncio.sleep(0.3)
        assert not waiting.done()
        later.reload()
        assert len((await asyncio.wait_for(waiting, 30)).snapshot) == 1

    asyncio.run(scenario())
