"""/api/v1/openapi.json: what may be asked under which path, as an OpenAPI document.

A test holds its paths and methods against the routes that there are.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from rtr_server.operate import MAX_ROWS
from rtr_server.web import bulk, compare, query
from rtr_server.web.api import MAX_DAYS
from rtr_server.web.daemon import MAX_CHANGES, Daemon
from rtr_server.web.problems import MEDIA_TYPE
from rtr_server.web.selection import PARTS
from rtr_server.web.vrps import FORMATS, JSON, TEXT

PATH = "/api/v1/openapi.json"

Schema = dict[str, Any]

ASN: Schema = {"type": "string", "pattern": "^([Aa][Ss])?[0-9]{1,10}$", "example": "AS64496"}
PREFIX: Schema = {"type": "string", "example": "192.0.2.0/24"}
SERIAL: Schema = {"type": "integer", "minimum": 0, "maximum": 2**32 - 1}
SESSION: Schema = {"type": "integer", "minimum": 0, "maximum": 2**64 - 1}
OBJECT: Schema = {"type": "object"}
STRING: Schema = {"type": "string"}

PROBLEM: Schema = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": STRING,
        "title": STRING,
        "status": {"type": "integer"},
        "detail": STRING,
        "row": {"type": "integer", "description": "Of a body of many routes, counted from 0."},
    },
}


def routes(daemon: Daemon) -> Iterable[BaseRoute]:
    """The path."""
    body = msgspec.json.encode(document(secured=daemon.config.http.token is not None))

    async def openapi(request: Request) -> Response:
        query.arguments(request, ())
        return Response(body, media_type=JSON)

    yield Route(PATH, openapi)


def document(*, secured: bool = False) -> dict[str, Any]:
    """The whole document; ``secured``: with a bearer token.

    >>> document()["openapi"]
    '3.1.0'
    """
    found: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "rtr-server",
            "version": importlib.metadata.version("rovkit"),
            "description": "BGP route origin validation: Routinator's paths, StayRTR's, and our own.",
        },
        "paths": _paths(),
        "components": {"schemas": {"Problem": PROBLEM}},
    }
    if secured:
        found["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        found["security"] = [{"token": []}]
    return found


def _paths() -> dict[str, Any]:
    paths: dict[str, Any] = {
        "/healthz": {"get": _get("Whether the process answers", TEXT)},
        "/readyz": {"get": _get("Whether there are data, and fresh ones", JSON, other=(JSON, 503))},
        "/metrics": {"get": _get("Metrics for Prometheus", "text/plain")},
        "/api/v1/validity/{asn}/{prefix}": {
            "get": _get("The validity of a route", JSON, _in_path("asn", ASN), _in_path("prefix", PREFIX))
        },
        "/validity": {
            "get": _get(
                "The validity of a route",
                JSON,
                _argument("asn", ASN, required=True),
                _argument("prefix", PREFIX, required=True),
            ),
            "post": _post("The validity of routes, as Routinator tells it", {JSON: _ROUTES}, {JSON: OBJECT}),
        },
        "/api/v1/validity": {
            "post": _post("The states of many routes", *[dict.fromkeys(bulk.NAMES.values(), STRING)] * 2)
        },
        "/json-delta": {"get": _get("What has changed since a serial", JSON, *_KNOWN)},
        "/json-delta/notify": {"get": _get("Answered once the serial is another", JSON, *_KNOWN)},
        "/status": {"get": _get("How it stands", TEXT)},
        "/api/v1/status": {"get": _get("How it stands", JSON)},
        "/version": {"get": _get("The version", TEXT)},
        "/clients": {"get": _get("The connected routers", JSON)},
        "/rpki.json": {"get": _get("The set, as StayRTR exports it", JSON)},
        "/api/v1/sessions": {"get": _get("The sessions of routers", JSON)},
        "/api/v1/sources": {
            "get": _get("The sources, and how they differ", JSON, _argument("diff", _number(0, MAX_ROWS)))
        },
        "/api/v1/history": {
            "get": _get(
                "The last updates, or those that changed a prefix or a route",
                JSON,
                _argument("prefix", PREFIX),
                _argument("asn", ASN),
                _argument("days", _number(1, MAX_DAYS)),
                _argument("limit", _number(1, MAX_CHANGES)),
            )
        },
        "/api/v1/diff": {
            "get": _get(
                "What changed between two serials, and what that did to the routes",
                JSON,
                _argument("from", SERIAL, required=True),
                _argument("to", SERIAL),
                _argument("limit", _number(0, compare.MOST_LISTED)),
            )
        },
        "/api/v1/what-if": {
            "post": _post(
                "What other VRPs, or local exceptions, would do to the routes",
                {"application/octet-stream": STRING},
                {JSON: OBJECT},
                _argument("limit", _number(0, compare.MOST_LISTED)),
            )
        },
        PATH: {"get": _get("This document", JSON)},
    }
    for form, media_type in {**FORMATS, "summary": TEXT}.items():
        for path in (f"/{form}", f"/api/v1/origins/{form}"):
            paths[path] = {"get": _get(f"The set as {form}", media_type, *_SELECTION)}
    paths["/api/v1/origins/"] = paths["/api/v1/origins/json"]
    return paths


_ROUTES: Schema = {
    "type": "object",
    "required": ["routes"],
    "properties": {
        "routes": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["asn", "prefix"],
                "properties": {"asn": {"type": ["string", "integer"]}, "prefix": STRING},
            },
        }
    },
}


def _number(least: int, most: int) -> Schema:
    return {"type": "integer", "minimum": least, "maximum": most}


def _in_path(name: str, schema: Schema) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _argument(name: str, schema: Schema, *, required: bool = False) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": required, "schema": schema}


def _many(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


_KNOWN = (_argument("session", SESSION), _argument("serial", SERIAL))
_SELECTION = (
    *(_argument(f"{verb}-asn", _many(ASN)) for verb in ("select", "filter")),
    *(_argument(f"{verb}-prefix", _many(PREFIX)) for verb in ("select", "filter")),
    _argument("include", {"type": "string", "enum": ["more-specifics"]}),
    _argument("exclude", {"type": "string", "enum": sorted(PARTS)}),
)

_REFUSED = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}


def _get(
    summary: str, media_type: str, *parameters: dict[str, Any], other: tuple[str, int] | None = None
) -> dict[str, Any]:
    plain = media_type.partition(";")[0]
    schema = {"type": ["object", "array"]} if plain == JSON else STRING
    responses: dict[str, Any] = {
        "200": {"description": "OK", "content": {plain: {"schema": schema}}},
        "304": {"description": "The client has it already"},
    }
    if other is not None:
        responses[str(other[1])] = {"description": "Not so", "content": {other[0]: {"schema": OBJECT}}}
    responses["default"] = {"description": "What was expected instead", "content": _REFUSED}
    return {"summary": summary, "parameters": list(parameters), "responses": responses}


def _post(
    summary: str, takes: dict[str, Schema], gives: dict[str, Schema], *parameters: dict[str, Any]
) -> dict[str, Any]:
    def content(types: dict[str, Schema]) -> dict[str, Any]:
        return {name: {"schema": schema} for name, schema in types.items()}

    responses = {
        "200": {"description": "OK", "content": content(gives)},
        "default": {"description": "What was expected instead", "content": _REFUSED},
    }
    body = {"required": True, "content": content(takes)}
    return {"summary": summary, "parameters": list(parameters), "requestBody": body, "responses": responses}
