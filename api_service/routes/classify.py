"""Classification with labels of the caller's own, for a document and for a folder. The analysis stays as it is."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse

from api_service.bodies import described, read_body
from api_service.dependencies import CallerDep, DocumentDep, IdempotencyKeyDep, Services, ServicesDep
from api_service.labels import MAX_BODY_BYTES, ClassifyIn, FolderClassifyOut, SkippedDocument
from api_service.listing import CursorQuery, read_page
from api_service.problems import ProblemError
from api_service.routes import problems
from api_service.routes.folders import FolderDep
from api_service.runs import Wanted, answer_run, busy, keyed_by, start_run, under_way
from api_service.schemas import StatusOut
from shared.analysis import RunOptions
from shared.document import Document, DocumentStatus, Facts
from shared.errors import MoveError
from shared.idempotency import request_hash
from shared.lists import ListFilter

router = APIRouter()

# Moves of one owner wait for each other; their messages do not.
_AT_ONCE = 8


@router.post(
    "/documents/{document_id}/classify",
    tags=["documents"],
    status_code=202,
    response_model=StatusOut,
    responses={
        200: {"model": StatusOut, "description": "Classified with these labels already: nothing to start."},
        **problems(401, 404, 408, 409, 413, 422, 503),
    },
    openapi_extra=described(ClassifyIn),
)
async def classify(
    request: Request, document: DocumentDep, services: ServicesDep, key: IdempotencyKeyDep
) -> JSONResponse:
    """Start a run that says which of your labels fits: `classification` of the document, one of them or null.

    A document without an analysis gets one in the same run. 409 while it is processed for something else.
    """
    wanted = await read_body(request, ClassifyIn, max_bytes=MAX_BODY_BYTES)
    keyed = keyed_by(services, document, "classify", key)
    asked = request_hash(wanted.model_dump())
    return await answer_run(document, services, keyed, _run_of(wanted), asked=asked)


@router.post(
    "/folders/{path:folder}/classify",
    tags=["folders"],
    status_code=202,
    responses=problems(401, 408, 413, 422, 503),
    openapi_extra=described(ClassifyIn),
)
async def classify_folder(
    request: Request,
    folder: FolderDep,
    caller: CallerDep,
    services: ServicesDep,
    limit: Annotated[int, Query(ge=1, le=1_000, description="Documents of one request.")] = 500,
    cursor: CursorQuery = None,
) -> FolderClassifyOut:
    """Start such a run for each document of a folder and its subfolders, newest first.

    Asking again starts nothing twice but what has failed; with `force` it classifies anew what has ended meanwhile. A
    folder of somebody else is like an empty one.
    """
    wanted = await read_body(request, ClassifyIn, max_bytes=MAX_BODY_BYTES)
    where = ListFilter(folder=folder or None)
    page = await read_page(services, caller.user.id, where=where, limit=limit, cursor=cursor)
    gate = asyncio.Semaphore(_AT_ONCE)
    run = _run_of(wanted)
    outcomes = await asyncio.gather(*(_started(one, services, run, gate) for one in page.documents))
    return FolderClassifyOut(
        folder=folder,
        started=outcomes.count(True),
        unchanged=outcomes.count(False),
        skipped=[outcome for outcome in outcomes if isinstance(outcome, SkippedDocument)],
        next_cursor=page.next_cursor,
        feed_cursor=page.feed_cursor,
    )


def _run_of(wanted: ClassifyIn) -> Wanted:
    labels = wanted.chosen_from()

    def new_run(current: Document) -> Facts | None:
        same = current.options.labels == labels
        if under_way(current):
            if same:
                return None
            raise busy()
        if same and current.status is DocumentStatus.COMPLETED and not wanted.force:
            return None
        # The report stays: it is not lost, whatever becomes of this run.
        options = RunOptions(profile=current.options.profile, labels=labels)
        return {"failure": None, "force": wanted.force, "options": options}

    return new_run


async def _started(
    document: Document, services: Services, run: Wanted, gate: asyncio.Semaphore
) -> bool | SkippedDocument:
    """Whether a run was started, or why there can be none now."""
    async with gate:
        try:
            _, started = await start_run(document, services, run)
        except ProblemError as exc:
            return SkippedDocument(id=document.id, filename=document.filename, code=exc.code, detail=str(exc))
        except MoveError as exc:
            return SkippedDocument(id=document.id, filename=document.filename, code="conflict", detail=str(exc))
    return started
