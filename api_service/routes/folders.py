"""Folders: which there are, what is in one, and what that comes to. There are no folder objects: all is read."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Response
from starlette.convertors import PathConvertor, register_url_convertor

from api_service.conditional import etag_of, unchanged
from api_service.dependencies import CallerDep, ServicesDep, folder_path
from api_service.insights import FolderDocument, FolderOut, FolderPageOut, FoldersOut, InsightOut
from api_service.listing import (
    CursorQuery,
    LimitQuery,
    decoded,
    encoded,
    etag_of_page,
    link_next,
    read_feed_cursor,
    read_page,
)
from api_service.routes import NOT_MODIFIED, problems
from shared.lists import ListFilter

router = APIRouter(prefix="/folders", tags=["folders"])


class FolderConvertor(PathConvertor):
    """A path with line breaks too, which `path` takes for no route's; `clean_folder` leaves them out."""

    regex = "(?s:.*)"


register_url_convertor("folder", FolderConvertor())


async def folder_in_path(
    path: Annotated[str, Path(description="A folder's path, with `/` or `%2F`; a lone `/` is all documents.")],
) -> str:
    return folder_path(path)


FolderDep = Annotated[str, Depends(folder_in_path)]


@router.get("", response_model=FoldersOut, responses={**NOT_MODIFIED, **problems(401, 422, 503)})
async def list_folders(
    request: Request,
    response: Response,
    caller: CallerDep,
    services: ServicesDep,
    limit: LimitQuery = 50,
    cursor: CursorQuery = None,
) -> Any:
    """List the caller's folders by path, each with how many documents it and its subfolders have."""
    after = decoded(cursor, parts=1)[0] if cursor else ""
    feed_cursor = await read_feed_cursor(services, caller.user.id)
    counts = await services.backends.folders.folders(caller.user.id)
    total = counts[0].documents if counts else 0
    following = [count for count in counts if count.path > after]
    page = following[:limit]
    next_cursor = encoded([page[-1].path]) if len(following) > limit else None
    if answer := unchanged(request, response, etag_of(feed_cursor, total, next_cursor, page)):
        return answer
    link_next(request, response, next_cursor)
    items = [FolderOut.of(count) for count in page]
    return FoldersOut(documents=total, items=items, next_cursor=next_cursor, feed_cursor=feed_cursor)


@router.get(
    "/{path:folder}/documents", response_model=FolderPageOut, responses={**NOT_MODIFIED, **problems(401, 422, 503)}
)
async def list_folder_documents(
    request: Request,
    response: Response,
    folder: FolderDep,
    caller: CallerDep,
    services: ServicesDep,
    limit: LimitQuery = 50,
    cursor: CursorQuery = None,
) -> Any:
    """List the documents of a folder and its subfolders, newest first, with what is known of each.

    A folder of somebody else is like an empty one.
    """
    where = ListFilter(folder=folder or None)
    page = await read_page(services, caller.user.id, where=where, limit=limit, cursor=cursor)
    if answer := unchanged(request, response, etag_of_page(page)):
        return answer
    link_next(request, response, page.next_cursor)
    items = [FolderDocument.found(document) for document in page.documents]
    return FolderPageOut(folder=folder, items=items, next_cursor=page.next_cursor, feed_cursor=page.feed_cursor)


@router.get("/{path:folder}/insights", response_model=InsightOut, responses={**NOT_MODIFIED, **problems(401, 422, 503)})
async def get_insight(
    request: Request, response: Response, folder: FolderDep, caller: CallerDep, services: ServicesDep
) -> Any:
    """What the documents of a folder and its subfolders come to; `If-None-Match` saves the answer, not the counting.

    A document counts from the moment its file is there. A folder of somebody else is like an empty one.
    """
    feed_cursor = await read_feed_cursor(services, caller.user.id)
    insight = await services.backends.folders.insight(caller.user.id, folder)
    counted = InsightOut.of(insight, folder=folder, feed_cursor=feed_cursor)
    # The feed's place alone is no tag for the numbers: DynamoDB's index may tell of a move later than the feed does.
    return unchanged(request, response, etag_of(counted.model_dump_json())) or counted
