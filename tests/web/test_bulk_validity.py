"""POST /api/v1/validity: forms negotiated, bodies as they come, what is wrong with them, limits."""

import gzip
import http.client
import json
import socket
import threading
import time

import msgpack
import pyarrow as pa
import pytest
import zstandard

from rov import VrpIndex
from rov.bulk import FORMS, Validator
from rtr_server.web import bulk, spool
from rtr_server.web.bodies import PAUSE
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
        (LINES * 2_000 + b'{"prefix":"192.0.2.1/24","origin":1}', {}, 400, 8_000),
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


class Talk:
    """A client that sends a body piece by piece, and reads the answer when it likes."""

    def __init__(self, running, form="ndjson", version="1.1", length=None):
        self.socket = socket.create_connection(running.address, timeout=30)
        self._chunked = length is None
        size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
        lines = f"POST {PATH} HTTP/{version}", "Host: x", f"Content-Type: {NAMES[form]}", size
        self.socket.sendall("\r\n".join((*lines, "", "")).encode())
        self.answer = http.client.HTTPResponse(self.socket, method="POST")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.answer.close()
        self.socket.close()

    def send(self, octets=b""):
        """Some of the body; without octets: its end."""
        framed = b"%x\r\n%s\r\n" % (len(octets), octets) if self._chunked else octets
        self.socket.sendall(framed)

    def states(self, count):
        """Of so many rows of NDJSON that have to come."""
        return [json.loads(self.answer.readline())["state"] for _ in range(count)]


def test_answers_come_while_the_body_is_sent(small):
    with Talk(small) as talk:
        for _ in range(3):
            talk.send(LINES)
            if talk.answer.headers is None:
                talk.answer.begin()
                assert (talk.answer.status, talk.answer.chunked) == (200, True)
            assert talk.states(4) == STATES
        talk.send(LINES)
        talk.send()
        assert [json.loads(line)["state"] for line in talk.answer.read().splitlines()] == STATES


@pytest.mark.parametrize("form", ["ndjson", "msgpack", "arrow"])
def test_what_is_wrong_after_the_answer_has_begun(small, caplog, form):
    """The rows before it are there, the last one tells it, and the answer does not look complete."""
    caplog.set_level("INFO", "rtr_server.web.bulk")
    body = bodies()[form] if form != "msgpack" else b"".join(msgpack.packb(list(route)) for route in ROUTES)
    with Talk(small, form) as talk:
        whole = body[:-8] if form == "arrow" else body
        talk.send(whole)
        talk.answer.begin()
        talk.send({"ndjson": b"{}\n", "msgpack": b"\xc1", "arrow": b"no message of Arrow"}[form])
        talk.send(b"x" * 100_000)  # is passed over
        with pytest.raises(http.client.IncompleteRead) as cut:
            talk.answer.read()
        found = cut.value.partial
        told = {"type": "about:blank", "title": "Bad Request", "status": 400, "row": 4}
        if form == "arrow":
            reader = pa.ipc.open_stream(found)
            assert reader.read_next_batch().column("state").to_pylist() == STATES
            with pytest.raises(pa.ArrowInvalid, match="Expected to read"):
                reader.read_next_batch()
        else:
            unpacked = map(json.loads, found.splitlines()) if form == "ndjson" else packed_rows(found)
            *rows, last = unpacked
            assert [row["state"] for row in rows] == STATES
            detail = last["problem"].pop("detail")
            assert detail.startswith("row 4: expected")
            assert last["problem"].pop("error") == detail
            assert last == {"problem": told}
        said = [record.fields for record in caplog.records if record.getMessage() == "answer cut off"]
        assert [(each["row"], each["status"]) for each in said] == [(4, 400)]


def packed_rows(octets):
    unpacker = msgpack.Unpacker()
    unpacker.feed(octets)
    return unpacker


def test_http_1_0_has_no_way_to_cut_an_answer(small):
    body = LINES + b"{}\n"
    with Talk(small, version="1.0", length=len(body)) as talk:
        talk.send(LINES)
        small.until(lambda: small.cache.http._web.app.current == 1)
        time.sleep(2 * PAUSE)
        talk.send(b"{}\n")
        talk.answer.begin()
        assert (talk.answer.status, json.loads(talk.answer.read())["row"]) == (400, 4)


def test_too_large_a_body_after_the_answer_has_begun(run_daemon):
    http_limits = {"max_body": "1KiB", "stall": "500ms"}
    with run_daemon(SMALL, {"http": http_limits}) as running, Talk(running) as talk:
        talk.send(LINES)
        talk.answer.begin()
        talk.send(LINES * 10)
        with pytest.raises(http.client.IncompleteRead) as cut:
            talk.answer.read()
        assert json.loads(cut.value.partial.splitlines()[-1])["problem"]["status"] == 413


def test_who_reads_when_all_is_sent_gets_all(run_daemon, monkeypatch):
    """Nothing is stuck: the answer waits in a file, and the client is not cut off while it sends."""
    monkeypatch.setattr(spool, "IN_MEMORY", 1 << 20)
    with run_daemon(SMALL, {"http": {"stall": "1s"}}) as running:
        body = LINES * 50_000
        with Talk(running, length=len(body)) as talk:
            for at in range(0, len(body), 1 << 20):
                talk.send(body[at : at + (1 << 20)])
                time.sleep(0.25)
            talk.answer.begin()
            found = talk.answer.read()
            assert [json.loads(line)["state"] for line in found.splitlines()] == STATES * 50_000


def test_who_never_reads_is_waited_for_and_then_cut_off(run_daemon, monkeypatch):
    """What is not taken is bounded: no more of the body is, until the client reads."""
    monkeypatch.setattr(bulk, "SPOOLED", 0.01)
    with run_daemon(SMALL, {"http": {"stall": "500ms"}}) as running:
        body = LINES * 400_000
        with Talk(running, length=len(body)) as talk:
            talk.socket.settimeout(20)
            with pytest.raises(ConnectionError):
                talk.send(body)
        assert running.cache.http._web.app._traffic.timeouts["answer"] == 1
        received = running.cache.http._web.app._traffic.octets_in
        assert received < len(body) / 2
        assert post(running, LINES).status_code == 200


def test_a_spool_gives_in_order_what_memory_does_not_hold(monkeypatch):
    monkeypatch.setattr(spool, "IN_MEMORY", 10)
    monkeypatch.setattr(spool, "READ", 7)
    held = spool.Spool()
    pieces = [bytes([number]) * 6 for number in range(9)]
    found = b""
    for piece in pieces:
        held.put(piece)
    assert len(held) == 54
    while octets := held.get():
        found += octets
    held.put(b"again")
    assert (found, held.get(), held.get(), len(held)) == (b"".join(pieces), b"again", b"", 0)
    held.close()


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
