"""Routinator's paths: recorded requests with the answers that its documentation and its source give."""

import gzip
import json
import socket
import threading
import time
from itertools import chain

import httpx
import msgspec
import pytest
import zstandard

import rov
from rov import NO_EXPIRY
from rtr_server.web import deltas
from rtr_server.web import status as status_page
from tests.web.conftest import SMALL, vrp_set

AS = "At least one VRP Covers the Route Prefix, but no VRP ASN matches the route origin ASN"
LENGTH = (
    "At least one VRP Covers the Route Prefix, but the Route Prefix length is greater than the maximum "
    "length allowed by VRP(s) matching this route origin ASN"
)
EXTREMES = (
    "0.0.0.0/0", "0.0.0.0/32", "255.255.255.255/32", "128.0.0.0/1",
    "::/0", "::/128", "::1/128", "::ffff:0:0/96", "::ffff:192.0.2.1/128", "2001:db8:0:1::/64",
    "1:0:0:2::/64", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128",
)  # fmt: skip
MANY = tuple(f"10.{high}.{low}.0/24" for high in range(36) for low in range(256))
"""More than are written at once."""

FORMATS = (
    "json", "jsonext", "csv", "csvcompat", "csvext", "openbgpd", "bird1", "bird2", "rpsl", "slurm", "slurm2",
)  # fmt: skip


def test_the_answer_of_the_documentation(small):
    """https://routinator.docs.nlnetlabs.nl, validity checker: the same set, the same question."""
    answer = small.client.get("/api/v1/validity/AS12654/93.175.147.0/24")
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert body.pop("generatedTime").endswith("Z")
    assert body == {
        "validated_route": {
            "route": {"origin_asn": "AS12654", "prefix": "93.175.147.0/24"},
            "validity": {
                "state": "invalid",
                "reason": "as",
                "description": AS,
                "VRPs": {
                    "matched": [],
                    "unmatched_as": [{"asn": "AS196615", "prefix": "93.175.147.0/24", "max_length": "24"}],
                    "unmatched_length": [],
                },
            },
        }
    }


@pytest.mark.parametrize(
    ("asn", "prefix", "state", "reason", "description"),
    [
        ("AS64496", "192.0.2.0/24", "valid", None, "At least one VRP Matches the Route Prefix"),
        ("64496", "192.0.2.77/26", "valid", None, "At least one VRP Matches the Route Prefix"),
        ("as64496", "192.0.2.0/27", "invalid", "length", LENGTH),
        ("64499", "192.0.2.0/27", "invalid", "length", LENGTH),
        ("64499", "192.0.2.0/25", "invalid", "as", AS),
        ("0", "198.51.100.0/24", "invalid", "as", AS),
        ("64496", "203.0.113.0/24", "not-found", None, "No VRP Covers the Route Prefix"),
        ("64496", "2001:db8::/48", "valid", None, "At least one VRP Matches the Route Prefix"),
    ],
)
def test_states(small, asn, prefix, state, reason, description):
    one = small.client.get(f"/api/v1/validity/{asn}/{prefix}").json()
    assert small.client.get("/validity", params={"asn": asn, "prefix": prefix}).json() == one
    validity = one["validated_route"]["validity"]
    assert (validity["state"], validity.get("reason"), validity["description"]) == (
        state,
        reason,
        description,
    )
    routes = {"routes": [{"asn": asn, "prefix": prefix}]}
    many = small.client.post("/validity", json=routes).json()
    assert many["validated_routes"] == [one["validated_route"]]
    assert many["generatedTime"] == one["generatedTime"]


def test_many_routes_in_order(small):
    asns = [64496 + number % 3 for number in range(1_001)]
    routes = [{"asn": f"AS{asn}", "prefix": "192.0.2.0/24"} for asn in asns]
    found = small.client.post("/validity", json={"routes": routes}).json()["validated_routes"]
    assert [each["route"]["origin_asn"] for each in found] == [f"AS{asn}" for asn in asns]
    assert [each["validity"]["state"] for each in found][:3] == ["valid", "valid", "invalid"]


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{}", {}, 415),
        (b"{}", {"Content-Type": "text/plain"}, 415),
        (b"{}", {"Content-Type": "application/json"}, 400),
        (b"[" * 100_000, {"Content-Type": "application/json"}, 400),
        (b"\xff", {"Content-Type": "application/json; charset=utf-8"}, 400),
        (b'{"routes":[{"asn":"AS-1","prefix":"::/0"}]}', {"Content-Type": "application/json"}, 400),
        (b'{"routes":[{"asn":1,"prefix":"nonsense"}]}', {"Content-Type": "application/json"}, 400),
        (b"x", {"Content-Type": "application/json", "Content-Encoding": "br"}, 415),
        (b"x", {"Content-Type": "application/json", "Content-Encoding": "gzip"}, 400),
        (
            gzip.compress(b"x", mtime=0)[:-4],
            {"Content-Type": "application/json", "Content-Encoding": "gzip"},
            400,
        ),
        (b"x", {"Content-Type": "application/json", "Content-Encoding": "zstd"}, 400),
    ],
)
def test_bad_bodies(small, body, headers, status):
    answer = small.client.post("/validity", content=body, headers=headers)
    assert (answer.status_code, len(answer.json()["detail"]) > 10) == (status, True)


def test_bodies_over_the_limit(run_daemon):
    head = {"Content-Type": "application/json"}
    with run_daemon(SMALL, {"http": {"max_body": "1KiB"}}) as running:
        post = running.client.post
        assert post("/validity", content=b" " * 1025, headers=head).status_code == 413
        pieces = (b" " * 100 for _ in range(100))
        assert post("/validity", content=pieces, headers=head).status_code == 413
        bomb = gzip.compress(b" " * 1_000_000)
        assert len(bomb) <= 1024
        coded = {**head, "Content-Encoding": "gzip"}
        assert post("/validity", content=bomb, headers=coded).status_code == 413
        coded = {**head, "Content-Encoding": "zstd"}
        bomb = zstandard.compress(b" " * 1_000_000)
        assert post("/validity", content=bomb, headers=coded).status_code == 413


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/validity/ASX/192.0.2.0/24",
        "/api/v1/validity/4294967296/192.0.2.0/24",
        "/api/v1/validity/1/192.0.2.0/33",
        "/api/v1/validity/1/192.0.2",
        "/api/v1/validity/1/192.0.2.0/255.255.255.0",
        "/api/v1/validity/1/192.0.2.0/0.0.0.255",
        "/api/v1/validity/1/::1%25eth0/64",
        "/api/v1/validity/1/192.0.2.0/24?x=1",
        "/validity",
        "/validity?asn=1",
        "/validity?asn=1&asn=2&prefix=::/0",
        "/validity?asn=1&prefix=::/0&more=1",
        "/json?nothing=1",
        "/json?select-asn=x",
        "/json?select-prefix=192.0.2.1/24",
        "/json?include=everything",
        "/json?exclude=everything",
        "/json-delta?session=1",
        "/json-delta?serial=1",
        "/json-delta?session=x&serial=1",
        "/json-delta?session=1&serial=4294967296",
        "/json-delta/notify?session=1",
        "/rpki.json?x=1",
        "/status?x=1",
        "/version?x=1",
        "/summary?x=1",
    ],
)
def test_bad_questions(small, path):
    answer = small.client.get(path)
    assert answer.status_code == 400
    assert answer.json()["detail"]


@pytest.mark.parametrize("path", ["/json", "/validity?asn=1&prefix=::/0", "/status", "/json-delta"])
def test_methods(small, path):
    assert small.client.head(path).status_code == 200
    assert small.client.head(path).content == b""
    assert small.client.put(path).status_code == 405
    assert small.client.delete(path).status_code == 405


def test_before_the_first_data(run_daemon):
    with run_daemon(rov_error()) as running:
        for path in (
            "/json",
            "/status",
            "/json-delta",
            "/validity?asn=1&prefix=::/0",
            "/rpki.json",
            "/summary",
        ):
            answer = running.client.get(path)
            assert answer.status_code == 503
            assert answer.json()["detail"] == "Initial validation ongoing. Please wait."


def rov_error():
    from rtr_server.feed.feed import FeedError

    return FeedError("down", temporary=True)


@pytest.mark.parametrize("form", FORMATS)
def test_formats_are_those_of_the_library(small, form):
    served = small.daemon.served
    for path in (f"/{form}", f"/api/v1/origins/{form}"):
        answer = small.client.get(path)
        assert answer.status_code == 200
        assert answer.content == b"".join(rov.encode(SMALL, form, "routinator", at=served.made))
    left = small.client.get(f"/{form}", params={"exclude": "routeOrigins,aspas"}).content
    assert left == b"".join(rov.encode(SMALL, form, "routinator", at=served.made, exclude=("vrps", "aspas")))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"select-asn": "AS64496"}, {"192.0.2.0/24 AS64496", "2001:db8::/32 AS64496"}),
        ({"filter-asn": "0"}, {"198.51.100.0/24 AS0"}),
        ({"select-prefix": "192.0.2.0/25"}, {"192.0.2.0/24 AS64496", "192.0.2.0/24 AS64497"}),
        ({"select-prefix": "192.0.0.0/16"}, set()),
        (
            {"select-prefix": "192.0.0.0/16", "include": "more-specifics"},
            {"192.0.2.0/24 AS64496", "192.0.2.0/24 AS64497"},
        ),
        (
            {"select-prefix": ["2001:db8:1::/48", "93.175.147.0/24"], "select-asn": "0"},
            {"2001:db8::/32 AS64496", "93.175.147.0/24 AS196615", "198.51.100.0/24 AS0"},
        ),
    ],
)
def test_selections(small, arguments, expected):
    roas = small.client.get("/json", params=arguments).json()["roas"]
    assert {f"{roa['prefix']} {roa['asn']}" for roa in roas} == expected
    assert all(roa["ta"] in ("ripe", "apnic") for roa in roas)


def test_a_selected_asn_brings_its_keys_and_aspas(small):
    found = small.client.get("/json", params={"select-asn": "64496"}).json()
    assert [len(found[part]) for part in ("roas", "routerKeys", "aspas")] == [2, 1, 1]


def test_conditional_requests(small):
    first = small.client.get("/json")
    tag, modified = first.headers["etag"], first.headers["last-modified"]
    served = small.daemon.served
    assert tag.removeprefix("W/") == f'"{served.session:x}-{served.serial}"'
    for headers, status in (
        ({"If-None-Match": tag}, 304),
        ({"If-None-Match": f'"x", {tag}'}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": '"x"'}, 200),
        ({"If-None-Match": '"x"', "If-Modified-Since": modified}, 200),
        ({"If-Modified-Since": modified}, 304),
        ({"If-Modified-Since": "Sat, 01 Jan 2000 00:00:00 GMT"}, 200),
        ({"If-Modified-Since": "nonsense"}, 200),
    ):
        answer = small.client.get("/json", headers=headers)
        assert (answer.status_code, answer.headers["etag"]) == (status, tag)
        assert (answer.content == b"") == (status == 304)


def test_what_exceptions_took_out_is_on_the_status_page(small, monkeypatch):
    """By trust anchor; vrps are before the exceptions, final-vrps after them."""
    monkeypatch.setattr(status_page, "filtered", lambda _: {"ripe": (5, 1), "gone": (0, 7)})
    page = small.client.get("/status").text.splitlines()
    lines = dict(line.split(": ", 1) for line in page if ": " in line)
    assert lines["vrps"] == "18"
    assert lines["vrps-per-tal"] == "ripe=9 gone=7 apnic=2 "
    assert lines["locally-filtered-vrps-per-tal"] == "ripe=6 gone=7 apnic=0 "
    assert lines["duplicate-vrps-per-tal"] == "ripe=0 gone=0 apnic=0 "
    assert lines["final-vrps-per-tal"] == "ripe=3 gone=0 apnic=2 "


def test_the_set_without_the_name_of_a_format_is_json(small):
    path = "/api/v1/origins/?select-asn=64497"
    assert small.client.get(path).json() == small.client.get("/json?select-asn=64497").json()


def test_summary_status_version_clients(small):
    lines = small.client.get("/summary").text.splitlines()
    assert lines[0].endswith(" UTC")
    assert "            VRPs:       5 verified,       5 final;" in lines
    status = dict(line.split(":", 1) for line in small.client.get("/status").text.splitlines() if ":" in line)
    assert status["vrps"].strip() == "5"
    assert status["vrps-per-tal"].split() == ["ripe=3", "apnic=2"]
    assert status["final-vrps"].strip() == "5"
    found = small.client.get("/api/v1/status").json()
    assert found["serial"] == small.daemon.served.serial
    assert found["payload"]["routeOriginsIPv4"]["final"] == 4
    assert found["tals"]["ripe"]["vrpsFinal"] == 3
    assert found["rib"] is None
    http = found["http"]
    assert http["currentConnections"] == 1
    assert http["totalConnections"] >= 1 < http["requests"]
    assert http["bytesRead"] > 100 < http["bytesWritten"]
    assert status["http-requests"].strip().isdecimal()
    assert small.client.get("/version").text == found["version"].split("/")[1]
    with socket.create_connection(tuple(small.cache.endpoints[0])) as router:
        small.until(lambda: small.cache._server.connections)
        host, port = router.getsockname()
        assert small.client.get("/clients").json() == [f"{host}:{port}"]
        assert small.client.get("/api/v1/status").json()["rtr"]["currentConnections"] == 1


def test_rpki_json_of_stayrtr(small):
    found = small.client.get("/rpki.json").json()
    assert found["metadata"]["vrps"] == 5
    assert found["metadata"]["serial"] == small.daemon.served.serial
    assert {(roa["prefix"], roa["maxLength"], roa["asn"], roa["ta"]) for roa in found["roas"]} >= {
        ("93.175.147.0/24", 24, 196615, "ripe"),
        ("2001:db8::/32", 48, 64496, "ripe"),
    }
    assert found["bgpsec_keys"][0]["ski"] == bytes(range(20)).hex().upper()
    assert rov.read_bytes(json.dumps(found).encode(), "x").snapshot.ipv4.asn.tolist()


def row(asn, expires=NO_EXPIRY):
    return ("10.0.0.0/8", 8, asn, expires)


def test_json_delta(run_daemon):
    with run_daemon(vrp_set(row(1), row(2))) as running:
        get = running.client.get
        everything = get("/json-delta").json()
        assert (everything["reset"], "withdrawn" in everything, "fromSerial" in everything) == (
            True,
            False,
            False,
        )
        session, serial = everything["session"], everything["serial"]
        assert isinstance(session, str)
        assert len(everything["announced"]) == 2
        known = {"session": session, "serial": serial}
        same = get("/json-delta", params=known).json()
        assert (same["announced"], same["withdrawn"], same["fromSerial"]) == ([], [], serial)
        running.load(vrp_set(row(2), row(3)))
        changed = get("/json-delta", params=known).json()
        assert (changed["reset"], changed["fromSerial"], changed["serial"]) == (False, serial, serial + 1)
        assert changed["announced"] == [
            {"type": "routeOrigin", "asn": "AS3", "prefix": "10.0.0.0/8", "maxLength": 8}
        ]
        assert [each["asn"] for each in changed["withdrawn"]] == ["AS1"]
        for stranger in (
            {"session": 1, "serial": serial},
            {"session": session, "serial": (serial + 9) % 2**32},
        ):
            assert get("/json-delta", params=stranger).json()["reset"] is True


def element(vrp):
    """A VRP as an element of /json-delta."""
    return {
        "type": "routeOrigin",
        "asn": f"AS{vrp.asn}",
        "prefix": str(vrp.prefix),
        "maxLength": vrp.max_length,
    }


@pytest.mark.parametrize("others", [{}, {"aspas": SMALL.aspas, "router_keys": SMALL.router_keys}])
@pytest.mark.parametrize("prefixes", [(), MANY, EXTREMES, ("::/0",), ("0.0.0.0/0",)])
def test_json_delta_octet_by_octet(prefixes, others):
    each = map(rov.Prefix.parse, prefixes)
    vrps = [
        ((str(one), one.length, 0), (str(one), 32 if one.family == 4 else 128, 2**32 - 1)) for one in each
    ]
    snapshot = vrp_set(*chain.from_iterable(vrps), **others)
    keys = [
        {"type": "routerKey", "keyIdentifier": key.ski.hex().upper(), "asn": "AS64496", "keyInfo": "MFkwEw"}
        for key in snapshot.router_keys
    ]
    aspas = [
        {"type": "aspa", "customerAsn": "AS64496", "providerAsns": ["AS64499", "AS64511"]}
        for _ in snapshot.aspas
    ]
    wanted = [*map(element, snapshot.vrps()), *keys, *aspas]
    assert b"[" + b"".join(deltas._elements(snapshot)) + b"]" == msgspec.json.encode(wanted)


def test_the_long_poll_is_answered_by_news(run_daemon):
    with run_daemon(vrp_set(row(1))) as running:
        served = running.daemon.served
        known = {"session": served.session, "serial": served.serial}
        found = {}

        def wait():
            found["answer"] = httpx.get(
                f"{running.url}json-delta/notify", params=known, timeout=60, trust_env=False
            ).json()

        waiting = threading.Thread(target=wait)
        waiting.start()
        running.until(lambda: running.cache.http._web.app.current == 1)
        assert "answer" not in found
        running.load(vrp_set(row(2)))
        waiting.join(60)
        assert found["answer"] == {"session": served.session, "serial": served.serial + 1}
        other = {"session": served.session, "serial": 0}
        assert running.client.get("/json-delta/notify", params=other).json()["serial"] == served.serial + 1


def test_renewed_times_of_expiry_change_what_states_them(run_daemon):
    soon = int(time.time()) + 86_400
    with run_daemon(vrp_set(row(1, soon))) as running:
        get = running.client.get
        before = {path: get(path) for path in ("/csv", "/csvext", "/rpki.json")}
        running.load(vrp_set(row(1, soon + 60)))
        after = {
            path: get(path, headers={"If-None-Match": answer.headers["etag"]}).status_code
            for path, answer in before.items()
        }
        assert after == {"/csv": 304, "/csvext": 200, "/rpki.json": 200}
