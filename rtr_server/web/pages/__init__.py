"""The looking glass: pages for people, which work without script.

``/`` the overview, ``/lookup`` a prefix or an address, ``/asn/N`` an AS, ``/events`` the live view of the
overview. Whatever walks a set, a RIB or a template is done in a thread, a few at a time; the archive is read
by processes of their own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from rtr_server.threads import in_thread
from rtr_server.web import answers, needs, query
from rtr_server.web.daemon import Daemon
from rtr_server.web.pages import lookup
from rtr_server.web.pages.asked import Form, asked, form_of
from rtr_server.web.pages.asn import Asns
from rtr_server.web.pages.files import Files
from rtr_server.web.pages.live import Live
from rtr_server.web.pages.overview import Overview
from rtr_server.web.pages.past import DAYS, Kept, days_of
from rtr_server.web.pages.render import Renderer
from rtr_server.web.problems import Problem

HTML = "text/html; charset=utf-8"

NOTHING = Form()

BUSY = {"Retry-After": "60"}


class Pages:
    """All pages of a daemon."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._renderer = Renderer()
        self.warm_up = self._renderer.compile
        self._files = Files()
        self._kept = Kept()
        self._asns = Asns(daemon)
        self._overview = Overview(daemon, self._renderer)
        self.live = Live(self._overview.parts)
        daemon.at_end.append(self.live.end)
        self._turns = asyncio.Semaphore(daemon.config.http.heavy)

    def routes(self) -> Iterable[BaseRoute]:
        """For the application."""
        yield Route("/", self._guarded(self._start))
        yield Route("/lookup", self._guarded(self._lookup))
        yield Route("/prefix/{prefix:path}", self._prefix)
        yield Route("/asn/{asn}", self._guarded(self._asn))
        yield Route("/events", self._events)
        yield self._files.route()

    def _guarded(self, handler: Callable[[Request], Awaitable[Response]]) -> Any:
        """What is wrong with a request is said on a page, with the form as it was filled in."""

        async def guarded(request: Request) -> Response:
            try:
                async with self._turns:
                    return await handler(request)
            except Problem as problem:
                form = form_of(dict(request.query_params))
                if "asn" in request.path_params:
                    form = Form("", request.path_params["asn"][:100])
                return await self.problem(request, problem, form)

        return guarded

    async def problem(self, request: Request, problem: Problem, form: Form = NOTHING) -> Response:
        """What went wrong, as a page."""
        values = {"problem": problem, "form": form}
        return await self._page(request, "problem.html", values, problem.status, problem.headers)

    async def _page(
        self,
        request: Request,
        name: str,
        values: Mapping[str, Any],
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        coding = answers.coding_for(request)
        base = {"form": NOTHING, "at": name.partition(".")[0], "version": self._files.version}
        body = await in_thread(lambda: self._renderer.page(name, {**base, **values}))
        if coding and len(body) > answers.SMALL:
            body = await in_thread(lambda: answers.packed([body], coding))
            headers = {**(headers or {}), "Content-Encoding": coding}
        told = {"Cache-Control": "no-store", "Vary": "Accept-Encoding", **(headers or {})}
        return Response(body, status, told, HTML)

    async def _start(self, request: Request) -> Response:
        query.arguments(request, ())
        return await self._page(request, "overview.html", await self._overview.values())

    async def _lookup(self, request: Request) -> Response:
        given = query.single(request, "prefix", "asn", "days")
        form = form_of(given)
        wanted = asked(form)
        if wanted is None:
            return await self._page(request, "ask.html", {})
        if wanted.prefix is None:
            return RedirectResponse(f"/asn/{wanted.asn}", 303)
        served = needs.served(self._daemon)
        days = days_of(given.get("days", str(DAYS[0])))
        values = await lookup.values(self._daemon, self._kept, served, wanted, days)
        shown = Form(
            str(wanted.prefix).partition("/")[0] if wanted.address else str(wanted.prefix),
            "" if wanted.asn is None else f"AS{wanted.asn}",
        )
        return await self._page(request, "lookup.html", {**values, "form": shown})

    async def _prefix(self, request: Request) -> Response:
        """A short address to share: /prefix/192.0.2.0/24."""
        found = query.single(request, "asn")
        wanted = {"prefix": request.path_params["prefix"], **found}
        return RedirectResponse(f"/lookup?{urlencode(wanted, safe='/:')}", 308)

    async def _asn(self, request: Request) -> Response:
        query.arguments(request, ())
        number = query.asn(request.path_params["asn"])
        served = needs.served(self._daemon)
        values = await self._asns.values(served, number)
        return await self._page(request, "asn.html", {**values, "form": Form("", f"AS{number}")})

    async def _events(self, request: Request) -> Response:
        query.arguments(request, ())
        if self.live.full:
            raise Problem(503, "as many live views as there may be: expected one later", BUSY)
        return self.live.stream()
