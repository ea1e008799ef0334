"""What an answer of the API comes to, and what it means that it is none. Knows neither routes nor log-ins."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2

from shared.errors import DocrelayError

JSON = Mapping[str, Any]


class RequestRefusedError(DocrelayError):
    """The API refused a request; `problem` is its answer (RFC 9457)."""

    def __init__(self, status: int, problem: JSON) -> None:
        why = problem.get("detail") or problem.get("title") or httpx2.codes.get_reason_phrase(status)
        super().__init__(f"{status} {why}".strip())
        self.status = status
        self.problem = problem


class NotDocrelayError(DocrelayError):
    """What answers is not Docrelay: another server, or one that stands before it."""

    def __init__(self, answer: httpx2.Response) -> None:
        kind = answer.headers.get("Content-Type", "without a type")
        super().__init__(f"{answer.url} answers, but not as Docrelay does ({answer.status_code}, {kind}).")


async def require_success(answer: httpx2.Response) -> None:
    """Raises RequestRefusedError, and NotDocrelayError for what Docrelay would not say."""
    if answer.is_success:
        return
    await answer.aread()
    problem = _json(answer)
    if answer.is_redirect or (answer.status_code == httpx2.codes.NOT_FOUND and "code" not in problem):
        raise NotDocrelayError(answer)
    raise RequestRefusedError(answer.status_code, problem)


def require_type(answer: httpx2.Response, wanted: str) -> None:
    """Raises NotDocrelayError."""
    if answer.headers.get("Content-Type", "").partition(";")[0].strip().lower() != wanted:
        raise NotDocrelayError(answer)


def content(answer: httpx2.Response, *fields: str) -> JSON:
    """The JSON of an answer that has been read, with these fields at least. Raises NotDocrelayError."""
    found = _json(answer)
    if not found.keys() >= {*fields}:
        raise NotDocrelayError(answer)
    return found


def retry_after(answer: httpx2.Response) -> float:
    """How many seconds the server asks to wait: a number or a date (RFC 9110); 1 when it says neither."""
    said = answer.headers.get("Retry-After", "")
    if said.isdecimal():
        return float(said)
    try:
        date = parsedate_to_datetime(said)
    except ValueError:
        return 1.0
    # It is in GMT, by whatever name.
    return max(0.0, (date.replace(tzinfo=UTC) - datetime.now(UTC)).total_seconds())


def _json(answer: httpx2.Response) -> JSON:
    try:
        found = answer.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
