"""The API with one route more: the same feed through the same hub, sent by sse-starlette. It counts the hub's reads.

The settings come from the environment; `--port` is for the program that starts it.
"""

from __future__ import annotations

import asyncio
import math
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from uuid import UUID

import uvloop
from fastapi import FastAPI
from sse_starlette import EventSourceResponse, ServerSentEvent

from api_service.__main__ import run
from api_service.app import create_app
from api_service.frames import BYE, Frame
from api_service.hub import Listener
from shared import log
from shared.bootstrap import open_backends
from shared.events import FeedEvent, FeedHead
from shared.ports import Feed
from shared.settings import Settings


class CountingFeed:
    def __init__(self, feed: Feed, counts: Counter[str]) -> None:
        self._feed = feed
        self._counts = counts

    async def heads(self, owners: Sequence[UUID]) -> Mapping[UUID, FeedHead]:
        self._counts.update({"head reads": 1, "heads": len(owners)})
        return await self._feed.heads(owners)

    async def owners(self) -> list[UUID]:
        return await self._feed.owners()

    async def events(self, owner: UUID, *, after: int, limit: int) -> list[FeedEvent]:
        self._counts["event reads"] += 1
        return await self._feed.events(owner, after=after, limit=limit)


def with_sse_starlette(app: FastAPI) -> None:
    """`GET /sse-starlette?owner=`: what most would write around a hub. The JSON text is made once for all listeners."""
    hub, texts = app.state.services.hub, dict[int, str]()

    def sent(frame: Frame) -> ServerSentEvent:
        seq = frame.event.seq
        if seq not in texts:
            texts[seq] = frame.data.decode().partition("data: ")[2].strip()
        return ServerSentEvent(data=texts[seq], event="status", id=f"0.{seq}")

    async def events(listener: Listener) -> AsyncIterator[ServerSentEvent]:
        try:
            while (item := await listener.queue.get()) is not None:
                if isinstance(item, Frame):
                    yield sent(item)
        finally:
            hub.leave(listener)

    @app.get("/sse-starlette")
    async def stream(owner: UUID) -> EventSourceResponse:
        listener = Listener(owner=owner, ends_at=math.inf, farewell=BYE, wanted=lambda _: True)
        await hub.join(listener)
        return EventSourceResponse(events(listener))


async def serve(settings: Settings) -> None:
    counts = Counter[str]()
    async with open_backends(settings) as backends:
        app = create_app(settings, replace(backends, feed=CountingFeed(backends.feed, counts)))
        with_sse_starlette(app)

        @app.get("/reads")
        async def reads() -> dict[str, int]:
            return dict(counts)

        await run(app, settings)


if __name__ == "__main__":
    log.configure(level="error", service="bench")
    uvloop.run(serve(Settings.load(_env_file=None, port=int(sys.argv[sys.argv.index("--port") + 1]))))
    asyncio.set_event_loop(None)
