"""`GET /documents/stream`: how long a stream lives, what keeps it alive and what ends it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, create_subprocess_exec
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from docrelay.embedded.child import free_port
from shared.bootstrap import Backends
from shared.clock import utc_now
from shared.settings import Settings
from tests.support.builders import S
from tests.support.callers import Caller, calling, tokens_of
from tests.support.running import serving, until
from tests.support.sse import Block, EventReader, answer_of, listening

CHECKOUT = Path(__file__).resolve().parents[2]


@asynccontextmanager
async def calling_with(settings: Settings, backends: Backends, **changed: Any) -> AsyncIterator[Caller]:
    """A new user of an API that has these settings."""
    settings = settings.model_copy(update=changed)
    async with serving(settings) as base_url, calling(base_url, settings, backends) as caller:
        yield caller


def shortly_before_the_end(life: timedelta) -> datetime:
    """When a token was issued that has between two and three seconds left."""
    return utc_now() - life + timedelta(seconds=3)


def check_bye(block: Block) -> None:
    assert (block.event, block.id, block.retry, block.data) == ("bye", None, 1000, {})


async def test_idle_stream_is_kept_alive_by_comments(stack_settings: Settings, backends: Backends) -> None:
    quick = {"stream_heartbeat_seconds": 0.05, "stream_tick_seconds": 0.02}
    async with calling_with(stack_settings, backends, **quick) as me, listening(me.client) as stream:
        blocks = [await stream.block() for _ in range(4)]
        assert [block and block.comments for block in blocks[1:]] == [("heartbeat",)] * 3
        assert [block and (block.event, block.id) for block in blocks] == [(None, None)] * 4
        await me.document()
        (event,) = await stream.events(1)
    assert event.data["status"] == "uploaded"


async def test_stream_ends_with_bye_and_is_resumed_where_it_ended(stack_settings: Settings, backends: Backends) -> None:
    async with calling_with(stack_settings, backends, stream_seconds=0.4) as me:
        document = await me.document(S.PENDING)
        async with listening(me.client, cursor="0") as stream:
            _, second, bye = await stream.events(3)
            assert await stream.rest() == []
        check_bye(bye)
        await me.move(document, S.PROCESSING)
        async with listening(me.client, last_event_id=second.id) as stream:
            event, end = await stream.events(2)
    assert event.data["status"] == "processing"
    check_bye(end)


async def test_stream_that_may_not_linger_ends_after_its_first_events_live_or_replayed(
    stack_settings: Settings, backends: Backends
) -> None:
    async with calling_with(stack_settings, backends, stream_linger_seconds=0) as me:
        async with listening(me.client) as stream:
            document = await me.document(S.PENDING)
            *events, bye = [block for block in await stream.rest() if block.event]
        check_bye(bye)
        assert [event.data["status"] for event in events] == ["uploaded", "pending"][: len(events)] != []
        document = await me.move(document, S.PROCESSING)
        async with listening(me.client, last_event_id=events[-1].id) as stream:
            *rest, bye = [block for block in await stream.rest() if block.event]
    check_bye(bye)
    assert [event.data["version"] for event in events + rest] == [1, 2, 3]


async def test_stream_that_may_not_linger_waits_for_an_event_that_passes_its_filter(
    stack_settings: Settings, backends: Backends
) -> None:
    async with (
        calling_with(stack_settings, backends, stream_linger_seconds=0) as me,
        listening(me.client, cursor="0", status="failed") as stream,
    ):
        await me.document(S.PROCESSING)
        await me.document(S.FAILED)
        failed, bye = await stream.events(2)
    assert failed.data["status"] == "failed"
    check_bye(bye)


async def test_stream_ends_after_so_many_bytes_and_the_next_goes_on(
    stack_settings: Settings, backends: Backends
) -> None:
    seen: list[Block] = []
    async with calling_with(stack_settings, backends, stream_max_bytes=500) as me:
        await me.document(S.COMPLETED)
        while len(seen) < 5:
            async with listening(me.client, last_event_id=seen[-1].id if seen else "0") as stream:
                *events, bye = [block for block in await stream.rest() if block.event]
            check_bye(bye)
            assert 0 < len(events) < 5
            seen += events
    assert [event.data["version"] for event in seen] == [1, 2, 3, 4, 5]


async def test_answer_says_where_the_stream_begins(stack_settings: Settings, backends: Backends) -> None:
    async with calling_with(stack_settings, backends) as me:
        await me.document(S.PENDING)
        current = await me.cursor()
        for asked, begins in {"": current, "0": f"{current.partition('.')[0]}.0", "useless": current}.items():
            async with listening(me.client, **{"cursor": asked} if asked else {}) as stream:
                assert stream.answer.headers["feed-cursor"] == begins


async def test_stream_of_a_foreign_document_stays_silent_to_its_end(
    stack_settings: Settings, backends: Backends
) -> None:
    async with (
        calling_with(stack_settings, backends, stream_seconds=0.4) as me,
        calling(str(me.client.base_url.join("/")).rstrip("/"), stack_settings, backends) as stranger,
    ):
        theirs = await stranger.document(S.PENDING)
        async with listening(me.client, document_id=str(theirs.id), cursor="0") as stream:
            await stranger.move(theirs, S.PROCESSING)
            await me.document()
            blocks = await stream.rest()
    assert [block.event for block in blocks] == [None, "bye"]


async def test_stream_ends_with_its_access_token_but_outlives_its_ticket(
    stack_settings: Settings, backends: Backends
) -> None:
    hour, minute = tokens_of(stack_settings).access_life, timedelta(seconds=60)
    async with (
        calling_with(stack_settings, backends, stream_seconds=3.2) as me,
        httpx.AsyncClient(base_url=me.client.base_url, timeout=30) as anybody,
    ):
        access = tokens_of(stack_settings, clock=lambda: shortly_before_the_end(hour)).access(me.user, uuid4())
        me.client.headers["Authorization"] = f"Bearer {access}"
        ticket = tokens_of(stack_settings, clock=lambda: shortly_before_the_end(minute)).ticket(me.user, uuid4())
        async with listening(me.client) as by_token, listening(anybody, ticket=ticket) as by_ticket:
            ends = await asyncio.gather(by_token.rest(), by_ticket.rest())
    reauth, bye = (blocks[-1] for blocks in ends)
    assert (reauth.event, reauth.id, reauth.retry) == ("reauth", None, 1000)
    check_bye(bye)


async def test_too_many_streams_of_one_user_are_refused_until_one_ends(
    stack_settings: Settings, backends: Backends
) -> None:
    async with AsyncExitStack() as stack:
        me = await stack.enter_async_context(calling_with(stack_settings, backends, max_streams_per_user=2))
        await stack.enter_async_context(listening(me.client))
        async with listening(me.client):
            answer = await answer_of(me.client)
            assert (answer.status_code, answer.json()["code"]) == (429, "too_many_streams")
            assert answer.headers["content-type"] == "application/problem+json"
            assert int(answer.headers["retry-after"]) > 0
            base_url = str(me.client.base_url.join("/")).rstrip("/")
            stranger = await stack.enter_async_context(calling(base_url, stack_settings, backends))
            async with listening(stranger.client):
                pass

        async def accepted() -> bool:
            return (await answer_of(me.client)).status_code == 200

        await until(accepted)


async def test_streams_of_all_users_together_are_limited(stack_settings: Settings, backends: Backends) -> None:
    async with AsyncExitStack() as stack:
        me = await stack.enter_async_context(calling_with(stack_settings, backends, max_streams=2))
        base_url = str(me.client.base_url.join("/")).rstrip("/")
        stranger = await stack.enter_async_context(calling(base_url, stack_settings, backends))
        for caller in (me, stranger):
            await stack.enter_async_context(listening(caller.client))
        for caller in (me, stranger):
            answer = await answer_of(caller.client)
            assert (answer.status_code, answer.json()["code"]) == (429, "too_many_streams")


@asynccontextmanager
async def api_process(settings: Settings, folder: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """The API as a process of its own, ready to serve."""
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(CHECKOUT),
        "JWT_SECRET": settings.signing_key().decode(),
        "AWS_ENDPOINT_URL": settings.aws_endpoint_url or "",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "DOCRELAY_DATABASE_URL": settings.database_url.get_secret_value(),
        "DOCRELAY_BUCKET": settings.bucket,
        "DOCRELAY_QUEUE_NAME": settings.queue_name,
        "DOCRELAY_PORT": str(port),
    }
    process = await create_subprocess_exec(
        sys.executable, "-m", "api_service", env=environment, cwd=folder, stdout=DEVNULL, stderr=DEVNULL
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            await until(lambda: _ready(client))
        yield process, f"http://127.0.0.1:{port}"
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _ready(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/readyz")).status_code == 200
    except httpx.TransportError:
        return False


async def test_sigterm_says_bye_to_fifty_streams_and_ends_the_process(
    stack_settings: Settings, backends: Backends, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        process, base_url = await stack.enter_async_context(api_process(stack_settings, tmp_path))
        me = await stack.enter_async_context(calling(base_url, stack_settings, backends))
        streams: list[EventReader] = [await stack.enter_async_context(listening(me.client)) for _ in range(50)]
        await me.document()
        for stream in streams:
            await stream.events(1)
        process.send_signal(signal.SIGTERM)
        for stream in streams:
            (bye,) = [block for block in await stream.rest() if block.event]
            check_bye(bye)
        # uvicorn raises the signal again when it is done.
        assert await asyncio.wait_for(process.wait(), 30) in {0, -signal.SIGTERM}
