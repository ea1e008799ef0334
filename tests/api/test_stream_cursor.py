"""`GET /documents/stream`: where a stream begins."""

from __future__ import annotations

import psycopg
import pytest

from shared.document import Document
from shared.settings import Settings
from tests.support.builders import S, moves
from tests.support.callers import PATHS, Caller
from tests.support.sse import Block, listening


def statuses(events: list[Block]) -> list[str]:
    return [event.data["status"] for event in events]


def sequence(events: list[Block]) -> list[int]:
    """The `seq` part of the ids."""
    return [int((event.id or "").partition(".")[2]) for event in events]


async def tracked(me: Caller) -> tuple[str, Document]:
    """A stream position and a pending document that moves only after it."""
    document = await me.document(S.PENDING)
    return await me.cursor(), document


async def still(me: Caller, document: Document) -> Document:
    stored = await me.backends.documents.get(document.id)
    assert stored is not None
    return stored


async def test_last_event_id_resumes_without_repeat_or_loss(me: Caller) -> None:
    async with listening(me.client) as stream:
        document = await me.document(S.PROCESSING)
        first = await stream.events(2)
    await me.move(document, S.ANALYZING)
    async with listening(me.client, last_event_id=first[-1].id) as stream:
        await me.move(await still(me, document), S.COMPLETED)
        second = await stream.events(3)
    assert sequence(first + second) == [1, 2, 3, 4, 5]
    assert statuses(first + second) == list(PATHS[S.COMPLETED])


async def test_cursor_resumes_like_a_last_event_id(me: Caller) -> None:
    cursor, document = await tracked(me)
    await me.move(document, S.PROCESSING)
    async with listening(me.client, cursor=cursor) as stream:
        (event,) = await stream.events(1)
    assert event.data["status"] == "processing"


async def test_last_event_id_counts_more_than_the_cursor_in_the_address(me: Caller) -> None:
    """A browser that reconnects sends both."""
    cursor, document = await tracked(me)
    await me.move(document, S.PROCESSING)
    async with listening(me.client, last_event_id=cursor, cursor="0") as stream:
        (event,) = await stream.events(1)
    assert event.data["status"] == "processing"


async def test_without_a_cursor_only_what_comes_is_sent(me: Caller) -> None:
    _, document = await tracked(me)
    async with listening(me.client) as stream:
        await me.move(document, S.PROCESSING)
        (event,) = await stream.events(1)
    assert event.data["status"] == "processing"


async def test_cursor_zero_replays_everything_however_much_it_is(me: Caller) -> None:
    document = await me.document(S.PENDING)
    there_and_back = [S.PROCESSING, S.PENDING] * 225
    await me.backends.documents.apply(*moves(document, *there_and_back))
    async with listening(me.client, cursor="0") as stream:
        events = await stream.events(452)
    assert sequence(events) == list(range(1, 453))
    assert statuses(events) == ["uploaded", "pending", *there_and_back]


@pytest.mark.parametrize(
    "useless",
    [
        "deadbeef.1",
        "{epoch}.4",
        "{epoch}.999999999999",
        "{epoch}",
        "{epoch}.",
        "{epoch}.-1",
        "{epoch}.01",
        "1",
        "x",
        "∞",
    ],
)
@pytest.mark.parametrize("sent_as", ["cursor", "header"])
async def test_useless_cursor_gets_one_reset_with_the_current_one_and_then_live_events(
    me: Caller, useless: str, sent_as: str
) -> None:
    document = await me.document(S.PROCESSING)
    current = await me.cursor()
    given = useless.format(epoch=current.partition(".")[0])
    query = {"cursor": given} if sent_as == "cursor" else {"last_event_id": given}
    async with listening(me.client, **query) as stream:
        await me.move(document, S.ANALYZING)
        reset, event = await stream.events(2)
    assert (reset.event, reset.id, reset.data) == ("reset", None, {"cursor": current})
    assert (event.event, sequence([event])) == ("status", [4])


async def test_cursor_below_what_is_kept_is_useless_and_zero_begins_there(me: Caller, stack_settings: Settings) -> None:
    document = await me.document(S.PROCESSING)
    epoch, _, _ = (await me.cursor()).partition(".")
    url = stack_settings.database_url.get_secret_value()
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("UPDATE feed_heads SET floor = 2 WHERE owner = %s", [me.user.id])
    async with listening(me.client, last_event_id=f"{epoch}.1") as stream:
        (reset,) = await stream.events(1)
    assert (reset.event, reset.data) == ("reset", {"cursor": f"{epoch}.3"})
    for begin in ({"last_event_id": f"{epoch}.2"}, {"cursor": "0"}):
        async with listening(me.client, **begin) as stream:
            (event,) = await stream.events(1)
        assert (sequence([event]), event.data["status"]) == ([3], document.status)
