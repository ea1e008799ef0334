"""Conditional requests (RFC 9110, 13): the client names what it has, and is told when it still is so."""

from __future__ import annotations

import re
from hashlib import sha256
from http import HTTPStatus

from fastapi import Request, Response

_TAG = re.compile(r'(?:W/)?("[^"]*")')


def unchanged(request: Request, response: Response, etag: str) -> Response | None:
    """Give the answer its ETag; returns the 304 to answer instead when the client has this one already."""
    if has(request.headers.get("if-none-match"), etag):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers={"ETag": etag})
    response.headers["ETag"] = etag
    return None


def etag_of(*parts: object) -> str:
    """A weak tag for an answer that these determine."""
    return f'W/"{sha256(repr(parts).encode()).hexdigest()[:20]}"'


def has(if_none_match: str | None, etag: str) -> bool:
    """Whether the tag is among the client's; as the RFC wants it here, weak ones count like strong ones."""
    given = if_none_match or ""
    return given.strip() == "*" or etag.removeprefix("W/") in _TAG.findall(given)


def has_one_of(if_none_match: str, beginning: str) -> bool:
    """Whether one of the client's tags begins so: it has this thing, though perhaps with other details."""
    return if_none_match.strip() == "*" or any(tag.startswith(f'"{beginning}') for tag in _TAG.findall(if_none_match))
