"""What time does to data: they expire, they grow old, and the clock itself is set."""

from __future__ import annotations

import json
import os
import re
import time

import pytest

from rov import archive
from tests.faults.conftest import GOOD, PATIENCE, replace, vrps


def expiring(at, count=10):
    """The good set, the first of its VRPs with a time of expiry."""
    document = json.loads(vrps())
    for row in document["roas"][:count]:
        row["expires"] = at
    return json.dumps(document).encode()


@pytest.mark.fault("clock set two hours ahead", "clock set back")
def test_clock_jumps(start, tmp_path):
    """What expires by a clock that is ahead goes, and is back with the right time; the rest stays."""
    file = tmp_path / "vrps.json"
    file.write_bytes(expiring(int(time.time()) + 3_600))
    daemon = start(f'[[source]]\ntype = "file"\npath = "{file}"\n')
    daemon.holds(GOOD)
    daemon.jump(7_200)
    daemon.logged("CLOCK: ours has jumped forwards .*seconds=7200")
    daemon.holds(GOOD - 10)
    daemon.jump(0)
    daemon.logged("CLOCK: ours has jumped backwards .*seconds=-7200")
    daemon.holds(GOOD)
    replace(file, vrps(GOOD + 1))
    daemon.holds(GOOD + 1)


@pytest.mark.fault("VRPs whose time has come")
def test_vrps_go_when_their_time_comes(start, tmp_path, case):
    """By themselves, not with the next file, all in one delta; the log and the record say why."""
    file = tmp_path / "vrps.json"
    due = int(time.time()) + 3_600
    file.write_bytes(expiring(due))
    state = f'[state]\ndirectory = "{tmp_path}/state"\n'
    daemon = start(f'{state}[[source]]\ntype = "file"\npath = "{file}"\n')
    daemon.holds(GOOD)
    daemon.jump(due - time.time() - 1)
    daemon.logged(case.pattern)
    assert daemon.held() == GOOD - 10
    history, until = archive.History(tmp_path / "state" / "history"), time.monotonic() + PATIENCE
    while "expired" not in (whys := [update.why for update in history.updates()]):
        assert time.monotonic() < until, whys
        time.sleep(0.05)
    *_, last = history.updates()
    assert last.time in range(due, due + 30)
    (change,) = history.changes("10.0.3.0/24")
    assert change.update == last
    assert [str(vrp) for vrp in change.withdrawn] == ["10.0.3.0/24-24 AS64499"]
    daemon.jump(0)
    daemon.holds(GOOD)


@pytest.mark.fault('data too old, `action = "close"`')
def test_stale_data_are_not_served_when_routers_shall_fail_over(start, tmp_path, case):
    file = tmp_path / "vrps.json"
    file.write_bytes(vrps())
    daemon = start(f'[stale]\nafter = "1h"\naction = "close"\n[[source]]\ntype = "file"\npath = "{file}"\n')
    daemon.holds(GOOD)
    since = len(daemon.log())
    replace(file, vrps(GOOD + 1, generated=int(time.time()) - 7_200))
    daemon.logged(case.pattern, since)
    assert daemon.has_no_data()
    replace(file, vrps(GOOD + 2))
    daemon.logged("data are fresh again", since)
    daemon.holds(GOOD + 2)


@pytest.mark.fault('data too old, `action = "withdraw"`')
def test_stale_data_are_withdrawn_and_come_back(start, tmp_path, case):
    """With a warning before; others that are too old are not served for a moment; the record tells it all."""
    file = tmp_path / "vrps.json"
    file.write_bytes(vrps())
    config = f'[state]\ndirectory = "{tmp_path}/state"\n[stale]\nafter = "1h"\naction = "withdraw"\n'
    daemon = start(f'{config}[[source]]\ntype = "file"\npath = "{file}"\n')
    daemon.holds(GOOD)
    replace(file, vrps(GOOD + 1, generated=int(time.time()) - 2_400))
    assert "then=withdraw" in daemon.logged("data are getting old")
    daemon.holds(GOOD + 1)
    replace(file, vrps(GOOD + 2, generated=int(time.time()) - 7_200))
    daemon.logged(case.pattern)
    daemon.holds(0)
    replace(file, vrps(GOOD + 3, generated=int(time.time()) - 7_000))
    daemon.logged("too old to be served")
    assert daemon.held() == 0
    replace(file, vrps(GOOD // 2))
    daemon.logged("UPDATE HELD")
    assert daemon.held() == 0, "the guard judges by what routers had"
    replace(file, vrps(GOOD + 4))
    daemon.holds(GOOD + 4)
    deadline = time.monotonic() + PATIENCE
    history = tmp_path / "state" / "history"
    while "stale data withdrawn" not in (each.why for each in archive.History(history).updates()):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.fault('data too old, `action = "exit"`')
def test_stale_data_end_the_daemon_where_that_is_wanted(start, tmp_path, case):
    file = tmp_path / "vrps.json"
    file.write_bytes(vrps(generated=int(time.time()) - 2_400))
    daemon = start(f'[stale]\nafter = "1h"\naction = "exit"\n[[source]]\ntype = "file"\npath = "{file}"\n')
    daemon.logged("data are getting old")
    pid = daemon.loader()
    replace(file, vrps(GOOD + 1, generated=int(time.time()) - 7_200))
    assert daemon.process.wait(PATIENCE) == 2
    assert re.search(case.pattern, daemon.log())
    assert daemon.log().splitlines()[-1] == "rtr-server: the data are too old: [stale] action is exit"
    assert not os.path.exists(f"/proc/{pid}")
