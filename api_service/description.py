"""Completes the OpenAPI document by what FastAPI does not know: errors, headers, tickets, bodies read by hand."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from pydantic.json_schema import models_json_schema

from api_service.labels import ClassifyIn
from api_service.problems import MEDIA_TYPE, title_of
from api_service.requests import LoginIn, PresignedIn, ProcessIn, RefreshIn, UserChange, UserIn
from api_service.schemas import Problem

# Bodies that are read by hand: routes name them, and FastAPI does not know them.
_BODIES = (ClassifyIn, LoginIn, PresignedIn, ProcessIn, RefreshIn, UserChange, UserIn)
_PREFIX, _STREAM = "/api/v1", "text/event-stream"
_BEARER, _TICKET = "OAuth2PasswordBearer", "StreamTicket"
_TICKET_SCHEME = {
    "type": "apiKey",
    "in": "query",
    "name": "ticket",
    "description": "From `POST /auth/stream-ticket`: good for a minute, and for opening a stream only.",
}
# What any of the API's routes may answer; the first two only where a token is asked for.
_WITH_TOKEN, _ALWAYS = ("401", "503"), ("429",)
_CODES = {
    "400": "disconnected",
    "401": "unauthorized",
    "403": "forbidden",
    "404": "not_found",
    "408": "request_timeout",
    "409": "conflict",
    "413": "too_large",
    "415": "unsupported_type",
    "422": "invalid_request",
    "429": "rate_limited",
    "503": "service_unavailable",
}


def _header(description: str, kind: str = "string") -> dict[str, Any]:
    return {"description": description, "schema": {"type": kind}}


_REQUEST_ID = _header("Finds this request in the log.")
_HEADERS: dict[str, dict[str, Any]] = {
    "302": {"Location": _header("Where the file is, for five minutes.")},
    "401": {"WWW-Authenticate": _header("The scheme that is asked for: Bearer.")},
    "429": {
        "Retry-After": _header("Seconds to wait.", "integer"),
        "RateLimit": _header("What is left of each limit, and when it begins anew."),
        "RateLimit-Policy": _header("The limits."),
    },
    "503": {"Retry-After": _header("Seconds to wait.", "integer")},
}
_ETAG = {"ETag": _header("Names this answer, for `If-None-Match`.")}
_FEED_CURSOR = {"Feed-Cursor": _header("Where the stream begins, before its first event has told it.")}
_EVENT: dict[str, Any] = {
    "schema": {
        "description": "One event of the stream. Only `status` has an id, which is where to go on: `Last-Event-ID`.",
        "type": "object",
        "properties": {
            "event": {"type": "string", "enum": ["status", "reset", "reauth", "bye"]},
            "id": {"type": "string"},
            "data": {"type": "string", "description": "A JSON object; docs/streaming.md has its fields."},
            "retry": {"type": "integer"},
        },
        "required": ["event", "data"],
    },
}
_LABELS = {"labels": [{"name": "contract", "description": "Agreements that both sides signed."}, {"name": "other"}]}
_EXAMPLES: dict[tuple[str, str], dict[str, Any]] = {
    ("post", "/auth/login"): {"username": "ada", "password": "correct horse battery staple"},
    ("post", "/auth/refresh"): {"refresh_token": "eyJhbGciOiJIUzI1NiIsInR5cCI6InJ0K2p3dCJ9.…"},
    ("post", "/users"): {"username": "ada", "password": "correct horse battery staple", "role": "user"},
    ("patch", "/users/{name}"): {"disabled": True},
    ("post", "/documents/uploads"): {"filename": "paper.pdf", "size": 48_213, "folder": "research/2026"},
    ("post", "/documents/{document_id}/process"): {"force": True},
    ("post", "/documents/{document_id}/classify"): _LABELS,
    ("post", "/folders/{path}/classify"): _LABELS,
}


def complete(openapi: dict[str, Any]) -> dict[str, Any]:
    """Every error is a problem, FastAPI's own 422 included; every answer names its request."""
    components = openapi["components"]
    for unused in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(unused, None)
    components["schemas"] = dict(sorted((components["schemas"] | _own_schemas()).items()))
    components["securitySchemes"][_TICKET] = _TICKET_SCHEME
    for path, operations in openapi["paths"].items():
        for method, operation in operations.items():
            _add_errors(path, operation)
            _add_ticket(operation)
            _add_example(operation, _EXAMPLES.get((method, path.removeprefix(_PREFIX))))
            for status, answer in operation["responses"].items():
                _complete_answer(status, answer, path, tagged="304" in operation["responses"])
    return openapi


def _own_schemas() -> dict[str, Any]:
    """Of models that routes use without FastAPI."""
    _, described = models_json_schema(
        [(model, "validation") for model in (*_BODIES, Problem)], ref_template="#/components/schemas/{model}"
    )
    schemas: dict[str, Any] = described["$defs"]
    return schemas


def _add_errors(path: str, operation: dict[str, Any]) -> None:
    wanted = _WITH_TOKEN if operation.get("security") else ()
    for status in (*wanted, *(_ALWAYS if path.startswith(_PREFIX) else ())):
        operation["responses"].setdefault(status, {"description": title_of(HTTPStatus(int(status)))})


def _add_ticket(operation: dict[str, Any]) -> None:
    if any(one["name"] == "ticket" for one in operation.get("parameters", [])):
        operation["parameters"] = [one for one in operation["parameters"] if one["name"] != "ticket"]
        operation["security"] = [{_BEARER: []}, {_TICKET: []}]


def _add_example(operation: dict[str, Any], example: dict[str, Any] | None) -> None:
    for content in operation.get("requestBody", {}).get("content", {}).values():
        if example is not None:
            content["example"] = example


def _complete_answer(status: str, answer: dict[str, Any], path: str, *, tagged: bool) -> None:
    headers = _HEADERS.get(status, {}) | (_ETAG if tagged and status in {"200", "304"} else {})
    if _STREAM in answer.get("content", {}):
        answer["content"] = {_STREAM: _EVENT}
        headers = headers | _FEED_CURSOR
    answer["headers"] = {"X-Request-ID": _REQUEST_ID} | headers | answer.get("headers", {})
    if status < "400":
        return
    example = {
        "type": f"urn:docrelay:problem:{_CODES[status]}",
        "title": title_of(HTTPStatus(int(status))),
        "status": int(status),
        "detail": "A sentence that says what to do.",
        "instance": path,
        "request_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "code": _CODES[status],
    }
    answer["content"] = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}}
