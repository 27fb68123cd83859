"""/json-delta: what changed since a serial, as Routinator has it, and its long poll."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import chain, islice
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from rov import Aspa, RouterKey, Snapshot
from rov.formats.routinator import delta_origins
from rtr_server.web import answers, needs, query
from rtr_server.web.daemon import Daemon, Served
from rtr_server.web.problems import Problem

JSON = "application/json"

POLL = 3_600.0
"""Seconds after which a long poll is answered though nothing is new."""

OBJECTS = 2_000
"""Router keys and ASPAs written at once: a few milliseconds."""


def routes(daemon: Daemon) -> Iterable[BaseRoute]:
    """The two paths."""
    kitchen = daemon.kitchen
    ending = asyncio.Event()
    daemon.at_end.append(ending.set)

    async def delta(request: Request) -> Response:
        known = _known(request)
        served = needs.served(daemon)
        since = known[1] if known is not None and known[0] == served.session else None
        if since is not None and since != served.serial and since not in served.history.serials:
            since = None
        return await answers.large(
            request, kitchen, served, ("json-delta", since), lambda: document(served, since), JSON
        )

    async def notify(request: Request) -> Response:
        known = _known(request)
        served = needs.served(daemon)
        if known == (served.session, served.serial):
            served = await _news(daemon, served, request, ending)
        body = {"session": served.session, "serial": served.serial}
        return Response(msgspec.json.encode(body), media_type=JSON, headers={"Cache-Control": "no-store"})

    yield Route("/json-delta", delta)
    yield Route("/json-delta/notify", notify)


async def _news(daemon: Daemon, served: Served, request: Request, ending: asyncio.Event) -> Served:
    """The set once its serial is another, or what there is when the time is over, or client or daemon go."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    async def changed() -> None:
        current: Served = served
        while current.name == served.name:
            await daemon.changed(current.generation)
            current = needs.served(daemon)

    tasks = [asyncio.create_task(each) for each in (changed(), gone(), ending.wait())]
    try:
        await asyncio.wait(tasks, timeout=POLL, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return needs.served(daemon)


def _known(request: Request) -> tuple[int, int] | None:
    """Session and serial that the client has, None if it says neither; 400 for one alone."""
    found = query.single(request, "session", "serial")
    if not found:
        return None
    if len(found) < 2:
        raise Problem(400, "expected both session and serial, or neither")
    session = query.number(found["session"], "session", 0, 2**64 - 1)
    return session, query.number(found["serial"], "serial", 0, 2**32 - 1)


def document(served: Served, since: int | None) -> Iterator[bytes]:
    """The change since a serial, or all of the set with reset; in a thread."""
    head: dict[str, Any] = {
        "reset": since is None,
        "session": str(served.session),
        "serial": served.serial,
    }
    if since is not None:
        head["fromSerial"] = since
    made = datetime.fromtimestamp(served.made, UTC)
    head |= {"generated": served.made, "generatedTime": made.strftime("%Y-%m-%dT%H:%M:%SZ")}
    delta = None if since is None else served.history.delta_since(since)
    empty = Snapshot.empty()
    announced = served.snapshot if since is None else delta.announced if delta else empty
    yield msgspec.json.encode(head)[:-1] + b',"announced":['
    yield from _elements(announced)
    if since is not None:
        yield b'],"withdrawn":['
        withdrawn = delta.withdrawn if delta else empty
        changed = {aspa.customer for aspa in announced.aspas}
        yield from _elements(withdrawn, frozenset(changed))
    yield b"]}\n"


def _elements(snapshot: Snapshot, without: frozenset[int] = frozenset()) -> Iterator[bytes]:
    """The elements of a payload, with commas between them; ``without`` the ASPAs of these customers."""
    begun = False
    for piece in delta_origins(snapshot):
        yield piece
        begun = True
    aspas = (_aspa(aspa) for aspa in snapshot.aspas if aspa.customer not in without)
    others = chain(map(_key, snapshot.router_keys), aspas)
    while batch := list(islice(others, OBJECTS)):
        yield (b"," if begun else b"") + msgspec.json.encode(batch)[1:-1]
        begun = True


def _key(key: RouterKey) -> dict[str, Any]:
    return {
        "type": "routerKey",
        "keyIdentifier": key.ski.hex().upper(),
        "asn": f"AS{key.asn}",
        "keyInfo": base64.urlsafe_b64encode(key.spki).rstrip(b"=").decode(),
    }


def _aspa(aspa: Aspa) -> dict[str, Any]:
    return {
        "type": "aspa",
        "customerAsn": f"AS{aspa.customer}",
        "providerAsns": [f"AS{asn}" for asn in aspa.providers],
    }
