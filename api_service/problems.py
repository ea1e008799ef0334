"""Every error answer: RFC 9457 problem details. The only place that decides an HTTP status for an error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException

from api_service import audit
from shared import log
from shared.errors import (
    BackendUnavailableError,
    BlobMissingError,
    DocrelayError,
    EmptyFileError,
    IdempotencyMismatchError,
    IllegalMoveError,
    IntakeError,
    MissingFilenameError,
    MoveRefusedError,
    QuotaExceededError,
    TooLargeError,
    UnsupportedTypeError,
)

_log = log.get(__name__)

MEDIA_TYPE = "application/problem+json"
_RENAMED = {
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "Content Too Large",
    HTTPStatus.UNPROCESSABLE_ENTITY: "Unprocessable Content",
}

_STATUS: dict[type[DocrelayError], HTTPStatus] = {
    BackendUnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
    BlobMissingError: HTTPStatus.NOT_FOUND,
    EmptyFileError: HTTPStatus.UNPROCESSABLE_ENTITY,
    IdempotencyMismatchError: HTTPStatus.UNPROCESSABLE_ENTITY,
    IllegalMoveError: HTTPStatus.CONFLICT,
    IntakeError: HTTPStatus.UNPROCESSABLE_ENTITY,
    MissingFilenameError: HTTPStatus.UNPROCESSABLE_ENTITY,
    MoveRefusedError: HTTPStatus.CONFLICT,
    QuotaExceededError: HTTPStatus.FORBIDDEN,
    TooLargeError: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    UnsupportedTypeError: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
}
_RETRY_AFTER_SECONDS = 5
# By code: a full quota has the status of a route for admins, and no access is refused by it.
_REFUSALS: dict[str, audit.Result] = {"unauthorized": "refused", "forbidden": "refused"}


class ProblemError(DocrelayError):
    """The request cannot be served."""

    def __init__(
        self,
        status: HTTPStatus,
        code: str,
        detail: str,
        *,
        errors: Sequence[Mapping[str, Any]] = (),
        headers: Mapping[str, str] | None = None,
        audited: bool = False,
    ) -> None:
        """`audited`: a refusal that the audit log has already."""
        super().__init__(detail)
        self.status = status
        self.code = code
        self.errors = errors
        self.headers = headers
        self.audited = audited


def not_found() -> ProblemError:
    """The one answer for a missing, a foreign and a malformed id, so that none can be told from another."""
    return ProblemError(HTTPStatus.NOT_FOUND, "not_found", "There is no such document.")


def not_uploaded() -> ProblemError:
    return ProblemError(HTTPStatus.CONFLICT, "not_uploaded", "The file has not been uploaded yet.")


def invalid(field: str, detail: str) -> ProblemError:
    """One field of the request is wrong."""
    errors = [{"field": field, "detail": detail}]
    return ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_request", f"{field}: {detail}", errors=errors)


def unauthorized(detail: str, *, audited: bool = False) -> ProblemError:
    headers = {"WWW-Authenticate": "Bearer"}
    return ProblemError(HTTPStatus.UNAUTHORIZED, "unauthorized", detail, headers=headers, audited=audited)


def title_of(status: HTTPStatus) -> str:
    """A status in the words of RFC 9110, whatever Python's version calls it."""
    return _RENAMED.get(status, status.phrase)


def body_of(
    status: HTTPStatus, code: str, detail: str, *, instance: str = "", request_id: str | None = None
) -> dict[str, Any]:
    return {
        "type": f"urn:docrelay:problem:{code}",
        "title": title_of(status),
        "status": int(status),
        "detail": detail,
        "instance": instance,
        "request_id": request_id,
        "code": code,
    }


def status_of(error: DocrelayError) -> HTTPStatus:
    return _STATUS.get(type(error), HTTPStatus.INTERNAL_SERVER_ERROR)


def install(app: FastAPI) -> None:
    app.add_exception_handler(ProblemError, _on_problem)
    app.add_exception_handler(DocrelayError, _on_docrelay_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(Exception, _on_bug)


async def _on_problem(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ProblemError)
    result = "limited" if error.status is HTTPStatus.TOO_MANY_REQUESTS else _REFUSALS.get(error.code)
    if result and not error.audited:
        audit.record("access", result, code=error.code, route=getattr(request.scope.get("route"), "path", None))
    return _answer(request, error.status, error.code, str(error), errors=error.errors, headers=error.headers)


async def _on_docrelay_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, DocrelayError)
    status = status_of(error)
    if status is HTTPStatus.INTERNAL_SERVER_ERROR:
        return await _on_bug(request, error)
    headers = {"Retry-After": str(_RETRY_AFTER_SECONDS)} if status is HTTPStatus.SERVICE_UNAVAILABLE else None
    return _answer(request, status, _code(error, status), str(error), headers=headers)


async def _on_invalid_request(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    # The first part says where in the request the field is, which the client knows.
    errors = [
        {"field": ".".join(map(str, item["loc"][1:])), "detail": item["msg"].removeprefix("Value error, ")}
        for item in error.errors()
    ]
    detail = "; ".join(": ".join(filter(None, item.values())) for item in errors)
    return _answer(request, HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_request", detail, errors=errors)


async def _on_http_exception(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    headers = dict(error.headers or {})
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(allowed_methods(request))
    return _answer(request, status, status.name.lower(), str(error.detail), headers=headers)


def allowed_methods(request: Request) -> list[str]:
    """Of every route with this path; the router itself names those of the first one only."""
    path, routes = request.url.path, list(iter_route_contexts(request.app.routes))
    matching = (context.path for context in routes if context.path_regex.match(path))
    # One that is spelled out stands before one with a name in its place.
    template = next(matching, None)
    return sorted({method for context in routes if context.path == template for method in context.methods or ()})


async def _on_bug(request: Request, error: Exception) -> JSONResponse:
    _log.error("http.failed", exc_info=error)
    detail = "Something went wrong on our side. The request id finds it in the log."
    return _answer(request, HTTPStatus.INTERNAL_SERVER_ERROR, "internal", detail)


def _code(error: DocrelayError, status: HTTPStatus) -> str:
    if isinstance(error, IntakeError):
        return error.code
    return "idempotency_mismatch" if isinstance(error, IdempotencyMismatchError) else status.name.lower()


def _answer(
    request: Request,
    status: HTTPStatus,
    code: str,
    detail: str,
    *,
    errors: Sequence[Mapping[str, Any]] = (),
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    body = body_of(status, code, detail, instance=request.url.path, request_id=log.request_id())
    if errors:
        body["errors"] = list(errors)
    return JSONResponse(body, status_code=status, headers=dict(headers or {}), media_type=MEDIA_TYPE)
