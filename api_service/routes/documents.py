"""Reading documents."""

import asyncio
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import PlainTextResponse, RedirectResponse

from api_service.conditional import etag_of, has_one_of, unchanged
from api_service.dependencies import CallerDep, DocumentDep, Services, ServicesDep
from api_service.filters import FilterDep
from api_service.frames import BYE
from api_service.hub import Listener
from api_service.listing import CursorQuery, LimitQuery, etag_of_page, link_next, read_page
from api_service.problems import ProblemError, not_found, not_uploaded
from api_service.routes import NOT_MODIFIED, problems
from api_service.schemas import DocumentOut, HistoryOut, ListedDocument, PageOut, StatusOut
from api_service.texts import DOWNLOAD_SECONDS, text_answer, text_of
from shared.document import Document, DocumentStatus

router = APIRouter(prefix="/documents", tags=["documents"])

_MAX_WAIT_SECONDS = 20
# For whoever does not want to wait or to listen.
_RETRY_AFTER_SECONDS = 2

WaitQuery = Annotated[float, Query(ge=0, le=_MAX_WAIT_SECONDS, description="Seconds to wait for the next change.")]


@router.get("", response_model=PageOut, responses={**NOT_MODIFIED, **problems(401, 422, 503)})
async def list_documents(
    request: Request,
    response: Response,
    caller: CallerDep,
    services: ServicesDep,
    where: FilterDep,
    limit: LimitQuery = 50,
    cursor: CursorQuery = None,
) -> Any:
    """List the caller's documents, newest first. A cursor is good for the list with the same filters."""
    page = await read_page(services, caller.user.id, where=where, limit=limit, cursor=cursor)
    if answer := unchanged(request, response, etag_of_page(page)):
        return answer
    link_next(request, response, page.next_cursor)
    items = [ListedDocument.of(document) for document in page.documents]
    return PageOut(items=items, next_cursor=page.next_cursor, feed_cursor=page.feed_cursor)


@router.get("/{document_id}", response_model=DocumentOut, responses={**NOT_MODIFIED, **problems(401, 404, 422, 503)})
async def get_document(
    request: Request,
    response: Response,
    document: DocumentDep,
    services: ServicesDep,
    include: Annotated[Literal["text"] | None, Query()] = None,
) -> Any:
    """One document with its analysis, receipts and history; with its text under `?include=text`."""
    _say_when_to_ask_again(response, document)
    if answer := unchanged(request, response, _etag(document, include)):
        return answer
    limit = services.settings.text_max_bytes
    text = await text_of(document, services.backends.blobs, max_bytes=limit) if include else None
    history = await services.backends.documents.history(document.id)
    return DocumentOut.with_history(document, history, text=text)


@router.get(
    "/{document_id}/text",
    response_class=PlainTextResponse,
    responses={302: {"description": "It is longer than an answer may be."}, **NOT_MODIFIED, **problems(401, 404, 503)},
)
async def get_text(request: Request, response: Response, document: DocumentDep, services: ServicesDep) -> Response:
    """The extracted text, sent piece by piece, however long it is.

    On Lambda, whose answers may have 6 MB, a long text is a redirect to where it is, for five minutes.
    """
    if document.text_key is None:
        raise ProblemError(HTTPStatus.NOT_FOUND, "no_text", "The document has no extracted text (yet).")
    # Each extraction writes an object of its own.
    etag = etag_of(document.text_key)
    if answer := unchanged(request, response, etag):
        return answer
    limit = services.settings.text_max_bytes
    return await text_answer(document, document.text_key, services.backends.blobs, max_bytes=limit, etag=etag)


@router.get(
    "/{document_id}/history",
    response_model=list[HistoryOut],
    responses={**NOT_MODIFIED, **problems(401, 404, 503)},
)
async def get_history(request: Request, response: Response, document: DocumentDep, services: ServicesDep) -> Any:
    """Every move of the document, oldest first."""
    if answer := unchanged(request, response, _etag(document)):
        return answer
    return [HistoryOut.of(entry) for entry in await services.backends.documents.history(document.id)]


@router.get("/{document_id}/content", status_code=302, responses=problems(401, 404, 409, 503))
async def get_content(document: DocumentDep, services: ServicesDep) -> RedirectResponse:
    """Redirects to the uploaded file, for five minutes. 409 while it is not there yet."""
    if document.status is DocumentStatus.UPLOADING:
        raise not_uploaded()
    url = await services.backends.blobs.download_url(
        document.blob_key, filename=document.filename, expires_seconds=DOWNLOAD_SECONDS
    )
    return RedirectResponse(url, status_code=HTTPStatus.FOUND)


@router.get(
    "/{document_id}/status", response_model=StatusOut, responses={**NOT_MODIFIED, **problems(401, 404, 422, 503)}
)
async def get_status(
    request: Request,
    response: Response,
    document: DocumentDep,
    services: ServicesDep,
    wait: WaitQuery = 0,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Any:
    """Where the document stands; with `wait`, answers at its next change or when the time is up.

    With `If-None-Match` the next change is the first one after that answer; a terminal document never waits, nor does
    who waits for as many documents already as there may be streams.
    """
    return status_answer(request, response, await waited(document, services, wait, if_none_match))


def status_answer(request: Request, response: Response, document: Document) -> Response | StatusOut:
    _say_when_to_ask_again(response, document)
    # What `due_at` says changes without a move, by every heartbeat of a worker.
    etag = f'W/"{_version(document)}-{document.due_at and document.due_at.isoformat()}"'
    return unchanged(request, response, etag) or StatusOut.of(document)


async def waited(document: Document, services: Services, seconds: float, if_none_match: str | None) -> Document:
    """The document at its next change, or when the time is up, unless the client has yet to see this version."""
    # Only a move ends a wait: when the next look is put off, the client has this version still.
    known = if_none_match is None or has_one_of(if_none_match, f"{_version(document)}-")
    crowded = services.hub.count_polls(document.owner) >= services.settings.max_streams_per_user
    if seconds and not document.terminal and known and not crowded:
        return await _changed(document, services, seconds=seconds)
    return document


async def _changed(document: Document, services: Services, *, seconds: float) -> Document:
    """Wait until the document has moved, at most so long, and return it as it is then."""
    now = asyncio.get_running_loop().time()
    listener = Listener(
        owner=document.owner,
        ends_at=now + seconds,
        farewell=BYE,
        wanted=lambda event: event.document_id == document.id and event.version > document.version,
        counted=False,
    )
    try:
        await services.hub.join(listener)
        # It may have moved between the first look and joining.
        current = await services.backends.documents.get(document.id)
        if current is None or current.version != document.version:
            return await _again(document, services)
        async with asyncio.timeout(seconds):
            # Comments that keep a stream alive are no news here.
            while isinstance(await listener.queue.get(), bytes):
                continue
    except TimeoutError:
        pass
    finally:
        services.hub.leave(listener)
    return await _again(document, services)


async def _again(document: Document, services: Services) -> Document:
    found = await services.backends.documents.find(document.id, owner=document.owner)
    if found is None:
        raise not_found()
    return found


def _etag(document: Document, variant: str | None = None) -> str:
    """Nothing that is shown of a document changes without a move, but for the `due_at` of its status."""
    return f'"{_version(document)}{f"-{variant}" if variant else ""}"'


def _version(document: Document) -> str:
    # After a restore of the store, other moves may get the same numbers.
    return f"{document.id.hex[-12:]}-{document.version}-{document.write_id.hex[-8:]}"


def _say_when_to_ask_again(response: Response, document: Document) -> None:
    if document.working or document.status is DocumentStatus.PENDING:
        response.headers["Retry-After"] = str(_RETRY_AFTER_SECONDS)
