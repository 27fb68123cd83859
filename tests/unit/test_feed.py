"""Feeds: files that are watched, URLs that are fetched, sets that expire."""

import asyncio
import contextlib
import gzip
import http.server
import os
import socket
import ssl
import threading
import time

import pytest
import trustme

from rov import NO_EXPIRY, Snapshot, VrpColumns
from rtr_server.feed import file as file_module
from rtr_server.feed import tracked
from rtr_server.feed.expiry import COALESCE, Expiry
from rtr_server.feed.feed import FeedError, Loaded
from rtr_server.feed.file import FileFeed
from rtr_server.feed.url import READ_TIMEOUT, UrlFeed

HEADER = "ASN,IP Prefix,Max Length,Trust Anchor\n"
ONE = HEADER + "AS64496,192.0.2.0/24,24,x\n"
TWO = ONE + "AS64497,2001:db8::/32,48,x\n"


@pytest.fixture
def vrps(tmp_path):
    path = tmp_path / "vrps.csv"
    path.write_text(ONE)
    return path


async def replace(path, text):
    """As a good validator does it."""
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    os.replace(fresh, path)


# Files


def test_a_file_is_loaded(vrps):
    loaded = FileFeed(vrps).load()
    assert [str(vrp) for vrp in loaded.snapshot.vrps()] == ["192.0.2.0/24-24 AS64496"]
    assert loaded.skipped == 0


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FeedError, match=r"nothing\.csv: .*No such file") as caught:
        FileFeed(tmp_path / "nothing.csv").load()
    assert not caught.value.temporary


def test_bad_rows_are_refused_or_counted(vrps):
    vrps.write_text(ONE + "AS64496,192.0.2.0/99,24,x\n")
    with pytest.raises(FeedError, match="row"):
        FileFeed(vrps).load()
    loaded = FileFeed(vrps, strict=False).load()
    assert (len(loaded.snapshot), loaded.skipped) == (1, 1)


def test_a_file_that_changes_while_it_is_read_is_refused(vrps, monkeypatch):
    read = file_module._read

    def slow(path, *, strict):
        report = read(path, strict=strict)
        vrps.write_text(TWO)
        return report

    monkeypatch.setattr(file_module, "_read", slow)
    with pytest.raises(FeedError, match="changed while it was read") as caught:
        FileFeed(vrps).load()
    assert caught.value.temporary


@pytest.mark.parametrize("through_link", [False, True])
def test_a_rename_is_seen(vrps, tmp_path, through_link):
    watched = vrps
    if through_link:
        (tmp_path / "links").mkdir()
        watched = tmp_path / "links" / "current"
        watched.symlink_to(vrps)

    async def scenario():
        feed = FileFeed(watched)
        feed.load()
        waiting = asyncio.create_task(feed.changed())
        await asyncio.sleep(0.3)
        assert not waiting.done()
        await replace(vrps, TWO)
        await asyncio.wait_for(waiting, 5)
        assert len(feed.load().snapshot) == 2

    asyncio.run(scenario())


def test_a_file_in_writing_is_left_alone(vrps):
    """It is written in four pieces, each within the time that a file has to be quiet."""

    async def scenario():
        feed = FileFeed(vrps)
        feed.load()
        waiting = asyncio.create_task(feed.changed())
        await asyncio.sleep(0.2)
        with vrps.open("w") as out:
            for piece in (HEADER, "AS64496,192.0.2.0", "/24,24,x\nAS64497,", "2001:db8::/32,48,x\n"):
                out.write(piece)
                out.flush()
                await asyncio.sleep(0.4)
                assert not waiting.done()
        await asyncio.wait_for(waiting, 5)
        assert len(feed.load().snapshot) == 2

    asyncio.run(scenario())


def test_a_file_that_was_removed_is_waited_for(vrps):
    async def scenario():
        feed = FileFeed(vrps)
        feed.load()
        waiting = asyncio.create_task(feed.changed())
        await asyncio.sleep(0.2)
        vrps.unlink()
        await asyncio.sleep(0.5)
        assert not waiting.done()
        vrps.write_text(TWO)
        await asyncio.wait_for(waiting, 5)

    asyncio.run(scenario())


def test_where_the_system_gives_no_more_watches_the_file_is_polled(vrps, monkeypatch):
    asked = 0

    async def refused(*_, **__):
        nonlocal asked
        asked += 1
        raise RuntimeError("Error creating recommended watcher: Too many open files (os error 24)")
        yield

    monkeypatch.setattr(file_module.watchfiles, "awatch", refused)
    monkeypatch.setattr(file_module, "POLL_INTERVAL", 0.1)

    async def scenario():
        feed = FileFeed(vrps)
        feed.load()
        waiting = asyncio.create_task(feed.changed())
        await asyncio.sleep(0.5)
        assert not waiting.done()
        await replace(vrps, TWO)
        await asyncio.wait_for(waiting, 5)
        assert 2 <= asked <= 10, "not in a loop without a pause"

    asyncio.run(scenario())


# URLs


class Site:
    """An HTTP server whose answers a test sets; ``requests`` holds the headers of each request."""

    def __init__(self):
        self.status, self.body, self.headers, self.drip = 200, ONE.encode(), {"ETag": '"1"'}, 0.0
        self.requests = []
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                site.requests.append(dict(self.headers))
                fresh = self.headers.get("If-None-Match") != site.headers.get("ETag", "-")
                self.send_response(site.status if fresh else 304)
                for name, value in site.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                if fresh:
                    self.send_body()

            def send_body(self):
                step = 8 if site.drip else len(site.body) or 1
                with contextlib.suppress(OSError):
                    for start in range(0, len(site.body), step):
                        self.wfile.write(site.body[start : start + step])
                        self.wfile.flush()
                        time.sleep(site.drip)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/vrps.csv"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()


@pytest.fixture
def site():
    site = Site()
    yield site
    site.server.shutdown()
    site.server.server_close()


def test_a_url_is_fetched_once_per_version(site):
    feed = UrlFeed(site.url)
    assert len(feed.load().snapshot) == 1
    assert feed.load() is None
    site.headers, site.body = {"ETag": '"2"'}, TWO.encode()
    assert len(feed.load().snapshot) == 2
    asked = [{key.lower(): value for key, value in got.items()} for got in site.requests]
    assert [request.get("if-none-match") for request in asked] == [None, '"1"', '"1"']
    assert feed.answers == {"200": 2, "304": 1}


def test_a_bad_set_is_fetched_again(site):
    """An ETag counts only once its set was read."""
    site.body = b"<html>maintenance</html>"
    feed = UrlFeed(site.url)
    for _ in range(2):
        with pytest.raises(FeedError, match="HTML"):
            feed.load()
    assert all("if-none-match" not in map(str.lower, request) for request in site.requests)


def test_gzip_in_transfer_and_in_the_file(site):
    site.body = gzip.compress(TWO.encode())
    assert len(UrlFeed(site.url).load().snapshot) == 2
    site.headers = {"Content-Encoding": "gzip"}
    assert len(UrlFeed(site.url).load().snapshot) == 2


@pytest.mark.parametrize("encoding", [{}, {"Content-Encoding": "gzip"}], ids=["plain", "gzip bomb"])
def test_the_size_is_bounded(site, encoding):
    site.headers = encoding
    body = b" " * 3_000_000
    site.body = gzip.compress(body) if encoding else body
    with pytest.raises(FeedError, match="longer than 1,000,000 octets"):
        UrlFeed(site.url, max_octets=1_000_000).load()


def test_a_dripping_server_is_given_up(site):
    site.drip = 0.05
    began = time.monotonic()
    with pytest.raises(FeedError, match=r"not complete in 0\.2 s"):
        UrlFeed(site.url, fetch_timeout=0.2).load()
    assert time.monotonic() - began < 2


class Raw:
    """A server that sends ``first``, then ``again`` as long as the test lasts; ``tls``: a context."""

    def __init__(self, tls=None):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.first, self.again, self.tls, self.ended = b"HTTP/1.1 200 OK\r\nX: ", b"x", tls, threading.Event()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                threading.Thread(target=self.drip, args=(connection,), daemon=True).start()

    def drip(self, connection):
        with contextlib.suppress(OSError), contextlib.ExitStack() as opened:
            wrapped = connection if self.tls is None else self.tls.wrap_socket(connection, server_side=True)
            opened.enter_context(wrapped)
            wrapped.recv(4096)
            wrapped.sendall(self.first)
            while not self.ended.wait(0.02):
                wrapped.sendall(self.again)


@pytest.fixture
def raw():
    servers = []

    def start(tls=None):
        servers.append(Raw(tls))
        return servers[-1]

    yield start
    for server in servers:
        server.ended.set()
        server.listener.close()


DRIPS = {
    "a header": (b"HTTP/1.1 200 OK\r\nX: ", b"x"),
    "the status": (b"", b"H"),
    "a body up to the end": (b"HTTP/1.0 200 OK\r\n\r\n" + ONE.encode(), b"\n"),
    "a length": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0"),
    "nothing": (b"HTTP/1.1 200 OK\r\n\r\n" + ONE.encode(), b""),
}


@pytest.mark.parametrize("what", DRIPS)
def test_whatever_drips_is_given_up(raw, what):
    server = raw()
    server.first, server.again = DRIPS[what]
    began = time.monotonic()
    with pytest.raises(FeedError, match=r"not complete in 0\.5 s") as caught:
        UrlFeed(f"http://127.0.0.1:{server.port}/", fetch_timeout=0.5).load()
    assert time.monotonic() - began < READ_TIMEOUT / 2
    assert caught.value.temporary


def test_headers_that_drip_through_tls_are_given_up(raw, tmp_path):
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    feed = UrlFeed(f"https://localhost:{raw(context).port}/", ca_file=tmp_path / "ca.pem", fetch_timeout=0.5)
    for _ in range(2):
        with pytest.raises(FeedError, match=r"not complete in 0\.5 s"):
            feed.load()


def test_a_fetch_can_be_cancelled(raw):
    feed = UrlFeed(f"http://127.0.0.1:{raw().port}/")
    threading.Timer(0.2, feed.cancel).start()
    with pytest.raises(FeedError, match="not complete"):
        feed.load()


@pytest.mark.parametrize("status", [404, 500])
def test_a_status_is_told(site, status):
    site.status = status
    feed = UrlFeed(site.url)
    with pytest.raises(FeedError, match=f"HTTP status {status}") as caught:
        feed.load()
    assert feed.answers == {str(status): 1}
    assert caught.value.temporary


def test_nobody_listens(free_port):
    with pytest.raises(FeedError, match="Connection refused") as caught:
        UrlFeed(f"http://127.0.0.1:{free_port()}/").load()
    assert caught.value.temporary


def test_a_failed_fetch_is_repeated_sooner(site, monkeypatch):
    waits = []

    async def sleep(seconds):
        waits.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    feed = UrlFeed(site.url, interval=600)
    site.status = 500
    for _ in range(8):
        with pytest.raises(FeedError):
            feed.load()
        asyncio.run(feed.changed())
    site.status = 200
    feed.load()
    asyncio.run(feed.changed())
    most = [15, 30, 60, 120, 240, 480, 600, 600]
    assert all(limit / 2 <= wait <= limit for limit, wait in zip(most, waits, strict=False))
    assert 540 <= waits[-1] <= 660


def test_a_load_that_hangs_has_one_thread_and_counts_when_it_is_done(monkeypatch):
    monkeypatch.setattr(tracked, "LOAD_TIMEOUT", 0.05)
    released, loads = threading.Event(), []

    class Hanging:
        name = "dead.nfs"

        def load(self):
            loads.append(threading.get_ident())
            released.wait(60)
            return Loaded(Snapshot.empty())

        async def changed(self):
            await asyncio.sleep(0)

    async def scenario():
        polled = tracked.Polled(Hanging(), contextlib.nullcontext)
        for _ in range(3):
            with pytest.raises(FeedError, match=r"dead\.nfs: not loaded in 0\.05 s"):
                await polled.next()
        assert len(loads) == 1
        released.set()
        monkeypatch.setattr(tracked, "LOAD_TIMEOUT", 60.0)
        assert await polled.next() == Loaded(Snapshot.empty())
        assert len(loads) == 1
        assert await polled.next() == Loaded(Snapshot.empty())
        assert len(loads) == 2

    asyncio.run(scenario())


# Expiry


def expiring(*times):
    rows = range(len(times))
    return Snapshot.build(
        VrpColumns.ipv4(
            [row << 24 for row in rows], [8] * len(times), [8] * len(times), [64496] * len(times), list(times)
        )
    )


def accepted(snapshot, now, *, ignore=False):
    """An Expiry that serves what is live of a set."""
    expiry = Expiry(ignore=ignore)
    expiry.accept(expiry.live("f", snapshot, now))
    return expiry


def run(expiry, now):
    """How many VRPs are served after a run."""
    expiry.accept(live := expiry.run(now))
    return len(live.snapshot)


def test_expired_vrps_are_left_out():
    assert len(Expiry(ignore=False).live("f", expiring(100, 200, NO_EXPIRY), now=100).snapshot) == 2
    assert len(Expiry(ignore=True).live("f", expiring(100, 200, NO_EXPIRY), now=100).snapshot) == 3


def test_a_set_without_live_vrps_is_refused():
    expiry = accepted(expiring(300), now=100)
    with pytest.raises(FeedError, match="all of its 2 VRPs have expired"):
        expiry.live("g", expiring(100, 200), now=250)
    with pytest.raises(FeedError, match="holds no VRPs"):
        expiry.live("h", Snapshot.empty(), now=250)
    assert run(expiry, 299) == 1, "the set accepted before stays"


def test_what_is_due_and_when():
    assert Expiry(ignore=False).run(0) is None
    expiry = accepted(expiring(500, 510, 700, NO_EXPIRY), now=100)
    assert expiry.due() == 500, "the first expiry, on time"
    assert run(expiry, 500) == 3
    assert expiry.due() == 500 + COALESCE, "510 waits for the next round"
    assert run(expiry, 560) == 2
    assert expiry.due() == 700
    assert run(expiry, 700) == 1
    assert expiry.due() is None


def test_ignored_expiry_is_never_due():
    expiry = accepted(expiring(500), now=100, ignore=True)
    assert expiry.due() is None
    assert run(expiry, 1000) == 1
