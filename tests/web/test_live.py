"""The live view: what its streams tell, how many there may be, and readers that stall or stay."""

import asyncio
import contextlib
import socket

from rtr_server.web.pages import live, overview
from tests.web.conftest import SMALL, vrp_set


def overview_live(running):
    """The live view of a daemon."""
    return running.cache.http._web._pages.live


def connect(running, size=1 << 16):
    """A live view, as a browser asks for it."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
    connection.settimeout(30)
    connection.connect(running.address)
    connection.sendall(b"GET /events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n")
    return connection


def until(connection, wanted):
    """What comes until it has some octets."""
    octets = b""
    while wanted not in octets:
        piece = connection.recv(1 << 16)
        assert piece, octets[-500:]
        octets += piece
    return octets


def test_events_tell_what_is_new(run_daemon, monkeypatch):
    monkeypatch.setattr(live, "INTERVAL", 0.05)
    with run_daemon(SMALL) as running, connect(running) as watching:
        octets = until(watching, b"event: sessions")
        assert b"content-type: text/event-stream" in octets.lower()
        running.load(vrp_set(("10.0.0.0/8", 8, 1)))
        until(watching, f"Serial {running.daemon.served.serial} since".encode())
        with running.client.stream("GET", "/events") as answer:
            assert answer.headers["cache-control"] == "no-store"


def test_no_more_live_views_than_there_may_be(run_daemon, monkeypatch):
    monkeypatch.setattr(live, "MAX_STREAMS", 2)
    with run_daemon(SMALL) as running, contextlib.ExitStack() as stack:
        watching = [stack.enter_context(connect(running)) for _ in range(2)]
        for each in watching:
            until(each, b"event: ")
        answer = running.client.get("/events")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")
        assert running.client.get("/").status_code == 200
        watching[0].close()
        running.until(lambda: overview_live(running).streams == 1)
        with connect(running) as another:
            until(another, b"event: ")
        running.until(lambda: overview_live(running).streams == 1)
        watching[1].close()
        running.until(lambda: overview_live(running).streams == 0)
        assert overview_live(running)._looking is None


def test_a_stalled_reader_is_cut_off(run_daemon, monkeypatch):
    """It takes nothing while its view changes all the time."""
    monkeypatch.setattr(live, "INTERVAL", 0.0)
    counter = iter(range(10**9))

    async def parts(self):
        await asyncio.sleep(0)
        return {"state": f"{next(counter)} " * 20_000}

    monkeypatch.setattr(overview.Overview, "parts", parts)
    with run_daemon(SMALL, {"http": {"stall": "300ms"}}) as running, connect(running, 4096):
        running.until(lambda: running.cache.http._web.app._traffic.timeouts["answer"] == 1)
        running.until(lambda: overview_live(running).streams == 0)


def test_a_view_that_cannot_be_made_does_not_end_the_others(run_daemon, monkeypatch, caplog):
    monkeypatch.setattr(live, "INTERVAL", 0.02)
    real, broken = overview.Overview.parts, []

    async def parts(self):
        if not broken:
            broken.append(True)
            raise ValueError("broken")
        return await real(self)

    monkeypatch.setattr(overview.Overview, "parts", parts)
    with run_daemon(SMALL) as running, connect(running) as watching:
        until(watching, b"event: sessions")
    assert "the overview could not be made" in caplog.text


def test_the_daemon_ends_at_once_though_somebody_watches(run_daemon):
    running = run_daemon(SMALL).__enter__()
    with connect(running) as watching:
        until(watching, b"event: ")
        running.__exit__()
        rest = b""
        while piece := watching.recv(1 << 16):
            rest += piece
        assert rest.endswith(b"0\r\n\r\n"), "ended in order, not cut"
