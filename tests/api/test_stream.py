"""`GET /documents/stream`: what is in a frame, and who gets it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from shared.bootstrap import Backends
from shared.settings import Settings
from tests.support.builders import NOW, S, move, moves, report
from tests.support.callers import PATHS, Caller, calling
from tests.support.sse import Block, listening

AT = NOW.isoformat()[:-6] + "Z"


@pytest.fixture
async def stranger(api: str, stack_settings: Settings, backends: Backends) -> AsyncIterator[Caller]:
    async with calling(api, stack_settings, backends) as caller:
        yield caller


def statuses(events: list[Block]) -> list[str]:
    return [event.data["status"] for event in events]


def sequence(events: list[Block]) -> list[int]:
    """The `seq` part of the ids."""
    return [int((event.id or "").partition(".")[2]) for event in events]


async def replayed(me: Caller, count: int, **query: str) -> list[Block]:
    async with listening(me.client, cursor="0", **query) as stream:
        return await stream.events(count)


async def test_first_block_greets_and_tells_how_soon_to_come_back(me: Caller) -> None:
    async with listening(me.client) as stream:
        greeting = await stream.block()
    assert greeting is not None
    assert (greeting.comments, greeting.retry, greeting.event, greeting.id) == (("connected",), 1000, None, None)


async def test_moves_arrive_live_in_order_with_ids(me: Caller) -> None:
    epoch, _, _ = (await me.cursor()).partition(".")
    async with listening(me.client) as stream:
        document = await me.document(S.FAILED)
        events = await stream.events(4)
    assert [event.id for event in events] == [f"{epoch}.{seq}" for seq in (1, 2, 3, 4)]
    assert {event.event for event in events} == {"status"}
    assert statuses(events) == list(PATHS[S.FAILED])
    assert {event.data["document_id"] for event in events} == {str(document.id)}
    assert [event.data["version"] for event in events] == [1, 2, 3, 4]


async def test_frame_has_the_fields_of_the_contract(me: Caller) -> None:
    document = await me.document(filename="Über \u2028\x85.pdf", folder="in/box")
    (event,) = await replayed(me, 1)
    assert event.data == {
        "document_id": str(document.id),
        "filename": "Über \u2028\x85.pdf",
        "folder": "in/box",
        "version": 1,
        "status": "uploaded",
        "at": AT,
        "attempt": 0,
    }


async def test_completed_frame_carries_result_and_coverage(me: Caller) -> None:
    await me.document(S.COMPLETED)
    *before, completed = await replayed(me, 5)
    expected = report().model_dump(mode="json")
    assert completed.data["analysis_result"] == expected["analysis"]
    assert completed.data["coverage"] == expected["coverage"]
    assert not any({"analysis_result", "coverage", "error_message"} & event.data.keys() for event in before)


async def test_failed_frame_says_why(me: Caller) -> None:
    await me.document(S.FAILED)
    *before, failed = await replayed(me, 4)
    assert (failed.data["status"], failed.data["error_message"]) == ("failed", "The document is damaged.")
    assert not any("error_message" in event.data for event in before)


async def test_released_frame_gives_the_reason(me: Caller) -> None:
    document = await me.document(S.PROCESSING)
    await me.backends.documents.apply(move(document, S.PENDING, reason="shutdown"))
    *before, released = await replayed(me, 4)
    assert (released.data["status"], released.data["reason"]) == ("pending", "shutdown")
    assert not any("reason" in event.data for event in before)


async def test_many_moves_at_once_arrive_live_completely(me: Caller) -> None:
    document = await me.document(S.PENDING)
    async with listening(me.client) as stream:
        await me.backends.documents.apply(*moves(document, *[S.PROCESSING, S.PENDING] * 225))
        events = await stream.events(450)
    assert sequence(events) == list(range(3, 453))


async def test_all_listeners_get_the_same_bytes_live_or_replayed(me: Caller) -> None:
    async with listening(me.client) as first, listening(me.client) as second:
        await me.document(S.COMPLETED, filename="Über.pdf")
        live = [await stream.events(5) for stream in (first, second)]
    again = await replayed(me, 5)
    assert [event.raw for event in live[0]] == [event.raw for event in live[1]] == [event.raw for event in again]


async def test_two_owners_streams_have_nothing_in_common(me: Caller, stranger: Caller) -> None:
    async with listening(me.client) as mine, listening(stranger.client) as theirs:
        my_document, their_document = await me.document(S.FAILED), await stranger.document(S.FAILED)
        for stream, document in ((mine, my_document), (theirs, their_document)):
            events = await stream.events(4)
            assert {event.data["document_id"] for event in events} == {str(document.id)}
            assert sequence(events) == [1, 2, 3, 4]


async def test_deletion_is_told_as_deleted(me: Caller) -> None:
    document = await me.document(S.COMPLETED)
    async with listening(me.client) as stream:
        assert (await me.client.delete(f"/documents/{document.id}")).status_code == 204
        (event,) = await stream.events(1)
    assert (event.data["document_id"], event.data["status"]) == (str(document.id), "deleted")


async def test_who_listens_to_a_folder_and_resumes_after_the_erasure_hears_of_it(me: Caller) -> None:
    document, cursor = await me.document(folder="drafts/2026"), await me.cursor()
    deleting = move(document, S.DELETING)
    await me.backends.documents.apply(deleting)
    await me.backends.documents.entomb(deleting.after, now=NOW)
    async with listening(me.client, folder="drafts", last_event_id=cursor) as stream:
        (event,) = await stream.events(1)
    assert event.data == {"document_id": str(document.id), "status": "deleted"}


async def test_events_of_a_deleted_document_shrink_to_id_and_status(me: Caller) -> None:
    document = await me.document(S.FAILED, filename="secret.pdf", folder="secret")
    deleting = move(document, S.DELETING)
    await me.backends.documents.apply(deleting)
    await me.backends.documents.entomb(deleting.after, now=NOW)
    events = await replayed(me, 5)
    assert statuses(events) == [*PATHS[S.FAILED], "deleted"]
    assert sequence(events) == [1, 2, 3, 4, 5]
    assert not any("secret" in event.raw for event in events)
    assert [event.data for event in events] == [
        {"document_id": str(document.id), "status": status} for status in statuses(events)
    ]
