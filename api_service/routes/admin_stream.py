"""`GET /admin/stream`: every owner's moves as server-sent events, for admins, where it is switched on."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query

from api_service import audit
from api_service.auth import Caller
from api_service.dependencies import ServicesDep
from api_service.event_stream import EventStreamResponse
from api_service.merged_stream import MergedStream, Places
from api_service.problems import ProblemError
from api_service.routes import problems
from api_service.routes.stream import event_filter, listening_caller, open_listener
from shared.accounts import Role

router = APIRouter(prefix="/admin", tags=["stream"])


@router.get(
    "/stream",
    status_code=200,  # FastAPI would look for it in the class.
    response_class=EventStreamResponse,
    responses={200: {"content": {"text/event-stream": {}}}, **problems(401, 403, 422, 429, 503)},
    openapi_extra={"security": [{"OAuth2PasswordBearer": []}]},
)
async def stream(
    services: ServicesDep,
    caller: Annotated[Caller, Depends(listening_caller)],
    document_id: Annotated[UUID | None, Query(description="Only this document.")] = None,
    folder: Annotated[str | None, Query(description="Only this folder and below, of every owner.")] = None,
    status: Annotated[str | None, Query(description="Only moves to this status.")] = None,
    cursor: Annotated[str | None, Query(description="Where to begin: an id of this stream, or 0 for all.")] = None,
    last_event_id: Annotated[str | None, Header()] = None,
) -> EventStreamResponse:
    """Stream every move of every owner, like the caller's own stream; each frame also names the `owner`.

    Each owner's events come in order, once and without a gap. An id is a place in all feeds, good for this stream only.
    """
    if caller.user.role is not Role.ADMIN:
        raise ProblemError(HTTPStatus.FORBIDDEN, "forbidden", "Only an admin may see every owner's moves.")
    audit.record("admin_stream", "accepted")
    wanted = event_filter(document_id, folder, status)
    merged = MergedStream(
        feed=services.backends.feed,
        encoder=services.encoder,
        wanted=wanted,
        tick_seconds=services.settings.admin_stream_tick_seconds or 1.0,
    )
    places, useless = Places.at(last_event_id or cursor, await merged.heads())
    # The hub keeps this stream alive and ends it. It hands over no event: those are read by the stream itself.
    listener = open_listener(services, caller, lambda _: False)
    await services.hub.join(listener)
    return EventStreamResponse(
        merged.chunks(listener, places, useless=useless),
        hub=services.hub,
        listener=listener,
        cursor=str(places),
        max_bytes=services.settings.stream_max_bytes,
    )
