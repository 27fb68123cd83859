"""A whole daemon with its HTTP side, in a thread, whose feed the test controls."""

import asyncio
import contextlib
import threading
import time

import httpx
import pytest
import uvloop

from rov import NO_EXPIRY, Aspa, Prefix, RouterKey, Snapshot, VrpColumns
from rtr_server.app import Cache
from rtr_server.config import build_config
from rtr_server.web import metrics
from tests.given_feed import GivenFeed

WAIT = 30.0


def vrp_set(*rows, trust_anchors=("",), aspas=(), router_keys=(), generated=None):
    """A Snapshot of rows (prefix, max_length, asn[, expires[, trust anchor's number]])."""
    parsed = [(Prefix.parse(row[0]), *row[1:], *(NO_EXPIRY, 0)[len(row) - 3 :]) for row in rows]
    four = [row for row in parsed if row[0].family == 4]
    six = [row for row in parsed if row[0].family == 6]

    def columns(rows, make, address):
        return make(
            [address(row[0].address) for row in rows],
            [row[0].length for row in rows],
            [row[1] for row in rows],
            [row[2] for row in rows],
            [row[3] for row in rows],
            [row[4] for row in rows],
        )

    return Snapshot.build(
        columns(four, VrpColumns.ipv4, int),
        columns(six, VrpColumns.ipv6, lambda number: (number >> 64, number & (2**64 - 1))),
        trust_anchors=trust_anchors,
        aspas=aspas,
        router_keys=router_keys,
        generated=generated,
    )


RIPE, APNIC = 0, 1
SMALL = vrp_set(
    ("93.175.147.0/24", 24, 196615, NO_EXPIRY, RIPE),
    ("192.0.2.0/24", 26, 64496, NO_EXPIRY, RIPE),
    ("192.0.2.0/24", 24, 64497, NO_EXPIRY, APNIC),
    ("198.51.100.0/24", 24, 0, NO_EXPIRY, APNIC),
    ("2001:db8::/32", 48, 64496, NO_EXPIRY, RIPE),
    trust_anchors=("ripe", "apnic"),
    aspas=[Aspa(64496, (64499, 64511))],
    router_keys=[RouterKey(64496, bytes(range(20)), b"\x30\x59\x30\x13")],
    generated=1_700_000_000,
)
"""Every state and reason is in it."""


class Running:
    """A daemon that runs in a thread. ``client`` speaks to it, ``call`` runs something in its loop.

    ``as_of``: the time of its data, now if None.
    """

    def __init__(self, first, tables, as_of=None, **options):
        self._first = first
        self._as_of = as_of
        self._options = options
        http = {"listen": ["127.0.0.1:0"], **tables.pop("http", {})}
        tables = {"listen": [{"address": "127.0.0.1:0"}], "stale": {"after": "366d"}, **tables}
        self._config = build_config({**tables, "http": http})
        self._up = threading.Event()
        self._failure = None
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._main())
        except BaseException as error:
            self._failure = error
        finally:
            self._up.set()

    async def _main(self):
        self.loop = asyncio.get_running_loop()
        self.feed = GivenFeed(self._first, lambda: self._as_of or int(time.time()))
        self.cache = Cache(self.feed, self._config, started=lambda _: self._up.set(), **self._options)
        self.cache._handle_signals = lambda: None  # not in the main thread
        await self.cache.run()

    def __enter__(self):
        self._thread.start()
        self._up.wait(WAIT)
        if self._failure is not None:
            raise self._failure
        self.url = self.cache.http.urls[0]
        self.client = httpx.Client(base_url=self.url, timeout=WAIT, verify=False, trust_env=False)
        self.until(lambda: self.cache.history.snapshot is None or self.daemon.served is not None)
        return self

    def __exit__(self, *_):
        self.client.close()
        self.loop.call_soon_threadsafe(self.cache.stop, "shutdown")
        self._thread.join(WAIT)
        assert not self._thread.is_alive(), "the daemon did not end"

    @property
    def daemon(self):
        return self.cache.http._daemon

    @property
    def address(self):
        where = self.cache.http._server.endpoints[0]
        return where.host, where.port

    def call(self, make):
        """What a coroutine gives that is run in the daemon's loop."""
        return asyncio.run_coroutine_threadsafe(make(), self.loop).result(WAIT)

    def until(self, condition):
        """Return when a condition holds, looked at in the daemon's loop."""

        async def wait():
            async with asyncio.timeout(WAIT):
                while not condition():  # noqa: ASYNC110
                    await asyncio.sleep(0.005)

        self.call(wait)

    def load(self, snapshot):
        """Give the daemon another set, and return when answers come from it."""
        before = self.daemon.served
        self.loop.call_soon_threadsafe(self.feed.tell, snapshot)
        self.until(lambda: self.daemon.served is not before)


@pytest.fixture(scope="session")
def run_daemon():
    """Start a daemon: ``with run_daemon(snapshot, {"http": {...}}) as running``."""

    def start(first=SMALL, tables=None, **options):
        return Running(first, dict(tables or {}), **options)

    return start


@pytest.fixture(autouse=True)
def fresh_metrics(monkeypatch):
    """What a test asks of /metrics is of now."""
    monkeypatch.setattr(metrics, "KEPT", 0.0)


@pytest.fixture(scope="module")
def small(run_daemon):
    """A daemon that serves SMALL; for tests that change nothing."""
    with run_daemon() as running:
        yield running


@pytest.fixture
def stack():
    """Closes what a test opened."""
    with contextlib.ExitStack() as opened:
        yield opened
