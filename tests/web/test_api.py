"""Our own paths: what they answer, and what they refuse."""

import pytest

from tests.web.conftest import vrp_set


def test_sessions_and_sources(small):
    found = small.client.get("/api/v1/sessions").json()
    assert (found["serial"], found["sessions"]) == (small.daemon.served.serial, [])
    found = small.client.get("/api/v1/sources").json()
    assert found["sources"] == [{"name": "test feed", "state": "usable"}]
    assert found["update"] == {"held": None, "holds": 0}


def test_history(run_daemon):
    with run_daemon(vrp_set(("10.0.0.0/8", 8, 1), ("10.0.0.0/8", 8, 2))) as running:
        running.load(vrp_set(("10.0.0.0/8", 8, 2)))
        newest, first = running.client.get("/api/v1/history").json()["updates"]
        assert (newest["serial"], newest["why"], newest["vrps"]) == (first["serial"] + 1, "set loaded", 1)
        assert newest["withdrawn"] == {"vrps": 1, "aspas": 0, "router_keys": 0}
        assert first["announced"]["vrps"] == 2
        assert running.client.get("/api/v1/history?limit=1").json()["updates"] == [newest]


@pytest.mark.parametrize(
    "path",
    ["sessions?x=1", "sources?diff=x", "sources?diff=1001", "history?limit=0", "history?limit=1&limit=2"],
)
def test_bad_questions(small, path):
    answer = small.client.get(f"/api/v1/{path}")
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
