"""What the five systems that Docrelay unifies documented and the API calls otherwise: docs/compatibility.md.

Their other routes are the API's own, without the prefix. Nothing of this is in the OpenAPI document.
"""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.responses import JSONResponse

from api_service.auth import Caller
from api_service.dependencies import CallerDep, DocumentDep, IdempotencyKeyDep, ServicesDep
from api_service.event_stream import EventStreamResponse
from api_service.filters import FilterDep
from api_service.insights import FolderPageOut
from api_service.listing import CursorQuery, LimitQuery
from api_service.routes.documents import WaitQuery, get_document, list_documents, status_answer, waited
from api_service.routes.folders import FolderDep, list_folder_documents
from api_service.routes.stream import event_filter, listening_caller, opened
from api_service.routes.uploads import take_in
from api_service.schemas import DocumentOut, ListedDocument, PageOut

router = APIRouter()


@router.post("/documents")
async def only_upload(
    request: Request, caller: CallerDep, services: ServicesDep, key: IdempotencyKeyDep
) -> JSONResponse:
    """Processing is another request, unless the form says otherwise."""
    return await take_in(request, caller, services, key, process=False)


@router.post("/upload")
@router.post("/documents/upload")
@router.post("/api/v1/documents/")
async def upload_and_process(
    request: Request, caller: CallerDep, services: ServicesDep, key: IdempotencyKeyDep
) -> JSONResponse:
    return await take_in(request, caller, services, key, process=True)


@router.get("/documents", response_model=None)
@router.get("/api/v1/documents/", response_model=None)
async def list_with_timestamps(
    request: Request,
    response: Response,
    caller: CallerDep,
    services: ServicesDep,
    where: FilterDep,
    limit: LimitQuery = 50,
    cursor: CursorQuery = None,
) -> Any:
    page = await list_documents(request, response, caller, services, where, limit, cursor)
    if not isinstance(page, PageOut):
        return page
    body = page.model_dump(mode="json")
    for item in body["items"]:
        item["timestamp"] = item["updated_at"]
    return body


@router.get("/documents/stream")
async def stream(
    services: ServicesDep,
    caller: Annotated[Caller, Depends(listening_caller)],
    document_id: Annotated[UUID | None, Query()] = None,
    folder: Annotated[str | None, Query()] = None,
    status: Annotated[str | None, Query()] = None,
    cursor: Annotated[str | None, Query()] = None,
    last_event_id: Annotated[str | None, Header()] = None,
) -> EventStreamResponse:
    wanted = event_filter(document_id, folder, status)
    return await opened(services, caller, wanted, last_event_id or cursor, retell=_retold)


@router.get("/documents/{document_id}", response_model=None)
async def get_with_text(request: Request, response: Response, document: DocumentDep, services: ServicesDep) -> Any:
    shown = await get_document(request, response, document, services, include="text")
    if not isinstance(shown, DocumentOut):
        return shown
    body = shown.model_dump(mode="json", by_alias=True)
    return body | {
        "timestamp": body["updated_at"],
        "extracted_text": body["text"],
        "analysis_result": body["analysis"],
    }


@router.get("/documents/{document_id}/status", response_model=None)
async def get_status_with_timestamp(
    request: Request,
    response: Response,
    document: DocumentDep,
    services: ServicesDep,
    wait: WaitQuery = 0,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Any:
    document = await waited(document, services, wait, if_none_match)
    shown = status_answer(request, response, document)
    if isinstance(shown, Response):
        return shown
    updated_at = ListedDocument.of(document).model_dump(mode="json", include={"updated_at"})["updated_at"]
    return shown.model_dump(mode="json") | {"timestamp": updated_at}


@router.api_route(
    "/folder-insights/{path:folder}/get_folder_files_metadata", methods=["GET", "POST"], response_model=None
)
async def get_folder_files_metadata(
    request: Request,
    response: Response,
    folder: FolderDep,
    caller: CallerDep,
    services: ServicesDep,
    limit: LimitQuery = 200,
    cursor: CursorQuery = None,
) -> Any:
    page = await list_folder_documents(request, response, folder, caller, services, limit, cursor)
    if not isinstance(page, FolderPageOut):
        return page
    counts = {count.path: count.documents for count in await services.backends.folders.folders(caller.user.id)}
    return page.model_dump(mode="json") | {"total_documents": counts.get(folder, 0)}


async def _retold(chunks: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """The same frames, in which a move also has its `timestamp`, and an end its `result`."""
    async with aclosing(chunks):
        async for chunk in chunks:
            yield b"".join(_with_old_names(frame) + b"\n\n" for frame in chunk.split(b"\n\n")[:-1])


def _with_old_names(frame: bytes) -> bytes:
    head, separator, data = frame.partition(b"\ndata: ")
    if not head.endswith(b"event: status"):
        return frame
    fields = json.loads(data)
    names = {"timestamp": "at", "result": "analysis_result"}
    fields |= {old: fields[name] for old, name in names.items() if name in fields}
    return head + separator + json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()
