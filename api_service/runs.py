"""Starting a run of a document that is there already. Knows not what the run is for."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from fastapi.responses import JSONResponse

from api_service.dependencies import Services
from api_service.idempotency import KeyedRequest, answered, replayed
from api_service.problems import ProblemError, not_found
from api_service.schemas import StatusOut
from shared.document import Change, Document, DocumentStatus, Facts, advance
from shared.errors import KeyTakenError
from shared.idempotency import IdempotencyRecord
from shared.moves import insist

# What the run is asked for, from the document as it is; None when there is nothing to start.
Wanted = Callable[[Document], Facts | None]


def no_answer(_: Document) -> IdempotencyRecord | None:
    return None


async def start_run(
    document: Document,
    services: Services,
    wanted: Wanted,
    *,
    answer: Callable[[Document], IdempotencyRecord | None] = no_answer,
) -> tuple[Document, bool]:
    """Start the run that is wanted; return the document as it is then, and whether there was anything to start."""
    started = False

    def to_pending(current: Document) -> Change | None:
        nonlocal started
        facts = wanted(current)
        started = facts is not None
        return move(services, current, DocumentStatus.PENDING, **facts) if facts is not None else None

    current = await insist(services.backends.documents, document, to_pending, answer=answer)
    if started:
        await services.intake.send(current)
    return current, started


async def answer_run(
    document: Document, services: Services, keyed: KeyedRequest, wanted: Wanted, *, asked: str
) -> JSONResponse:
    """Start a run once for each key, and answer with where the document stands."""
    if kept := await keyed.kept():
        return replayed(kept, request_hash=asked)

    def record(current: Document) -> IdempotencyRecord | None:
        return keyed.record(_body(current), status=_status(current), request_hash=asked)

    try:
        current, started = await start_run(document, services, wanted, answer=record)
        if not started:
            await _remember(record(current), services)
    except KeyTakenError:
        kept = await keyed.kept()
        if kept is None:
            raise
        return replayed(kept, request_hash=asked)
    return answered(_body(current), status=_status(current))


async def _remember(nothing_to_do: IdempotencyRecord | None, services: Services) -> None:
    if nothing_to_do and not await services.backends.idempotency.remember(nothing_to_do):
        raise KeyTakenError


def keyed_by(services: Services, document: Document, action: str, key: str | None) -> KeyedRequest:
    return KeyedRequest(
        owner=document.owner,
        route=f"/documents/{document.id}/{action}",
        key=key,
        store=services.backends.idempotency,
        clock=services.clock,
    )


def move(services: Services, current: Document, to: DocumentStatus, **facts: Any) -> Change:
    if current.status is DocumentStatus.DELETING:
        raise not_found()
    return advance(current, to, at=services.clock(), write_id=services.new_id(), **facts)


def under_way(document: Document) -> bool:
    return document.working or document.status is DocumentStatus.PENDING


def busy() -> ProblemError:
    """The answer to who asks for another run than the one that is under way: neither is lost without a word."""
    detail = "The document is being processed for something else. Ask again when that has ended."
    return ProblemError(HTTPStatus.CONFLICT, "under_way", detail, headers={"Retry-After": "5"})


def _body(document: Document) -> dict[str, Any]:
    return StatusOut.of(document).model_dump(mode="json")


def _status(document: Document) -> HTTPStatus:
    return HTTPStatus.OK if document.status is DocumentStatus.COMPLETED else HTTPStatus.ACCEPTED
