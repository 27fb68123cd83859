"""POST /api/v1/validity: forms negotiated, bodies as they come, what is wrong with them, limits."""

import gzip
import json
import socket
import threading

import msgpack
import pyarrow as pa
import pytest
import zstandard

from rov import VrpIndex
from rov.bulk import FORMS, Validator
from rtr_server.web.bulk import NAMES
from tests.web.conftest import SMALL

PATH = "/api/v1/validity"
ROUTES = [("192.0.2.0/24", 64496), ("192.0.2.0/27", 64496), ("2001:db8::/48", 1), ("203.0.113.0/24", 0)]
LINES = b"".join(json.dumps({"prefix": p, "origin": o}).encode() + b"\n" for p, o in ROUTES)
STATES = ["valid", "invalid", "invalid", "not_found"]


def bodies():
    table = pa.table({"prefix": [p for p, _ in ROUTES], "origin": [o for _, o in ROUTES]})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return {
        "ndjson": LINES,
        "msgpack": msgpack.packb([list(route) for route in ROUTES]),
        "arrow": sink.getvalue().to_pybytes(),
    }


def head(octets):
    lines = (
        f"POST {PATH} HTTP/1.1",
        "Host: x",
        f"Content-Type: {NAMES['ndjson']}",
        f"Content-Length: {octets}",
    )
    return "\r\n".join((*lines, "", "")).encode()


def post(running, body, form="ndjson", **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return running.client.post(PATH, content=body, headers={"Content-Type": NAMES[form], **named})


@pytest.mark.parametrize("writes", FORMS)
@pytest.mark.parametrize("reads", FORMS)
def test_forms_in_and_out(small, reads, writes):
    validator = Validator(VrpIndex(SMALL), reads, writes)
    body = bodies()[reads]
    answer = post(small, body, reads, Accept=NAMES[writes])
    assert (answer.status_code, answer.headers["content-type"]) == (200, NAMES[writes])
    assert answer.content == validator.feed(body) + validator.end()
    assert int(answer.headers["content-length"]) == len(answer.content)


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("*/*", "msgpack"),
        ("application/*;q=0.5, text/html", "msgpack"),
        ("application/x-ndjson;q=0.4, application/vnd.apache.arrow.stream;q=0.5", "arrow"),
        ("application/msgpack;q=0, */*;q=0.1", "ndjson"),
        ("application/jsonl", "ndjson"),
    ],
)
def test_accept(small, accept, form):
    answer = post(small, msgpack.packb(list(ROUTES[0])), "msgpack", Accept=accept)
    assert (answer.status_code, answer.headers["content-type"]) == (200, NAMES[form])


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_bodies_that_are_packed_and_long(small, pack):
    body = LINES * 30_000
    answer = post(
        small, pack(body), Content_Encoding=pack.__module__.split(".")[0].replace("zstandard", "zstd")
    )
    assert answer.status_code == 200
    found = [json.loads(line)["state"] for line in answer.content.splitlines()]
    assert len(answer.content) > 8 << 20
    assert found == STATES * 30_000


@pytest.mark.parametrize(
    ("body", "headers", "status", "row"),
    [
        (LINES, {"Content-Type": "text/plain"}, 415, None),
        (LINES, {"Content-Type": "application/json"}, 415, None),
        (LINES, {"Content-Encoding": "br"}, 415, None),
        (LINES, {"Accept": "text/html"}, 406, None),
        (LINES, {"Accept": "application/x-ndjson;q=x"}, 406, None),
        (LINES, {"Content-Encoding": "gzip"}, 400, None),
        (gzip.compress(LINES, mtime=0)[:-9], {"Content-Encoding": "gzip"}, 400, None),
        (LINES + b"{}\n", {}, 400, 4),
        (LINES * 20_000 + b'{"prefix":"192.0.2.1/24","origin":1}', {}, 400, 80_000),
        (b"\xc1", {"Content-Type": "application/msgpack"}, 400, 0),
        (b"ARROW1", {"Content-Type": NAMES["arrow"]}, 400, 0),
    ],
)
def test_what_is_wrong_gets_a_problem(small, body, headers, status, row):
    answer = small.client.post(PATH, content=body, headers={"Content-Type": NAMES["ndjson"], **headers})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["status"], problem.get("row")) == (status, row)
    assert len(problem["detail"]) > 10
    if row is not None:
        assert problem["detail"].startswith(f"row {row}: ")


def test_limits(run_daemon):
    with run_daemon(SMALL, {"http": {"max_body": "4KiB", "uploads": 1, "stall": "500ms"}}) as running:
        assert post(running, LINES * 100).status_code == 413
        pieces = (LINES for _ in range(100))
        assert post(running, pieces).status_code == 413
        assert post(running, gzip.compress(LINES * 1000), Content_Encoding="gzip").status_code == 413
        assert post(running, zstandard.compress(LINES * 1000), Content_Encoding="zstd").status_code == 413
        with socket.create_connection(running.address, timeout=30) as slow:
            slow.sendall(head(99) + LINES[:20])
            running.until(lambda: running.cache.http._web.app.current == 1)
            answer = post(running, LINES)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
            assert slow.recv(1000) == b""
        running.until(lambda: running.cache.http._web.app.current == 0)
        assert running.cache.http._web.app._traffic.timeouts["stall"] == 1
        assert post(running, LINES).status_code == 200


def test_clients_that_do_not_read_are_cut_off(run_daemon):
    with run_daemon(SMALL, {"http": {"stall": "500ms"}}) as running:
        body = LINES * 100_000
        with socket.create_connection(running.address, timeout=30) as deaf:
            deaf.sendall(head(len(body)) + body)
            running.until(lambda: running.cache.http._web.app._traffic.timeouts["answer"] == 1)
        assert post(running, LINES).status_code == 200


def test_many_at_once(small):
    found = []

    def ask():
        found.append([json.loads(line)["state"] for line in post(small, LINES * 5_000).content.splitlines()])

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [STATES * 5_000] * 8
