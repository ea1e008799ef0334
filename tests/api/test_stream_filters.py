"""`GET /documents/stream`: what its filters let through."""

from __future__ import annotations

import math
from typing import Any
from uuid import UUID

import pytest

from api_service.event_stream import Beginning, Stream
from api_service.frames import BYE, Encoder
from api_service.hub import Hub, Listener
from api_service.routes.stream import event_filter
from shared.document import Document
from shared.ports import DocumentStore
from tests.support.builders import S
from tests.support.callers import PATHS, Caller
from tests.support.sse import listening


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"folder": "a"}, ["a/b", "a"]),
        ({"folder": "/a/"}, ["a/b", "a"]),
        ({"folder": "a/b"}, ["a/b"]),
        ({"folder": "/"}, ["", "ab", "a/b", "a", "A"]),
        ({"status": "uploaded"}, ["", "ab", "a/b", "a", "A"]),
        ({"status": "Uploaded", "folder": "a/b"}, ["a/b"]),
    ],
)
async def test_filter_holds_in_the_replay_and_live(me: Caller, query: dict[str, str], expected: list[str]) -> None:
    statuses = ["uploaded"] if "status" in query else ["uploaded", "pending"]
    # The first one again at the end: whatever a filter lets through by mistake comes before it.
    wanted = [(folder, status) for folder in [*expected, expected[0]] for status in statuses]
    async with listening(me.client, **query) as stream:
        for folder in ("", "ab", "a/b", "a", "A", expected[0]):
            await me.document(S.PENDING, folder=folder)
        live = await stream.events(len(wanted))
    assert [(event.data["folder"], event.data["status"]) for event in live] == wanted
    async with listening(me.client, cursor="0", **query) as stream:
        assert await stream.events(len(wanted)) == live


class Counting:
    """The document store, and which documents were read for frames."""

    def __init__(self, documents: DocumentStore) -> None:
        self._documents = documents
        self.found: list[UUID] = []

    async def find(self, document_id: UUID, *, owner: UUID) -> Document | None:
        self.found.append(document_id)
        return await self._documents.find(document_id, owner=owner)


async def test_document_that_nobody_asked_for_is_not_read_in_the_replay(me: Caller) -> None:
    await me.document(S.COMPLETED, folder="loud")
    quiet = await me.document(S.COMPLETED, folder="quiet")
    documents: Any = Counting(me.backends.documents)
    encoder, feed = Encoder(documents=documents), me.backends.feed
    hub = Hub(feed=feed, encoder=encoder, tick_seconds=0.02, heartbeat_seconds=15)
    wanted = event_filter(None, "quiet", None)
    listener = Listener(owner=me.user.id, ends_at=math.inf, farewell=BYE, wanted=wanted)
    head = await hub.join(listener)
    listener.cut()
    chunks = Stream(feed=feed, encoder=encoder).chunks(listener, begin=Beginning(after=0), head=head)
    sent = b"".join([chunk async for chunk in chunks])
    assert sent.count(b"event: status") == len(PATHS[S.COMPLETED])
    assert documents.found == [quiet.id]


async def test_result_that_a_later_version_has_written_is_left_out_of_its_frame(me: Caller) -> None:
    class Later(Counting):
        async def find(self, document_id: UUID, *, owner: UUID) -> Document | None:  # noqa: ARG002 - the port's
            raise ValueError("a word of a later version")

    await me.document(S.COMPLETED)
    documents: Any = Later(me.backends.documents)
    (*_, completed) = await me.backends.feed.events(me.user.id, after=0, limit=10)
    told = await Encoder(documents=documents).told(completed, me.user.id)
    assert told["status"] == "completed"
    assert "analysis_result" not in told


async def test_stream_of_one_document_has_nothing_of_another(me: Caller) -> None:
    first, second = await me.document(S.PENDING), await me.document(S.PENDING)
    async with listening(me.client, cursor="0", document_id=str(second.id)) as stream:
        await me.move(first, S.PROCESSING)
        await me.move(second, S.PROCESSING)
        events = await stream.events(3)
    assert {event.data["document_id"] for event in events} == {str(second.id)}
    assert [event.data["status"] for event in events] == list(PATHS[S.PROCESSING])


async def test_malformed_document_id_in_the_filter_is_a_problem(me: Caller) -> None:
    answer = await me.client.get("/documents/stream", params={"document_id": "none"})
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
