"""Waiting for documents to come to rest, by the stream. Knows neither files nor commands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing, contextmanager
from typing import Any
from uuid import UUID

from docrelay.client import JSON, Client, RequestRefusedError, Reset
from docrelay.output import event_line, show, tell

# At rest: nothing happens until somebody asks. A deleted document is gone.
_RESTING = {"uploaded", "completed", "failed", "cancelled", "deleted", "not_found"}
_FAILED = {"failed", "cancelled", "deleted", "not_found"}


@contextmanager
def accepting(*, as_json: bool) -> Iterator[dict[UUID, JSON]]:
    """What the server has accepted, as last known. What is left of it is shown at the end, however that comes."""
    accepted: dict[UUID, JSON] = {}
    try:
        yield accepted
    finally:
        for fields in accepted.values():
            show(fields, as_json=as_json)


async def wait_for(client: Client, documents: dict[UUID, JSON], *, as_json: bool) -> bool:
    """Show each document when it has come to rest, and take it out; whether one has failed."""
    failed = False
    async with aclosing(_resting(client, documents)) as resting:
        async for document in resting:
            show(document, as_json=as_json)
            failed |= document["status"] in _FAILED
    return failed


async def within(seconds: float | None, work: Any) -> bool:
    """The outcome of the work, or failure when it takes longer."""
    try:
        async with asyncio.timeout(seconds):
            return bool(await work)
    except TimeoutError:
        tell(f"not all of it was done within {seconds:g} seconds")
        return True


async def _resting(client: Client, waiting: dict[UUID, JSON]) -> AsyncGenerator[JSON]:
    """Each document as it comes to rest, by the stream: looked at once before, and again at each end of its."""
    if not waiting:
        return
    cursor = (await client.documents(limit="1")).feed_cursor
    async with aclosing(client.events(cursor=cursor)) as events:
        looked_at: Iterable[UUID] = list(waiting)
        while True:
            for document_id in looked_at:
                document = waiting[document_id] = await _state(client, document_id, known=bool(waiting[document_id]))
                if document["status"] in _RESTING:
                    del waiting[document_id]
                    yield document
            if not waiting:
                return
            looked_at = await _news(events, waiting)


async def _news(events: Any, waiting: dict[UUID, JSON]) -> list[UUID]:
    """Which of the documents have to be looked at after the next event."""
    event = await anext(events)
    if isinstance(event, Reset):
        return list(waiting)
    if event.document_id not in waiting:
        return []
    tell(event_line(event))
    waiting[event.document_id] = {**waiting[event.document_id], "status": event.status}
    return [event.document_id] if event.status in _RESTING else []


async def _state(client: Client, document_id: UUID, *, known: bool) -> JSON:
    """The document; what is not there was deleted if it was known before, and else perhaps never was."""
    try:
        return await client.document(document_id)
    except RequestRefusedError as error:
        if error.status != 404:
            raise
        return {"id": str(document_id), "status": "deleted" if known else "not_found", "error": None}
