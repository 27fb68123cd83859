"""POST /api/v1/validity: many routes in NDJSON, msgpack or Arrow, judged as they come.

The body is taken in blocks, each judged in a thread that holds the interpreter for little of its time, and
the answer is kept, in a file if it is long, until the body is whole: clients that send all before they read
get theirs, and what is wrong anywhere in the body is a 400 that names the row.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterable
from typing import IO, Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from rov import ArgumentError, ExtraError, PrefixError, VrpIndex
from rov.bulk import FORMS, Form, Validator
from rtr_server.threads import in_thread
from rtr_server.web import needs, query
from rtr_server.web.answers import accepted, slices
from rtr_server.web.bodies import Decoder, coding_of, pieces
from rtr_server.web.daemon import Daemon
from rtr_server.web.problems import Problem, shown

BLOCK = 512 << 10
"""Octets judged at a time: some ten thousand routes."""

IN_MEMORY = 8 << 20
"""Octets of an answer that stay out of files."""

READ = 1 << 20

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
        under_way += 1
        try:
            spool = await _judged(request, served.index, reads, writes, int(settings.max_body))
        finally:
            under_way -= 1
        headers = {"Content-Length": str(spool.tell()), "Cache-Control": "no-store"}
        return StreamingResponse(_sent(spool), headers=headers, media_type=NAMES[writes])

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


async def _judged(request: Request, index: VrpIndex, reads: Form, writes: Form, most: int) -> IO[bytes]:
    """The whole answer, at its end; Problem where the body is none."""
    spool: IO[bytes] = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115  # closed when it is sent
    try:
        decoder = Decoder(coding_of(request), most)
        try:
            validator = Validator(index, reads, writes)
        except ExtraError as error:
            raise Problem(415, f"{NAMES['arrow']} is not to be had here: {error}") from error

        def take(block: bytes) -> None:
            for piece in decoder.decode(block):
                spool.write(validator.feed(piece))

        def end() -> None:
            decoder.end()
            spool.write(validator.end())

        try:
            async for block in pieces(request, most, BLOCK):
                await in_thread(lambda block=block: take(block))  # type: ignore[misc]
            await in_thread(end)
        except (ArgumentError, PrefixError) as error:
            raise Problem(400, str(error), members=_row(str(error))) from error
        except ClientDisconnect as error:
            raise Problem(400, "the body ends early") from error
    except BaseException:
        spool.close()
        raise
    return spool


def _row(text: str) -> dict[str, Any]:
    """The row that a message names."""
    number = text.removeprefix("row ").partition(":")[0]
    return {"row": int(number)} if text.startswith("row ") and number.isdecimal() else {}


async def _sent(spool: IO[bytes]) -> AsyncIterator[memoryview]:
    """The answer from its begin."""
    with spool:
        spool.seek(0)
        while octets := await in_thread(lambda: spool.read(READ)):
            async for piece in slices(octets):
                yield piece
