"""One page of an owner's documents, with its cursor and its links, for every list of documents."""

import base64
import json
import zlib
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Annotated
from urllib.parse import quote, urlencode
from uuid import UUID

from fastapi import Query, Request, Response

from api_service.conditional import etag_of
from api_service.dependencies import Services
from api_service.names import MAX_FOLDER_CHARS
from api_service.problems import invalid
from shared.document import Document
from shared.lists import ListFilter, ListPosition

LimitQuery = Annotated[int, Query(ge=1, le=200)]
# Room for the longest folder's name, packed. No more: percent-encoded, it has to fit into a request's head.
_MAX_CURSOR_CHARS = 4_608
_MAX_CURSOR_BYTES = 8 * MAX_FOLDER_CHARS

CursorQuery = Annotated[
    str | None, Query(max_length=_MAX_CURSOR_CHARS, description="`next_cursor` of the page before.")
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    documents: list[Document]
    next_cursor: str | None
    feed_cursor: str


async def read_page(services: Services, owner: UUID, *, where: ListFilter, limit: int, cursor: str | None) -> Page:
    """Newest first. Raises ProblemError for a cursor that is none, or of a list with other filters."""
    after = _position(cursor, where)
    feed_cursor = await read_feed_cursor(services, owner)
    documents = await services.backends.documents.page(owner, where=where, limit=limit + 1, after=after)
    page = documents[:limit]
    return Page(
        documents=page,
        next_cursor=_cursor(page[-1], where) if len(documents) > limit else None,
        feed_cursor=feed_cursor,
    )


async def read_feed_cursor(services: Services, owner: UUID) -> str:
    """Read before what it comes with: what moves in between is on the stream after it, so nothing falls in the gap."""
    return str((await services.backends.feed.heads([owner]))[owner].cursor)


def link_next(request: Request, response: Response, next_cursor: str | None) -> None:
    if next_cursor:
        asked = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
        # The path has come decoded: a folder's name may have what a header cannot, or what would end the link.
        path, query = quote(request.scope["path"]), urlencode([*asked, ("cursor", next_cursor)])
        response.headers["Link"] = f'<{path}?{query}>; rel="next"'


def etag_of_page(page: Page) -> str:
    """Everything that the page shows of a document changes with its version."""
    return etag_of(page.feed_cursor, page.next_cursor, *((one.id, one.version) for one in page.documents))


def encoded(content: list[str]) -> str:
    packed = zlib.compress(json.dumps(content, ensure_ascii=False).encode())
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def decoded(cursor: str, *, parts: int) -> list[str]:
    """What a cursor holds. Raises ProblemError."""
    try:
        packed = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        content = json.loads(zlib.decompressobj().decompress(packed, _MAX_CURSOR_BYTES))
    except (ValueError, RecursionError, zlib.error) as exc:
        raise invalid("cursor", "Not a cursor of this API.") from exc
    if not isinstance(content, list) or len(content) != parts or not all(isinstance(part, str) for part in content):
        raise invalid("cursor", "Not a cursor of this API.")
    return content


def _cursor(last: Document, where: ListFilter) -> str:
    return encoded([last.created_at.isoformat(), str(last.id), _digest(where)])


def _position(cursor: str | None, where: ListFilter) -> ListPosition | None:
    if not cursor:
        return None
    created_at, last_id, digest = decoded(cursor, parts=3)
    if digest != _digest(where):
        raise invalid("cursor", "This cursor belongs to a list with other filters.")
    try:
        return ListPosition(created_at=datetime.fromisoformat(created_at).astimezone(UTC), id=UUID(last_id))
    except (ValueError, OverflowError) as exc:
        raise invalid("cursor", "Not a cursor of this API.") from exc


def _digest(where: ListFilter) -> str:
    # Only what is set: a filter that comes with a later version does not spoil the cursors of this one.
    wanted = {name: value for name, value in asdict(where).items() if value is not None}
    return sha256(json.dumps(wanted, default=str, sort_keys=True).encode()).hexdigest()[:16]
