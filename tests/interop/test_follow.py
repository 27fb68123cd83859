"""`rtr-server dump --follow` beside a real daemon: each change once, over a restart, in both forms."""

import json
import signal
import sys

import pytest

from tests.interop.processes import Process, wait_until

KEPT, OLD, NEW, THIRD = (f"192.0.2.{16 * row}/28-28 AS{64496 + row}" for row in range(4))
FIRST, SECOND, LAST = {KEPT, OLD}, {KEPT, NEW}, {KEPT, THIRD}
TIMERS = ["--refresh", "1", "--retry", "1"]


class Follower(Process):
    """The command; standard output apart from what it says beside."""

    def __init__(self, port, directory, *options):
        self.out = directory / "changes"
        command = [sys.executable, "-m", "rtr_server", "dump", f"127.0.0.1:{port}", "--follow", *options]
        words = ["sh", "-c", 'exec "$@" > "$0"', str(self.out), *command]
        super().__init__(words, directory / "follower.log")

    def lines(self):
        return self.out.read_text().splitlines()

    def said(self, words):
        self.running()
        return words in self.log.read_text()


@pytest.fixture
def follow(tmp_path):
    started = []

    def start(port, *options):
        started.append(Follower(port, tmp_path, *options))
        wait_until(lambda: started[-1].said("2 announced, 0 withdrawn, by a full set"), "the first set")
        return started[-1]

    yield start
    for follower in started:
        if follower.popen.poll() is None:
            follower.kill()


def change_of(old, new):
    return [f"- {vrp}" for vrp in sorted(old - new)] + [f"+ {vrp}" for vrp in sorted(new - old)]


def test_changes_before_and_after_a_restart(start_cache, vrp_file, follow, tmp_path):
    cache = start_cache(vrp_file(FIRST), "-v", "--state-dir", str(tmp_path / "state"), *TIMERS)
    follower = follow(cache.port)
    cache.replace(vrp_file(SECOND))
    wait_until(lambda: len(follower.lines()) >= 2, "the change")
    assert follower.lines() == change_of(FIRST, SECOND)

    cache.kill()
    wait_until(lambda: follower.said("again in"), "it says that the connection ended")
    cache.replace(vrp_file(LAST))
    before = len(cache.log.read_text())
    cache.start()
    wait_until(lambda: len(follower.lines()) >= 4, "the change behind the restart")
    assert follower.lines() == change_of(FIRST, SECOND) + change_of(SECOND, LAST)
    log = cache.log.read_text()[before:]
    assert "kind=diff" in log, "the session went on"
    assert "kind=full" not in log

    follower.popen.send_signal(signal.SIGINT)
    assert follower.popen.wait(20) == 130
    assert "Traceback" not in follower.log.read_text()


def test_json_and_a_cache_that_has_forgotten(start_cache, vrp_file, follow):
    cache = start_cache(vrp_file(FIRST), *TIMERS)
    follower = follow(cache.port, "--json", "--rtr-version", "1")
    cache.kill()
    cache.replace(vrp_file(SECOND))
    cache.start()
    wait_until(lambda: follower.lines(), "the difference to the set of before")
    step = json.loads(follower.lines()[0])
    assert (step["version"], step["full"]) == (1, True)
    assert step["announced"]["roas"] == [{"asn": 64498, "prefix": "192.0.2.32/28", "maxLength": 28}]
    assert step["withdrawn"]["roas"] == [{"asn": 64497, "prefix": "192.0.2.16/28", "maxLength": 28}]
    assert len(follower.lines()) == 1
