"""The Starlette application: the routes of all modules, and how their exceptions become answers."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Protocol

import anyio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from rtr_server.config.web import Http, read_token
from rtr_server.logs import event
from rtr_server.threads import in_thread
from rtr_server.transport.errors import TransportError
from rtr_server.web import (
    answers,
    api,
    bulk,
    compare,
    deltas,
    health,
    metrics,
    openapi,
    pages,
    status,
    validity,
    vrps,
)
from rtr_server.web.answers import Kitchen
from rtr_server.web.daemon import Daemon
from rtr_server.web.gate import Gate
from rtr_server.web.problems import MEDIA_TYPE, Problem
from rtr_server.web.protocol import Traffic

log = logging.getLogger(__name__)


class Module(Protocol):
    """A part of the HTTP side."""

    def routes(self, daemon: Daemon) -> Iterable[BaseRoute]:
        """What it answers; its handlers close over ``daemon``."""


MODULES: tuple[Module, ...] = (health, vrps, validity, bulk, deltas, status, compare, api, openapi)
"""Asked in this order, then the pages and the metrics; no two may have a path in common."""


class Web:
    """The whole HTTP side above the server: ``app`` is the ASGI application.

    TransportError: the token file cannot be used.
    """

    def __init__(self, daemon: Daemon, traffic: Traffic) -> None:
        daemon.traffic = traffic
        daemon.kitchen = Kitchen(daemon.config.http.heavy, daemon.config.http.cache)
        self.meter = metrics.Meter(daemon, traffic)
        routes = [route for module in MODULES for route in module.routes(daemon)]
        self._pages = pages.Pages(daemon)
        routes += self._pages.routes()
        routes += metrics.routes(daemon, self.meter)
        handlers = {Problem: _problem, HTTPException: self._http_exception}
        starlette = Starlette(routes=routes, exception_handlers=handlers)  # type: ignore[arg-type]
        starlette.router.redirect_slashes = False
        self.app = Gate(starlette, traffic, token_of(daemon.config.http))
        self.meter.requests = self.app.requests

    async def warm_up(self) -> None:
        """Import and compile now what the first answers need; in part in a thread.

        What cannot be had then cannot be had later: whoever asks for it is told, and routers are served.
        """
        async with anyio.create_task_group():  # chooses and imports its event loop
            pass
        try:
            await in_thread(self._prepare)
        except Exception as error:
            event(log, logging.WARNING, "HTTP not ready in all parts", error=repr(error))

    def _prepare(self) -> None:
        self._pages.warm_up()
        bulk.warm_up()

    async def _http_exception(self, request: Request, error: HTTPException) -> Response:
        """What Starlette itself refuses: no such path, on a page for browsers; another method."""
        details = {
            404: f"{request.url.path[:200]!a}: no such path",
            405: f"{request.method[:20]!a}: expected {(error.headers or {}).get('Allow', 'another method')}",
        }
        detail = details.get(error.status_code, str(error.detail))
        problem = Problem(error.status_code, detail, dict(error.headers or {}))
        if error.status_code != 404:
            return await _problem(request, problem)
        answer = self._pages.problem if answers.wants_page(request) else _problem
        response = await answer(request, problem)
        response.headers.add_vary_header("Accept")
        return response


def token_of(settings: Http) -> str | None:
    """The token as its file has it now, None where none is wanted; TransportError."""
    if settings.token is None:
        return None
    try:
        return read_token(settings.token)
    except (OSError, ValueError) as error:
        raise TransportError(f"{settings.token}: {getattr(error, 'strerror', None) or error}") from error


async def _problem(request: Request, problem: Problem) -> Response:
    return Response(problem.body(), problem.status, problem.headers, MEDIA_TYPE)
