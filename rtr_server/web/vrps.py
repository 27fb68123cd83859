"""The set in the formats of Routinator under its paths, and StayRTR's /rpki.json."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Iterable, Iterator
from datetime import UTC, datetime

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

import rov
from rov import RouterKey, Snapshot
from rov.formats.routinator import NO_TRUST_ANCHOR
from rtr_server.feed.losses import by_trust_anchor
from rtr_server.web import answers, needs, query
from rtr_server.web.answers import Kitchen
from rtr_server.web.daemon import Daemon, Served
from rtr_server.web.selection import Selection

JSON, TEXT = "application/json", "text/plain; charset=utf-8"
CSV = "text/csv; charset=utf-8; header=present"

FORMATS = {
    "json": JSON,
    "jsonext": JSON,
    "csv": CSV,
    "csvcompat": CSV,
    "csvext": CSV,
    "openbgpd": TEXT,
    "bird1": TEXT,
    "bird2": TEXT,
    "rpsl": TEXT,
    "slurm": JSON,
    "slurm2": JSON,
}
"""Each format under its path, with its media type; ``rov.encode`` writes them."""

EXPIRING = frozenset({"jsonext", "csvext"})
"""Those that state times of expiry, which change while the serial does not."""


def routes(daemon: Daemon) -> Iterable[BaseRoute]:
    """/json, /api/v1/origins/json and so on; /summary; /rpki.json."""
    kitchen = daemon.kitchen
    for form in FORMATS:
        handler = _list(daemon, kitchen, form)
        yield Route(f"/{form}", handler)
        yield Route(f"/api/v1/origins/{form}", handler)
        if form == "json":
            yield Route("/api/v1/origins/", handler)

    async def summary(request: Request) -> Response:
        Selection.of(request)
        served = needs.served(daemon)
        headers = answers.validators(served.name, served.made)
        if answers.not_modified(request, served.name, served.made):
            return Response(status_code=304, headers=headers)
        return Response("".join(summary_lines(served)), headers=headers, media_type=TEXT)

    async def rpki_json(request: Request) -> Response:
        query.arguments(request, ())
        served = needs.served(daemon)
        tag = f"{served.name}-{served.generation}"
        return await answers.large(
            request, kitchen, served, "rpki.json", lambda: stayrtr(served), JSON, tag=tag
        )

    yield Route("/summary", summary)
    yield Route("/api/v1/origins/summary", summary)
    yield Route("/rpki.json", rpki_json)


def _list(daemon: Daemon, kitchen: Kitchen, form: str) -> Callable[[Request], Awaitable[Response]]:
    async def handler(request: Request) -> Response:
        selection = Selection.of(request)
        served = needs.served(daemon)
        tag = f"{served.name}-{served.generation}" if form in EXPIRING else served.name

        def make() -> Iterator[bytes]:
            chosen = selection.apply(served.index)
            return rov.encode(chosen, form, "routinator", at=served.made, exclude=selection.exclude)

        return await answers.large(request, kitchen, served, (form, selection), make, FORMATS[form], tag=tag)

    return handler


def counts(snapshot: Snapshot) -> dict[str, int]:
    """VRPs of each trust anchor, by name; "N/A" for those without one."""
    found = by_trust_anchor(snapshot).items()
    return {name or NO_TRUST_ANCHOR: sum(families) for name, families in found if any(families)}


def summary_lines(served: Served) -> Iterator[str]:
    """Routinator's summary; what a cache does not see of the RPKI (ROAs, certificates) is 0."""
    snapshot = served.snapshot
    yield f"Summary at {datetime.fromtimestamp(served.made, UTC):%Y-%m-%d %H:%M:%S} UTC\n"
    for name, count in counts(snapshot).items():
        yield from _summary(name, count, 0, 0)
    yield from _summary("total", len(snapshot), len(snapshot.router_keys), len(snapshot.aspas))


def _summary(name: str, vrps: int, keys: int, aspas: int) -> Iterator[str]:
    yield f"{name}: \n"
    yield f"            ROAs: {0:7} verified;\n"
    yield f"            VRPs: {vrps:7} verified, {vrps:7} final;\n"
    yield f"    router certs: {0:7} verified;\n"
    yield f"     router keys: {keys:7} verified, {keys:7} final;\n"
    yield f"           ASPAs: {aspas:7} verified, {aspas:7} final;\n"


def stayrtr(served: Served) -> Iterator[bytes]:
    """StayRTR's export: the rows of rpki-client's JSON under StayRTR's metadata."""
    snapshot = served.snapshot
    made = datetime.fromtimestamp(served.made, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    metadata = {
        "vrps": len(snapshot),
        "bgpsec_pubkeys": len(snapshot.router_keys),
        "buildtime": made,
        "serial": served.serial,
    }
    yield b'{"metadata":' + msgspec.json.encode(metadata) + b',"roas":['
    yield from _rows(rov.encode(snapshot, "json", at=served.made, exclude=("router_keys", "aspas")))
    keys = zip(snapshot.router_keys, snapshot.router_key_expires.tolist(), strict=True)

    def key_row(key: RouterKey, expires: int) -> dict[str, object]:
        return {
            "asn": key.asn,
            "expires": expires,
            "ta": "",
            "pubkey": base64.b64encode(key.spki).decode(),
            "ski": key.ski.hex().upper(),
        }

    yield b'],"bgpsec_keys":' + msgspec.json.encode([key_row(*each) for each in keys]) + b"}\n"


def _rows(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """What stands within ``"roas": [...]`` of rpki-client's JSON, whose pieces break between rows."""
    begun = False
    for piece in pieces:
        if not begun:
            _, begins, piece = piece.partition(b'"roas": [')
            begun = bool(begins)
        if begun:
            rows, ends, _ = piece.partition(b"\n\t]")
            yield rows
            if ends:
                return
