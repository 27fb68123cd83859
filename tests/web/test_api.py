"""Our own paths: what they answer, and what they refuse."""

import time

import pytest

from rov import archive
from rtr_server.web.pages import past
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
    [
        "sessions?x=1",
        "sources?diff=x",
        "sources?diff=1001",
        "history?limit=0",
        "history?limit=1&limit=2",
        "history?asn=1",
        "history?prefix=x",
        "history?prefix=::/0&asn=x",
        "diff",
        "diff?from=x",
        "diff?from=-1",
        "diff?from=1&limit=10001",
        "openapi.json?x=1",
    ],
)
def test_bad_questions(small, path):
    answer = small.client.get(f"/api/v1/{path}")
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"


ROUTES = "prefix,origin\n10.0.0.0/8,1\n10.1.0.0/16,2\n192.0.2.0/24,3\n"
VRP_1 = {"prefix": "10.0.0.0/8", "max_length": 8, "asn": 1}
VRP_2 = {"prefix": "10.0.0.0/8", "max_length": 16, "asn": 2}


@pytest.fixture
def with_rib(run_daemon, tmp_path):
    (tmp_path / "rib.csv").write_text(ROUTES)
    first = vrp_set(("10.0.0.0/8", 8, 1))
    with run_daemon(first, {"http": {"rib": [str(tmp_path / "rib.csv")]}}) as running:
        running.until(lambda: running.daemon.rib.table is not None)
        yield running


def test_diff_between_serials(with_rib):
    get = with_rib.client.get
    one = with_rib.daemon.served.serial
    with_rib.load(vrp_set(("10.0.0.0/8", 8, 1), ("10.0.0.0/8", 16, 2)))
    with_rib.load(vrp_set(("10.0.0.0/8", 16, 2)))
    found = get(f"/api/v1/diff?from={one}").json()
    assert (found["from"], found["to"], found["vrps"]) == (one, one + 2, {"before": 1, "after": 1})
    assert (found["withdrawn"]["list"], found["announced"]["list"]) == ([VRP_1], [VRP_2])
    assert found["routes"]["matrix"] == {
        "not_found": {"not_found": 1, "valid": 0, "invalid": 0},
        "valid": {"not_found": 0, "valid": 0, "invalid": 1},
        "invalid": {"not_found": 0, "valid": 1, "invalid": 0},
    }
    assert found["routes"]["list"] == [
        {"prefix": "10.0.0.0/8", "origin": 1, "before": "valid", "after": "invalid", "causes": [VRP_1]},
        {"prefix": "10.1.0.0/16", "origin": 2, "before": "invalid", "after": "valid", "causes": [VRP_2]},
    ]
    found = get(f"/api/v1/diff?from={one}&to={one + 1}&limit=0").json()
    assert (found["announced"]["vrps"], found["announced"]["list"], found["routes"]["changed"]) == (1, [], 1)
    back = get(f"/api/v1/diff?from={one + 1}&to={one}").json()
    assert back["withdrawn"]["list"] == [VRP_2]
    same = get(f"/api/v1/diff?from={one + 2}").json()
    assert (same["withdrawn"]["vrps"], same["routes"]["changed"]) == (0, 0)
    assert get("/api/v1/diff?from=9").status_code == 404


def test_what_if(with_rib):
    def post(body, **arguments):
        return with_rib.client.post("/api/v1/what-if", content=body, params=arguments)

    found = post(b"ASN,IP Prefix,Max Length,Trust Anchor\nAS2,10.0.0.0/8,16,ripe\n").json()
    assert found["body"] == "Routinator CSV"
    assert [(row["prefix"], row["after"]) for row in found["routes"]["list"]] == [
        ("10.0.0.0/8", "invalid"),
        ("10.1.0.0/16", "valid"),
    ]
    added = b'{"slurmVersion":1,"validationOutputFilters":{"prefixFilters":[],"bgpsecFilters":[]},"locally'
    added += (
        b'AddedAssertions":{"prefixAssertions":[{"asn":3,"prefix":"192.0.2.0/24"}],"bgpsecAssertions":[]}}'
    )
    found = post(added, limit=1).json()
    assert (found["body"], found["vrps"]) == ("SLURM", {"before": 1, "after": 2})
    assert found["routes"]["matrix"]["not_found"]["valid"] == 1
    assert [row["causes"][0]["asn"] for row in found["routes"]["list"]] == [3]
    for body in (
        b"",
        b"nonsense",
        b"\x00" * 99,
        b'{"slurmVersion":9}',
        b'{"roas":[{"asn":"x"}]}',
        b"\x1f\x8bxx",
    ):
        answer = post(body)
        assert (answer.status_code, "expected VRPs or a SLURM file" in answer.text) == (400, True), body
    assert with_rib.client.get("/api/v1/what-if").status_code == 405


def test_what_if_without_a_rib(small):
    answer = small.client.post("/api/v1/what-if", content=b"")
    assert (answer.status_code, "[http] rib" in answer.json()["detail"]) == (503, True)


def test_history_of_a_route_since_the_start(run_daemon):
    with run_daemon(vrp_set(("10.0.0.0/8", 8, 1))) as running:
        running.load(vrp_set(("10.0.0.0/8", 8, 1), ("10.0.0.0/8", 16, 2)))
        running.load(vrp_set(("10.0.0.0/8", 16, 2), ("192.0.2.0/24", 24, 1)))
        get = running.client.get
        found = get("/api/v1/history?prefix=10.0.0.0/8").json()
        assert (found["archive"], found["covering"]) == (False, ["10.0.0.0/8-16 AS2"])
        assert [change["withdrawn"] for change in found["changes"]] == [["10.0.0.0/8-8 AS1"], []]
        found = get("/api/v1/history?prefix=10.0.0.0/8&asn=AS1").json()
        assert found["state"] == "invalid"
        assert [(change["before"], change["after"]) for change in found["changes"]] == [("valid", "invalid")]
        assert get("/api/v1/history?prefix=198.51.100.0/24&limit=1").json()["changes"] == []


def test_history_of_a_route_from_the_archive(run_daemon, tmp_path, monkeypatch):
    one, two = vrp_set(("10.0.0.0/8", 8, 1)), vrp_set(("10.0.0.0/8", 16, 2))
    now = int(time.time())
    with run_daemon(two, {"state": {"directory": str(tmp_path)}}) as running:
        get = running.client.get
        kept = archive.Archive(tmp_path / "history")
        for when, serial, snapshot in ((now - 900, 1, one), (now - 600, 2, two)):
            assert kept.append(snapshot, time=when, serial=serial, source="x.json")
        found = get("/api/v1/history?prefix=10.0.0.0/8&asn=1&days=1").json()
        assert (found["archive"], found["begins"], found["state"]) == (True, now - 900, "invalid")
        (change,) = found["changes"]
        assert (change["time"], change["serial"], change["before"]) == (now - 600, 2, "valid")
        monkeypatch.setattr(past, "WAIT", 0.0)
        answer = get("/api/v1/history?prefix=10.0.0.0/9")
        assert (answer.status_code, "archive cannot be read" in answer.json()["detail"]) == (503, True)
