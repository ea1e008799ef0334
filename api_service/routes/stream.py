"""`GET /documents/stream`: the caller's moves as server-sent events."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Request

from api_service.auth import Caller
from api_service.dependencies import Services, ServicesDep, caller, folder_path, identified, status_filter
from api_service.event_stream import Beginning, EventStreamResponse, Stream
from api_service.frames import BYE, REAUTH
from api_service.hub import Listener
from api_service.problems import ProblemError
from api_service.routes import problems
from shared.events import DELETED, FeedCursor, FeedEvent
from shared.folders import contains

router = APIRouter(prefix="/documents", tags=["stream"])


async def listening_caller(
    request: Request,
    services: ServicesDep,
    ticket: Annotated[str | None, Query(description="From `POST /auth/stream-ticket`, instead of the header.")] = None,
) -> Caller:
    if ticket is None:
        return await caller(request, _bearer_token(request))
    return await identified(request, services, ticket, "ticket+jwt")


@router.get(
    "/stream",
    status_code=200,  # FastAPI would look for it in the class.
    response_class=EventStreamResponse,
    responses={200: {"content": {"text/event-stream": {}}}, **problems(401, 422, 429, 503)},
    openapi_extra={"security": [{"OAuth2PasswordBearer": []}]},
)
async def stream(
    services: ServicesDep,
    caller: Annotated[Caller, Depends(listening_caller)],
    document_id: Annotated[UUID | None, Query(description="Only this document.")] = None,
    folder: Annotated[str | None, Query(description="Only this folder and below.")] = None,
    status: Annotated[str | None, Query(description="Only moves to this status.")] = None,
    cursor: Annotated[str | None, Query(description="Where to begin: `feed_cursor` of a list, or 0 for all.")] = None,
    last_event_id: Annotated[str | None, Header()] = None,
) -> EventStreamResponse:
    """Stream every move from now on, or from `Last-Event-ID` on.

    Frames: `status` (with an id), `reset` (the given id is of no use; begin at the cursor it carries), `reauth`
    and `bye` (the stream ends; resume with the last id). Comments keep an idle stream alive.
    """
    wanted = event_filter(document_id, folder, status)
    return await opened(services, caller, wanted, last_event_id or cursor, retell=lambda chunks: chunks)


async def opened(
    services: Services,
    caller: Caller,
    wanted: Callable[[FeedEvent], bool],
    cursor: str | None,
    *,
    retell: Callable[[AsyncGenerator[bytes]], AsyncGenerator[bytes]],
) -> EventStreamResponse:
    """The stream, as `retell` tells it."""
    listener = open_listener(services, caller, wanted)
    head = await services.hub.join(listener)
    begin = Beginning.at(cursor, head)
    view = Stream(feed=services.backends.feed, encoder=services.encoder)
    return EventStreamResponse(
        retell(view.chunks(listener, begin=begin, head=head)),
        hub=services.hub,
        listener=listener,
        cursor=str(FeedCursor(epoch=head.epoch, seq=begin.after)),
        max_bytes=services.settings.stream_max_bytes,
    )


def open_listener(services: Services, caller: Caller, wanted: Callable[[FeedEvent], bool]) -> Listener:
    """A listener that ends with `bye` after the longest stream, or with `reauth` when its token does.

    Raises ProblemError when there is no room for another.
    """
    _check_room(services, caller)
    left_seconds = (caller.claims.expires_at - services.clock()).total_seconds()
    longest_seconds = services.settings.stream_seconds
    # A ticket is good for opening only; the stream it opened lives its full time.
    whole = left_seconds >= longest_seconds or caller.claims.kind == "ticket+jwt"
    return Listener(
        owner=caller.user.id,
        ends_at=asyncio.get_running_loop().time() + (longest_seconds if whole else left_seconds),
        farewell=BYE if whole else REAUTH,
        wanted=wanted,
        linger_seconds=services.settings.stream_linger_seconds,
    )


def _check_room(services: Services, caller: Caller) -> None:
    hub, settings = services.hub, services.settings
    if hub.count(caller.user.id) >= settings.max_streams_per_user:
        raise _too_many(f"At most {settings.max_streams_per_user} streams may be open at once.")
    if hub.count_all() >= settings.max_streams:
        raise _too_many("This server has no room for another stream. Try again shortly.")


def _too_many(detail: str) -> ProblemError:
    return ProblemError(HTTPStatus.TOO_MANY_REQUESTS, "too_many_streams", detail, headers={"Retry-After": "5"})


def _status(raw: str | None) -> str | None:
    """A status as events carry it. Raises ProblemError for what no event ever says."""
    return DELETED if raw and raw.lower() == DELETED else status_filter(raw)


def event_filter(document_id: UUID | None, folder: str | None, status: str | None) -> Callable[[FeedEvent], bool]:
    """What a stream is narrowed to. Raises ProblemError for a status that no event ever says."""
    inside, wanted_status = folder_path(folder or ""), _status(status)

    def wanted(event: FeedEvent) -> bool:
        # What is left of an erased document no longer says where it was; whoever has seen it must hear that it is gone.
        erased = event.status == DELETED and not event.filename
        return (
            (document_id is None or event.document_id == document_id)
            and (erased or contains(inside, event.folder))
            and (not wanted_status or event.status == wanted_status)
        )

    return wanted


def _bearer_token(request: Request) -> str | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None
