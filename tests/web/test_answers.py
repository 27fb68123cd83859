"""Headers, codings and faults of answers; what is kept of large ones, and that the event loop never waits."""

import asyncio
import gzip
import json
import re
import sys
import time

import pytest
import zstandard

from rtr_server.threads import in_thread
from rtr_server.web import answers, vrps
from rtr_server.web.answers import Entry, Kitchen


@pytest.fixture
def made():
    """Make the answers of these names in turn; which of them had to be made."""
    kitchen, cooked = Kitchen(heavy=1, room=100), []

    def make(entry, octets):
        cooked.append(entry)
        yield bytes(octets)

    async def ask(*entries, octets):
        for entry in entries:
            assert len(await kitchen.get(entry, lambda entry=entry: make(entry, octets))) == octets

    def run(*entries, octets=1):
        cooked.clear()
        asyncio.run(ask(*entries, octets=octets))
        return list(cooked)

    return run


def entries(*numbers, generation=1):
    return [Entry(generation, number, "") for number in numbers]


def test_no_more_octets_are_kept_than_there_is_room_for(made):
    assert made(*entries(1, 2, 3), octets=40) == entries(1, 2, 3)
    assert made(*entries(3, 2, 1), octets=40) == entries(1)


def test_no_more_answers_are_kept_however_small(made, monkeypatch):
    monkeypatch.setattr(answers, "MAX_KEPT", 3)
    assert made(*entries(1, 2, 3, 1, 4)) == entries(1, 2, 3, 4)
    assert made(*entries(1, 3, 4, 2)) == entries(2)


def test_answers_of_an_older_set_are_forgotten_and_not_kept_any_more(made):
    made(*entries(1))
    newer = entries(1, generation=2)
    assert made(*newer, *entries(1), *newer) == [*newer, *entries(1)]


def test_the_loop_goes_on_before_the_thread_does():
    """A thread that has just begun must not have the interpreter before the loop gives it up."""
    began = []

    async def start():
        work = asyncio.ensure_future(in_thread(lambda: began.append(time.perf_counter())))
        await asyncio.sleep(0)  # the thread has been started
        went_on = time.perf_counter()
        await work
        return went_on

    interval = sys.getswitchinterval()
    sys.setswitchinterval(5.0)  # nobody takes the interpreter away
    try:
        assert asyncio.run(start()) < began[0]
    finally:
        sys.setswitchinterval(interval)


def test_what_is_wrong_far_down_is_told_by_its_place(small):
    rows = [{"asn": 1, "prefix": "192.0.2.0/24"}] * 2_000

    def wrong(row):
        body = json.dumps({"routes": [*rows, row, *rows]})
        body = body.replace('"nonsense"', "nonsense")
        found = small.client.post("/validity", content=body, headers={"Content-Type": "application/json"})
        return found.json(), body

    for row in ({"asn": 1}, {"asn": 1.5, "prefix": "::/0"}, {"asn": "x", "prefix": "::/0"}):
        found, _ = wrong(row)
        assert (found["status"], found["row"]) == (400, 2_000)
        assert found["detail"].startswith("routes[2000]: ")
    found, body = wrong({"asn": "nonsense"})
    place = int(re.search(r"\(byte (\d+)\)", found["detail"])[1])
    assert 0 <= place - body.index("nonsense") <= len("null"), "which it looks like at first"


def test_headers_in_several_lines(small):
    tag = small.client.get("/json").headers["etag"]
    lines = [("If-None-Match", '"other"'), ("If-None-Match", tag)]
    assert small.client.get("/json", headers=lines).status_code == 304
    lines = [("Accept-Encoding", "br"), ("Accept-Encoding", "zstd")]
    assert small.client.get("/csv", headers=lines).headers["content-encoding"] == "zstd"


def test_which_answers_scripts_of_other_pages_may_read(small):
    """The set and what follows from it, refusals too; nothing that tells of the network."""

    def shared(path):
        return small.client.get(path).headers.get("access-control-allow-origin") == "*"

    public = {f"/{form}" for form in (*vrps.FORMATS, "summary")}
    public |= {f"/api/v1/origins{path}" for path in public}
    public |= {"/validity?asn=1&prefix=::/0", "/validity", "/json?x=1", "/version", "/json-delta"}
    public |= {"/json-delta/notify", "/api/v1/validity/1/10.0.0.0/8", "/api/v1/validity/x/y"}
    private = {"/", "/status", "/api/v1/status", "/clients", "/metrics", "/readyz", "/rpki.json", "/nothing"}
    private |= {f"/api/v1/{name}" for name in ("sessions", "sources", "history", "openapi.json")}
    assert {path for path in public | private if shared(path)} == public


def test_content_codings(small):
    plain = small.client.get("/csv", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    for accepted, coding in (
        ("gzip", "gzip"),
        ("zstd, gzip", "zstd"),
        ("zstd;q=0, gzip", "gzip"),
        ("zstd;q=0.1, gzip;q=1.0", "gzip"),
        ("identity, gzip;q=0.5", None),
        ("gzip;q=0, *", "zstd"),
        ("br", None),
    ):
        with small.client.stream("GET", "/csv", headers={"Accept-Encoding": accepted}) as answer:
            assert answer.headers.get("content-encoding") == coding
            octets = b"".join(answer.iter_raw())
        if coding == "gzip":
            octets = gzip.decompress(octets)
        elif coding == "zstd":
            octets = zstandard.ZstdDecompressor().decompressobj().decompress(octets)
        assert octets == plain.content
