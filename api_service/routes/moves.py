"""Requests that move a document: process, cancel, delete. Each may be repeated without a second effect."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from api_service import audit
from api_service.bodies import described, read_body
from api_service.dependencies import DocumentDep, IdempotencyKeyDep, Services, ServicesDep, known_profile
from api_service.idempotency import KeyedRequest, answered, replayed
from api_service.problems import not_found
from api_service.routes import problems
from api_service.schemas import ProcessIn, StatusOut
from shared.analysis import RunOptions
from shared.document import Change, Document, DocumentStatus, Facts, advance
from shared.errors import KeyTakenError
from shared.idempotency import IdempotencyRecord, request_hash
from shared.moves import insist

router = APIRouter(prefix="/documents", tags=["documents"])


@router.post(
    "/{document_id}/process",
    status_code=202,
    response_model=StatusOut,
    responses={
        200: {"model": StatusOut, "description": "Completed: nothing to start."},
        **problems(401, 404, 409, 413, 422, 503),
    },
    openapi_extra=described(ProcessIn, required=False),
)
async def process(
    request: Request, document: DocumentDep, services: ServicesDep, key: IdempotencyKeyDep
) -> JSONResponse:
    """Start a new run of a document that waits, failed or was cancelled; of a completed one with `force`,
    or by another profile. Without `profile`, the document's own is used.

    What is under way already goes on: 202. What is completed stays so: 200. Nothing has to be uploaded again.
    """
    wanted = await read_body(request, ProcessIn)
    profile = known_profile(services, wanted.profile or document.options.profile)
    asked = request_hash(wanted.model_dump())
    keyed = KeyedRequest(
        owner=document.owner,
        route=f"/documents/{document.id}/process",
        key=key,
        store=services.backends.idempotency,
        clock=services.clock,
    )
    if kept := await keyed.kept():
        return replayed(kept, request_hash=asked)
    try:
        return await _start(document, services, keyed, force=wanted.force, profile=profile, asked=asked)
    except KeyTakenError:
        kept = await keyed.kept()
        if kept is None:
            raise
        return replayed(kept, request_hash=asked)


@router.post("/{document_id}/cancel", responses=problems(401, 404, 409, 503))
async def cancel(document: DocumentDep, services: ServicesDep) -> StatusOut:
    """Stop a document that waits or is being processed, before its next paid call. 409 when it is at its end."""

    def to_cancelled(current: Document) -> Change | None:
        if current.status is DocumentStatus.CANCELLED:
            return None
        return _move(services, current, DocumentStatus.CANCELLED)

    return StatusOut.of(await insist(services.backends.documents, document, to_cancelled))


@router.delete("/{document_id}", status_code=204, responses=problems(401, 404, 409, 503))
async def delete(document: DocumentDep, services: ServicesDep) -> Response:
    """Delete the document and everything of it. It is gone at once; its objects and rows within a sweep."""
    await insist(
        services.backends.documents, document, lambda current: _move(services, current, DocumentStatus.DELETING)
    )
    audit.record("document.delete", "accepted", document_id=str(document.id))
    return Response(status_code=HTTPStatus.NO_CONTENT)


async def _start(
    document: Document, services: Services, keyed: KeyedRequest, *, force: bool, profile: str, asked: str
) -> JSONResponse:
    started = False

    def to_pending(current: Document) -> Change | None:
        nonlocal started
        done = current.status is DocumentStatus.COMPLETED and current.options.profile == profile
        started = not _under_way(current) and (force or not done)
        options = RunOptions(profile=profile)
        new_run: Facts = {"report": None, "failure": None, "force": force, "options": options}
        return _move(services, current, DocumentStatus.PENDING, **new_run) if started else None

    def record(current: Document) -> IdempotencyRecord | None:
        return keyed.record(_body(current), status=_status(current), request_hash=asked)

    current = await insist(services.backends.documents, document, to_pending, answer=record)
    if started:
        await services.intake.send(current)
    elif (nothing_to_do := record(current)) and not await services.backends.idempotency.remember(nothing_to_do):
        raise KeyTakenError
    return answered(_body(current), status=_status(current))


def _move(services: Services, current: Document, to: DocumentStatus, **facts: Any) -> Change:
    if current.status is DocumentStatus.DELETING:
        raise not_found()
    return advance(current, to, at=services.clock(), write_id=services.new_id(), **facts)


def _under_way(document: Document) -> bool:
    return document.working or document.status is DocumentStatus.PENDING


def _body(document: Document) -> dict[str, Any]:
    return StatusOut.of(document).model_dump(mode="json")


def _status(document: Document) -> HTTPStatus:
    return HTTPStatus.OK if document.status is DocumentStatus.COMPLETED else HTTPStatus.ACCEPTED
