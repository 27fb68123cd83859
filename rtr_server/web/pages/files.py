"""The static files of pages: read once, named by their content, kept by browsers."""

from __future__ import annotations

import hashlib
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from rtr_server.web import answers
from rtr_server.web.problems import Problem

MEDIA_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}

DAY = 86_400


class Files:
    """The files under /static. ``version`` changes with any of them, and stands in their addresses."""

    def __init__(self) -> None:
        report = files("rov") / "report" / "templates" / "style.css"
        own = [each for each in (files(__package__) / "static").iterdir() if "." in each.name]
        found = {each.name: each.read_bytes() for each in own if each.name.rpartition(".")[2] in MEDIA_TYPES}
        self._files = {**found, "style.css": report.read_bytes()}
        whole = hashlib.sha256(b"".join(self._files[name] for name in sorted(self._files)))
        self.version = whole.hexdigest()[:12]

    def route(self) -> Route:
        """/static/NAME."""

        async def static(request: Request) -> Response:
            name = request.path_params["name"]
            body = self._files.get(name)
            if body is None:
                raise Problem(404, "no such file")
            fresh = request.query_params.get("v") == self.version
            headers = {
                "ETag": f'"{self.version}"',
                "Cache-Control": f"public, max-age={365 * DAY}, immutable" if fresh else "no-cache",
            }
            if answers.not_modified(request, self.version, 0):
                return Response(status_code=304, headers=headers)
            return Response(body, headers=headers, media_type=MEDIA_TYPES[name.rpartition(".")[2]])

        return Route("/static/{name}", static)
