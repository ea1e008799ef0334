"""Requests that move a document: process, cancel, delete. Each may be repeated without a second effect."""

from http import HTTPStatus

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from api_service import audit
from api_service.bodies import described, read_body
from api_service.dependencies import DocumentDep, IdempotencyKeyDep, ServicesDep, known_profile
from api_service.requests import ProcessIn
from api_service.routes import problems
from api_service.runs import answer_run, busy, keyed_by, move, under_way
from api_service.schemas import StatusOut
from shared.analysis import RunOptions
from shared.document import Change, Document, DocumentStatus, Facts
from shared.idempotency import request_hash
from shared.moves import insist

router = APIRouter(prefix="/documents", tags=["documents"])


@router.post(
    "/{document_id}/process",
    status_code=202,
    response_model=StatusOut,
    responses={
        200: {"model": StatusOut, "description": "Completed: nothing to start."},
        **problems(401, 404, 408, 409, 413, 422, 503),
    },
    openapi_extra=described(ProcessIn, required=False),
)
async def process(
    request: Request, document: DocumentDep, services: ServicesDep, key: IdempotencyKeyDep
) -> JSONResponse:
    """Start a new run of a document that waits, failed or was cancelled; of a completed one with `force`,
    or by another profile. Without `profile`, the document's own is used.

    What is under way already goes on: 202; 409 when that is for something else (labels, another profile, no `force`).
    What is completed stays so: 200. Nothing has to be uploaded again. A new run begins without the result of the
    one before, also when it is cancelled or fails; until a forced answer replaces it, a run without `force` brings it
    back from the kept answers, for nothing.
    """
    wanted = await read_body(request, ProcessIn)
    profile = known_profile(services, wanted.profile or document.options.profile)

    def new_run(current: Document) -> Facts | None:
        options = RunOptions(profile=profile)
        if under_way(current):
            if current.options != options or (wanted.force and not current.force):
                raise busy()
            return None
        if current.status is DocumentStatus.COMPLETED and current.options.profile == profile and not wanted.force:
            return None
        return {"report": None, "failure": None, "force": wanted.force, "options": options}

    keyed = keyed_by(services, document, "process", key)
    return await answer_run(document, services, keyed, new_run, asked=request_hash(wanted.model_dump()))


@router.post("/{document_id}/cancel", responses=problems(401, 404, 409, 503))
async def cancel(document: DocumentDep, services: ServicesDep) -> StatusOut:
    """Stop a document that waits or is being processed, before its next paid call. 409 when it is at its end."""

    def to_cancelled(current: Document) -> Change | None:
        if current.status is DocumentStatus.CANCELLED:
            return None
        return move(services, current, DocumentStatus.CANCELLED)

    return StatusOut.of(await insist(services.backends.documents, document, to_cancelled))


@router.delete("/{document_id}", status_code=204, responses=problems(401, 404, 409, 503))
async def delete(document: DocumentDep, services: ServicesDep) -> Response:
    """Delete the document and everything of it. It is gone at once; its objects and rows within a sweep."""
    await insist(
        services.backends.documents, document, lambda current: move(services, current, DocumentStatus.DELETING)
    )
    audit.record("document.delete", "accepted", document_id=str(document.id))
    return Response(status_code=HTTPStatus.NO_CONTENT)
