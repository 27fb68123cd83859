"""POST /api/v1/validity: many routes in NDJSON, msgpack or Arrow, judged and answered as they come.

The body is taken in blocks, each judged in a thread that holds the interpreter for little of its time. The
answer begins when the first block is judged; what a client does not take yet is spooled, so that one which
sends all before it reads gets its answer, too. What is wrong before the answer begins is a 400 that names the
row; after that a last row tells it, and the connection is closed within the answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from rov import ArgumentError, ExtraError, PrefixError, Snapshot, VrpIndex
from rov.bulk import FORMS, Form, Validator
from rtr_server.config.web import Http as Settings
from rtr_server.logs import Throttle, event
from rtr_server.threads import in_thread
from rtr_server.web import needs, query
from rtr_server.web.answers import accepted, slices
from rtr_server.web.bodies import Blocks, Decoder, coding_of
from rtr_server.web.daemon import Daemon
from rtr_server.web.problems import Problem, shown
from rtr_server.web.protocol import CUT
from rtr_server.web.spool import Spool

log = logging.getLogger(__name__)
log.addFilter(Throttle())

BLOCK = 512 << 10
"""Octets judged at a time: some ten thousand routes."""

SPOOLED = 4
"""Times [http] max_body of an answer that wait for its client: the rows of most bodies grow less."""

CONTINUES = b"\xff\xff\xff\xff"
"""What a message of Arrow IPC begins with; the octets of its metadata follow, as a number and as such."""

TYPES: dict[str, Form] = {
    "application/x-ndjson": "ndjson",
    "application/ndjson": "ndjson",
    "application/jsonl": "ndjson",
    "application/msgpack": "msgpack",
    "application/x-msgpack": "msgpack",
    "application/vnd.msgpack": "msgpack",
    "application/vnd.apache.arrow.stream": "arrow",
}
NAMES = {form: next(name for name, found in TYPES.items() if found == form) for form in FORMS}

_EXPECTED = ", ".join(NAMES[form] for form in FORMS)


def routes(daemon: Daemon) -> Iterable[BaseRoute]:
    """The path."""
    under_way = 0
    settings = daemon.config.http

    async def validity(request: Request) -> Response:
        nonlocal under_way
        query.arguments(request, ())
        served = needs.served(daemon)
        reads = _reads(request)
        writes = _writes(request, reads)
        if under_way >= settings.uploads:
            raise Problem(503, f"{under_way} bodies are taken already", {"Retry-After": "2"})
        exchange = Exchange(request, served.index, reads, writes, settings)
        under_way += 1

        def over() -> None:
            nonlocal under_way
            under_way -= 1

        exchange.at_end = over
        await exchange.begin()
        return exchange

    yield Route("/api/v1/validity", validity, methods=["POST"])


def _reads(request: Request) -> Form:
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given not in TYPES:
        raise Problem(415, f"Content-Type {shown(given)}: expected {_EXPECTED}")
    return TYPES[given]


def _writes(request: Request, reads: Form) -> Form:
    """What the client takes and likes best, of equal ones that of the body; 406 where it takes none."""
    weights = dict.fromkeys(FORMS, -1.0)
    rank = dict.fromkeys(FORMS, -1)
    for name, weight in accepted(request.headers.get("accept", "*/*")):
        forms = [TYPES[name]] if name in TYPES else FORMS if name in ("*/*", "application/*", "") else ()
        specific = 2 if name in TYPES else int(name == "application/*")
        for form in forms:
            if specific > rank[form] or (specific == rank[form] and weight > weights[form]):
                weights[form], rank[form] = weight, specific
    best = max(FORMS, key=lambda form: (weights[form], form == reads))
    if weights[best] <= 0:
        raise Problem(406, f"expected Accept with one of {_EXPECTED}")
    return best


def warm_up() -> None:
    """Judge a route in Arrow, in and out: what it needs is imported then, if it is there."""
    index = VrpIndex(Snapshot.empty())
    with contextlib.suppress(ExtraError):
        writer = Validator(index, "ndjson", "arrow")
        stream = writer.feed(b'{"prefix":"192.0.2.0/24","origin":64496}\n') + writer.end()
        Validator(index, "arrow", "ndjson").feed(stream)


class Exchange(Response):
    """One body and its answer. ``begin``, in which it may still be a Problem; then as a Response.

    ``at_end``: called once, when it is over.
    """

    def __init__(
        self, request: Request, index: VrpIndex, reads: Form, writes: Form, settings: Settings
    ) -> None:
        super().__init__(None, 200, {"Cache-Control": "no-store"}, NAMES[writes])
        del self.headers["content-length"]
        most = int(settings.max_body)
        self.at_end: Callable[[], None] = lambda: None
        self._decoder = Decoder(coding_of(request), most)
        try:
            self._validator = Validator(index, reads, writes)
        except ExtraError as error:
            raise Problem(415, f"{NAMES['arrow']} is not to be had here: {error}") from error
        self._blocks = Blocks(request, most, BLOCK)
        self._spool = Spool()
        self._room = SPOOLED * most
        self._writes = writes
        self._patience = float(settings.stall)
        self._chunked = request.scope["http_version"] != "1.0"
        self._news, self._taken = asyncio.Event(), asyncio.Event()
        self._over = False
        self._problem: Problem | None = None
        self._cut: Callable[[], None] | None = request.scope.get("extensions", {}).get(CUT)

    async def begin(self) -> None:
        """Judge as much as is needed for the answer to begin: all of it where its end could not be told."""
        try:
            await self._judge()
            while not self._blocks.whole and not (self._chunked and len(self._spool)):
                if len(self._spool) > self._room:
                    raise Problem(413, f"an answer of more than {self._room} octets: expected HTTP/1.1")
                await self._judge()
        except BaseException:
            self._end()
            raise

    async def _judge(self) -> None:
        """One block; Problem: it is wrong."""
        try:
            block = await self._blocks.next()
            await in_thread(lambda: self._take(block, last=self._blocks.whole))
        except (ArgumentError, PrefixError) as error:
            raise Problem(400, str(error), members=_row(str(error))) from error
        except ClientDisconnect as error:
            raise Problem(400, "the body ends early") from error

    def _take(self, block: bytes, *, last: bool) -> None:
        """In a thread."""
        for piece in self._decoder.decode(block):
            self._spool.put(self._validator.feed(piece))
        if last:
            self._decoder.end()
            self._spool.put(self._validator.end())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The answer, while the rest of the body is judged."""
        try:
            if self._blocks.whole:
                self._over = True
                self.headers["content-length"] = str(len(self._spool))
            head = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
            await send(head)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._judge_the_rest())
                await self._give(send)
            if self._problem is None:
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            else:
                await self._tell(self._problem, send)
        finally:
            self._end()

    async def _judge_the_rest(self) -> None:
        try:
            while not self._blocks.whole:
                while len(self._spool) > self._room:
                    self._taken.clear()
                    await self._taken.wait()
                await self._judge()
                self._news.set()
        except Problem as problem:
            self._problem = problem
        self._over = True
        self._news.set()

    async def _give(self, send: Send) -> None:
        """What is judged, until there is no more."""
        while True:
            spool = self._spool
            octets = await in_thread(spool.get) if spool.in_file else spool.get()
            self._taken.set()
            if octets:
                async for piece in slices(octets):
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
            elif self._over and not len(spool):
                return
            else:
                await self._news.wait()
                self._news.clear()

    async def _tell(self, problem: Problem, send: Send) -> None:
        """What is wrong, in a row of its own where rows can have it, and the end without an end."""
        event(
            log, logging.INFO, "answer cut off", row=self._validator.rows, status=problem.status, why=problem
        )
        last = _last_row(problem, self._writes)
        await send({"type": "http.response.body", "body": last, "more_body": True})
        await self._blocks.pass_over(self._patience)
        if self._cut is not None:
            self._cut()

    def _end(self) -> None:
        self._blocks.close()
        self._spool.close()
        self.at_end()


def _last_row(problem: Problem, form: Form) -> bytes:
    """A row that tells what is wrong; in Arrow, which has none for it, a message that ends early.

    Readers take a stream of Arrow that merely stops for one that is whole.
    """
    told = {"problem": problem.document()}
    if form == "msgpack":
        return msgspec.msgpack.encode(told)
    line = msgspec.json.encode(told) + b"\n"
    return line if form == "ndjson" else CONTINUES + (2 * len(line)).to_bytes(4, "little") + line


def _row(text: str) -> dict[str, Any]:
    """The row that a message names."""
    number = text.removeprefix("row ").partition(":")[0]
    return {"row": int(number)} if text.startswith("row ") and number.isdecimal() else {}
