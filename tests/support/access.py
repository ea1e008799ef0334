"""Who may do what at which route: the table that the matrix of route and identity is made from.

A route that is missing here, or that is gone from the application, turns the tests red.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from shared.document import DocumentStatus
from tests.support.builders import S

PREFIX = "/api/v1"


class Guard(StrEnum):
    """Whom a route lets in."""

    EVERYBODY = "everybody"
    CALLER = "any user, to what is their own"
    OWNER = "the owner of the document"
    ADMIN = "admins"
    LISTENER = "any user, by a ticket too"
    LISTENING_ADMIN = "admins, by a ticket too"


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """`answer` is what whoever is let in gets for `request`, the document being in `status`."""

    guard: Guard
    answer: int
    status: DocumentStatus = S.COMPLETED
    request: dict[str, Any] = field(default_factory=dict)


def _owner(answer: int, status: DocumentStatus = S.COMPLETED, **request: Any) -> Rule:
    return Rule(guard=Guard.OWNER, answer=answer, status=status, request=request)


def _rule(guard: Guard, answer: int, **request: Any) -> Rule:
    return Rule(guard=guard, answer=answer, request=request)


_FILE = {"files": {"file": ("note.txt", b"A note.", "text/plain")}}
_PUBLIC, _CALLER, _ADMIN = Guard.EVERYBODY, Guard.CALLER, Guard.ADMIN

# Paths without the prefix. A route that is mounted without it as well has the same rule there.
RULES: dict[str, Rule] = {
    "GET /": _rule(_PUBLIC, 307),
    "GET /docs": _rule(_PUBLIC, 200),
    "GET /openapi.json": _rule(_PUBLIC, 200),
    "GET /swagger/favicon-32x32.png": _rule(_PUBLIC, 200),
    "GET /swagger/swagger-ui-bundle.js": _rule(_PUBLIC, 200),
    "GET /swagger/swagger-ui.css": _rule(_PUBLIC, 200),
    "GET /livez": _rule(_PUBLIC, 200),
    "GET /readyz": _rule(_PUBLIC, 200),
    "GET /version": _rule(_PUBLIC, 200),
    # They look at what is in the body, whoever sends it.
    "POST /auth/login": _rule(_PUBLIC, 422, json={}),
    "POST /auth/refresh": _rule(_PUBLIC, 422, json={}),
    "POST /auth/logout": _rule(_CALLER, 204),
    "GET /auth/me": _rule(_CALLER, 200),
    "POST /auth/stream-ticket": _rule(_CALLER, 200),
    "GET /users": _rule(_ADMIN, 200),
    "POST /users": _rule(_ADMIN, 422, json={}),
    "PATCH /users/{name}": _rule(_ADMIN, 404, json={"disabled": True}),
    "GET /documents": _rule(_CALLER, 200),
    "POST /documents": _rule(_CALLER, 202, **_FILE),
    "POST /documents/uploads": _rule(_CALLER, 201, json={"filename": "note.txt", "size": 7}),
    "GET /documents/stream": _rule(Guard.LISTENER, 200),
    "GET /admin/stream": _rule(Guard.LISTENING_ADMIN, 200),
    "GET /documents/{document_id}": _owner(200),
    "DELETE /documents/{document_id}": _owner(204),
    "GET /documents/{document_id}/content": _owner(302),
    "GET /documents/{document_id}/history": _owner(200),
    "GET /documents/{document_id}/status": _owner(200),
    "GET /documents/{document_id}/text": _owner(200),
    "POST /documents/{document_id}/cancel": _owner(200, S.PENDING),
    "POST /documents/{document_id}/classify": _owner(202, S.FAILED, json={"labels": [{"name": "invoice"}]}),
    "POST /documents/{document_id}/process": _owner(202, S.FAILED),
    "POST /documents/{document_id}/uploaded": _owner(202),
    "GET /folders": _rule(_CALLER, 200),
    # A folder of somebody else is like an empty one.
    "POST /folders/{path:folder}/classify": _rule(_CALLER, 202, json={"labels": [{"name": "invoice"}]}),
    "GET /folders/{path:folder}/documents": _rule(_CALLER, 200),
    "GET /folders/{path:folder}/insights": _rule(_CALLER, 200),
    "GET /usage": _rule(_CALLER, 200),
    # Those of the systems that came before.
    "GET /documents/": _rule(_CALLER, 200),
    "POST /documents/": _rule(_CALLER, 202, **_FILE),
    "POST /documents/upload": _rule(_CALLER, 202, **_FILE),
    "POST /upload": _rule(_CALLER, 202, **_FILE),
    "GET /folder-insights/{path:folder}/get_folder_files_metadata": _rule(_CALLER, 200),
    "POST /folder-insights/{path:folder}/get_folder_files_metadata": _rule(_CALLER, 200),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    method: str
    path: str

    @property
    def rule(self) -> str:
        """The name of its rule."""
        return f"{self.method} {self.path.removeprefix(PREFIX)}"

    def at(self, **names: str) -> str:
        """The path with these names in it; a KeyError for one that is new here."""
        return re.sub(r"\{(\w+)(?::path)?\}", lambda match: names[match[1]], self.path)


def routes_of(app: FastAPI) -> list[Route]:
    """Every route that the application answers, those outside its description included."""
    return [
        Route(method=method, path=context.path)
        for context in iter_route_contexts(app.routes)
        for method in sorted((context.methods or set()) - {"HEAD"})
        if context.path is not None
    ]
