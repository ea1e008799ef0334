"""A store that was set back to an earlier time: its numbers come again, and no client takes them for those it has."""

from __future__ import annotations

import psycopg
import pytest

from shared.settings import Settings
from tests.support.builders import S
from tests.support.callers import Caller
from tests.support.sse import listening
from tests.support.terminal import Terminal


async def set_back(me: Caller, settings: Settings, *, seq: int) -> None:
    """As a restore leaves the feed: the head as it was, and nothing of what came after."""
    url = settings.database_url.get_secret_value()
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("DELETE FROM feed_events WHERE owner = %s AND seq > %s", [me.user.id, seq])
        await connection.execute("UPDATE feed_heads SET seq = %s WHERE owner = %s", [seq, me.user.id])


async def test_client_that_resumes_after_a_restore_reads_anew_and_misses_nothing(
    me: Caller, nobody: Terminal, stack_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await me.document(S.PENDING)
    await me.document(S.COMPLETED)
    known = await me.cursor()
    await set_back(me, stack_settings, seq=2)
    monkeypatch.setenv("DOCRELAY_DATABASE_URL", stack_settings.database_url.get_secret_value())
    outcome = await nobody.run("db", "restored")
    feeds = len(await me.backends.feed.owners())
    assert (outcome.exit_code, outcome.stdout) == (0, f"feeds with a new epoch: {feeds}\n")
    await me.document(S.COMPLETED)
    await me.document(S.PENDING)
    async with listening(me.client, last_event_id=known) as stream:
        (reset,) = await stream.events(1)
    assert (reset.event, reset.data) == ("reset", {"cursor": await me.cursor()})
    assert reset.data["cursor"].endswith(".9")


async def test_stream_that_outlives_a_restore_ends_and_its_client_reads_anew(
    me: Caller, stack_settings: Settings
) -> None:
    await me.document(S.COMPLETED)
    async with listening(me.client, cursor="0") as stream, listening(me.client) as idle:
        *_, last = await stream.events(5)
        await set_back(me, stack_settings, seq=2)
        await me.backends.retention.begin_anew()
        await me.document(S.COMPLETED)
        endings = [await one.rest() for one in (stream, idle)]
    assert [[block.event for block in ending if block.event] for ending in endings] == [["bye"], ["bye"]]
    async with listening(me.client, last_event_id=last.id) as resumed:
        (reset,) = await resumed.events(1)
    assert reset.event == "reset"


async def test_client_that_joins_right_after_a_restore_does_not_hide_it_from_the_others(
    me: Caller, stack_settings: Settings
) -> None:
    await me.document(S.COMPLETED)
    async with listening(me.client) as stream:
        await set_back(me, stack_settings, seq=2)
        await me.backends.retention.begin_anew()
        async with listening(me.client):
            assert [block.event for block in await stream.rest() if block.event] == ["bye"]


async def test_another_move_with_the_same_number_has_another_etag(me: Caller, stack_settings: Settings) -> None:
    document = await me.document(S.FAILED)
    places = [f"/documents/{document.id}", f"/documents/{document.id}/status"]
    tags = [(await me.client.get(place)).headers["etag"] for place in places]
    async with await psycopg.AsyncConnection.connect(
        stack_settings.database_url.get_secret_value(), autocommit=True
    ) as connection:
        await connection.execute("UPDATE documents SET write_id = gen_random_uuid() WHERE id = %s", [document.id])
    answers = [
        await me.client.get(place, headers={"If-None-Match": tag}) for place, tag in zip(places, tags, strict=True)
    ]
    assert [answer.status_code for answer in answers] == [200, 200]
