"""`GET /admin/stream`: every owner's moves in one stream, each owner's in order and once."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx
import pytest

from api_service.merged_stream import Places
from shared.accounts import Role
from shared.bootstrap import Backends
from shared.events import FEED_KEPT_FOR
from shared.settings import Settings
from tests.support.builders import NOW, S, moves
from tests.support.callers import PATHS, Caller, calling
from tests.support.running import serving
from tests.support.sse import Block, EventReader, listening

LIFE = list(PATHS[S.COMPLETED])


@pytest.fixture
async def base_url(stack_settings: Settings) -> AsyncIterator[str]:
    async with serving(stack_settings.model_copy(update={"admin_stream_tick_seconds": 0.02})) as base_url:
        yield base_url


@pytest.fixture
async def admin(base_url: str, stack_settings: Settings, backends: Backends) -> AsyncIterator[Caller]:
    async with calling(base_url, stack_settings, backends, role=Role.ADMIN) as caller:
        yield caller


@asynccontextmanager
async def watching(admin: Caller, last_event_id: str | None = None) -> AsyncIterator[EventReader]:
    headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
    async with admin.client.stream("GET", "/admin/stream", headers=headers) as answer:
        assert answer.status_code == 200, await answer.aread()
        yield EventReader(answer)


def by_owner(events: list[Block]) -> dict[str, list[tuple[str, str]]]:
    """What was told of each owner: documents and statuses, in the order of arrival."""
    told = defaultdict(list)
    for event in events:
        told[event.data["owner"]].append((event.data["document_id"], event.data["status"]))
    return told


async def stored(owner: Caller) -> list[tuple[str, str]]:
    return [(document, status) for _, document, status in await owner.events()]


async def test_there_is_no_such_stream_unless_it_is_switched_on(
    api: str, stack_settings: Settings, backends: Backends
) -> None:
    async with calling(api, stack_settings, backends, role=Role.ADMIN) as admin:
        assert (await admin.client.get("/admin/stream")).status_code == 404


async def test_only_an_admin_may_listen(base_url: str, stack_settings: Settings, backends: Backends) -> None:
    async with calling(base_url, stack_settings, backends) as somebody:
        answer = await somebody.client.get("/admin/stream")
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    async with httpx.AsyncClient(base_url=somebody.client.base_url) as nobody:
        assert (await nobody.get("/admin/stream")).status_code == 401


async def test_it_is_the_union_of_the_owners_streams_which_have_nothing_in_common(
    base_url: str, stack_settings: Settings, backends: Backends, admin: Caller
) -> None:
    async with (
        calling(base_url, stack_settings, backends) as one,
        calling(base_url, stack_settings, backends) as two,
        watching(admin) as all_of_them,
        listening(one.client) as ones,
        listening(two.client) as twos,
    ):
        await asyncio.gather(one.document(S.COMPLETED), two.document(S.FAILED))
        of_one, of_two = await ones.events(5), await twos.events(4)
        merged = await all_of_them.events(9)
    told = by_owner(merged)
    assert told == {str(owner.user.id): await stored(owner) for owner in (one, two)}
    frames = [event.data for event in of_one + of_two]
    assert sorted(map(str, frames)) == sorted(
        str({name: value for name, value in event.data.items() if name != "owner"}) for event in merged
    )
    assert {event.data["document_id"] for event in of_one}.isdisjoint(event.data["document_id"] for event in of_two)


async def test_client_that_hangs_up_after_every_few_events_misses_and_repeats_nothing(
    base_url: str, stack_settings: Settings, backends: Backends, admin: Caller
) -> None:
    """Owners come to it while it is under way; the first id is that of the answer's header."""
    async with watching(admin) as stream:
        place = stream.answer.headers["feed-cursor"]
    async with (
        calling(base_url, stack_settings, backends) as one,
        calling(base_url, stack_settings, backends) as two,
        calling(base_url, stack_settings, backends) as three,
    ):
        owners, seen = (one, two, three), list[Block]()
        async with asyncio.TaskGroup() as tasks:
            for number, owner in enumerate(owners * 4):
                tasks.create_task(later(owner, number))
            while len(seen) < 60:
                async with watching(admin, place) as stream:
                    seen += await stream.events(min(7, 60 - len(seen)))
                place = seen[-1].id or ""
        assert {event.event for event in seen} == {"status"}
        assert by_owner(seen) == {str(owner.user.id): await stored(owner) for owner in owners}


async def later(owner: Caller, number: int) -> None:
    document = await owner.document(S.UPLOADED, filename=f"{number}.txt")
    for status in LIFE[1:]:
        document = await owner.move(document, S(status))


async def test_client_that_slept_too_long_gets_one_reset_and_loses_no_other_owners_event(
    base_url: str, stack_settings: Settings, backends: Backends, admin: Caller
) -> None:
    async with (
        calling(base_url, stack_settings, backends) as old,
        calling(base_url, stack_settings, backends) as young,
    ):
        async with watching(admin) as stream:
            await old.document(S.UPLOADED)
            (first,) = await stream.events(1)
        await old.document(S.PENDING)
        document = await young.document(S.UPLOADING)
        await backends.documents.apply(*moves(document, S.UPLOADED, S.PENDING, at=NOW + timedelta(days=1)))
        while await backends.retention.trim(now=NOW + FEED_KEPT_FOR + timedelta(hours=2)):
            continue
        async with watching(admin, first.id) as stream:
            reset, *kept = await stream.events(3)
            await old.document(S.UPLOADED)
            (after,) = await stream.events(1)
    assert (reset.event, reset.id) == ("reset", None)
    assert [event.data["status"] for event in kept] == ["uploaded", "pending"]
    assert {event.data["owner"] for event in kept} == {str(young.user.id)}
    assert (after.event, after.data["owner"]) == ("status", str(old.user.id))


def test_place_beyond_ascii_is_of_no_use() -> None:
    assert Places.at("m.\xc9", {})[1]


@pytest.mark.parametrize("useless", ["deadbeef.1", "m.AAAAAAAAAAAA", "m.AAA", "m.!", "x"])
async def test_useless_place_gets_one_reset_and_then_what_comes(admin: Caller, useless: str) -> None:
    async with watching(admin, useless) as stream:
        await admin.document(S.UPLOADED)
        reset, event = await stream.events(2)
    assert (reset.event, event.event) == ("reset", "status")
    async with watching(admin, reset.data["cursor"]) as stream:
        (again,) = await stream.events(1)
    assert again.data == event.data


async def test_feed_that_begins_anew_under_an_open_stream_is_told(admin: Caller) -> None:
    document = await admin.document(S.PENDING)
    async with watching(admin) as stream:
        await admin.move(document, S.PROCESSING)
        (event,) = await stream.events(1)
        await admin.backends.retention.begin_anew()
        (reset,) = await stream.events(1)
        assert (event.event, reset.event) == ("status", "reset")
    async with watching(admin, last_event_id=event.id) as stream:
        (again,) = await stream.events(1)
    assert again.event == "reset"
