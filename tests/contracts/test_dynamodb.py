"""What the DynamoDB store owes to DynamoDB: lost replies, half-visible transactions, its table, its items' size."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiobotocore.session import get_session

from docrelay.embedded.emulator import Emulator
from shared.adapters.dynamodb import items, ledger_erasure
from shared.adapters.dynamodb.expressions import STORED, item, plain, update
from shared.adapters.dynamodb.table import Client, open_client
from shared.bootstrap import Backends, open_backends, provision
from shared.document import Document, DocumentStatus
from shared.errors import BackendUnavailableError
from shared.ledger import Admission, CallState
from shared.lists import ListFilter
from shared.settings import Settings
from tests.contracts.lossy_proxy import LossyProxy
from tests.contracts.paths import stored
from tests.contracts.test_call_ledger import answer_of, begin, call_for, done, erase, kept, paid, settle
from tests.support.builders import NOW, move, new_document
from tests.support.running import until

S = DocumentStatus
ROOT = Path(__file__).parents[2]


@pytest.fixture
def store() -> str:
    return "dynamodb"


@pytest.fixture
async def client(dynamodb_settings: Settings) -> AsyncIterator[Client]:
    async with open_client(dynamodb_settings, get_session()) as opened:
        yield opened


@pytest.fixture
async def proxy(emulator: Emulator) -> AsyncIterator[LossyProxy]:
    async with LossyProxy(emulator.url).running() as running:
        yield running


@pytest.fixture
async def proxied(dynamodb_settings: Settings, proxy: LossyProxy) -> AsyncIterator[Backends]:
    async with open_backends(dynamodb_settings.model_copy(update={"aws_endpoint_url": proxy.url})) as opened:
        yield opened


async def test_move_whose_reply_is_lost_is_made_once(proxied: Backends, proxy: LossyProxy) -> None:
    change = move(await stored(proxied, S.PENDING), S.PROCESSING)
    proxy.lose["TransactWriteItems"], before = 1, proxy.seen["TransactWriteItems"]
    await proxied.documents.apply(change)
    assert proxy.seen["TransactWriteItems"] == before + 2
    assert await proxied.documents.get(change.after.id) == change.after
    assert len(await proxied.documents.history(change.after.id)) == 3
    assert [event.seq for event in await proxied.feed.events(change.after.owner, after=0, limit=9)] == [1, 2, 3]


async def test_move_whose_every_reply_is_lost_is_recognised_when_it_is_made_again(
    proxied: Backends, proxy: LossyProxy
) -> None:
    change = move(await stored(proxied, S.PENDING), S.PROCESSING)
    proxy.lose["TransactWriteItems"] = 3
    with pytest.raises(BackendUnavailableError):
        await proxied.documents.apply(change)
    await proxied.documents.apply(change)
    assert len(await proxied.documents.history(change.after.id)) == 3


async def test_move_is_one_read_and_one_transaction_however_many_the_process_makes_at_once(
    proxied: Backends, proxy: LossyProxy
) -> None:
    owner = uuid4()
    uploads = [await stored(proxied, S.UPLOADED, new_document(owner=owner)) for _ in range(20)]
    proxy.seen.clear()
    await asyncio.gather(*(proxied.documents.apply(move(document, S.PENDING)) for document in uploads))
    assert proxy.seen == {"GetItem": 20, "TransactWriteItems": 20}


async def test_claim_is_one_read_and_one_transaction(proxied: Backends, proxy: LossyProxy) -> None:
    pending = await stored(proxied, S.PENDING)
    proxy.seen.clear()
    assert await proxied.documents.get(pending.id, owner=pending.owner) == pending
    await proxied.documents.apply(move(pending, S.PROCESSING))
    assert proxy.seen == {"BatchGetItem": 1, "TransactWriteItems": 1}


async def test_wrong_guess_of_an_owner_is_only_a_guess(proxied: Backends) -> None:
    pending = await stored(proxied, S.PENDING)
    assert await proxied.documents.get(pending.id, owner=uuid4()) == pending
    await proxied.documents.apply(move(pending, S.PROCESSING))
    assert [event.seq for event in await proxied.feed.events(pending.owner, after=0, limit=9)] == [1, 2, 3]


async def test_move_that_finds_another_process_before_it_is_told_where_the_feed_ends(
    backends: Backends, proxied: Backends, proxy: LossyProxy
) -> None:
    mine = await stored(backends, S.PENDING)
    await proxied.documents.get(mine.id, owner=mine.owner)
    await stored(backends, S.PENDING, new_document(owner=mine.owner))
    proxy.seen.clear()
    await proxied.documents.apply(move(mine, S.PROCESSING))
    assert proxy.seen == {"TransactWriteItems": 2}
    assert [event.seq for event in await backends.feed.events(mine.owner, after=0, limit=9)] == [1, 2, 3, 4, 5]


async def test_document_that_the_index_does_not_show_as_completed_yet_is_listed_with_those(
    proxied: Backends, proxy: LossyProxy
) -> None:
    """The list's feed cursor is behind the event of its completion: no stream would bring it."""
    analyzing, where = await stored(proxied, S.ANALYZING), ListFilter(status=S.COMPLETED)
    assert await proxied.documents.page(analyzing.owner, where=where, limit=10, after=None) == []
    await proxied.documents.apply(completed := move(analyzing, S.COMPLETED))
    proxy.late["Query"] = 1
    assert await proxied.documents.page(analyzing.owner, where=where, limit=10, after=None) == [completed.after]


async def test_document_whose_folder_the_index_does_not_know_yet_is_listed_in_it(
    proxied: Backends, proxy: LossyProxy
) -> None:
    uploading, where = new_document(), ListFilter(folder="a")
    await proxied.documents.insert(uploading)
    assert await proxied.documents.page(uploading.owner, where=where, limit=10, after=None) == []
    await proxied.documents.apply(uploaded := move(uploading, S.UPLOADED, folder="a/b"))
    proxy.late["Query"] = 1
    assert await proxied.documents.page(uploading.owner, where=where, limit=10, after=None) == [uploaded.after]


async def test_paid_call_is_two_requests(proxied: Backends, proxy: LossyProxy) -> None:
    call = call_for(await stored(proxied, S.ANALYZING))
    proxy.seen.clear()
    await begin(proxied, call, limit=1_000)
    await settle(proxied, done(call), answer_of(call))
    assert proxy.seen == {"TransactWriteItems": 2}
    assert await kept(proxied, call) == answer_of(call)


async def test_answer_is_erased_with_its_document_while_another_one_asks_anew(backends: Backends) -> None:
    owner = uuid4()
    first, second = [await stored(backends, S.ANALYZING, new_document(owner=owner)) for _ in range(2)]
    call, again = await paid(backends, first), call_for(second)
    await begin(backends, again, force=True)
    await erase(backends, first)
    assert await kept(backends, call) is None
    assert await begin(backends, call_for(second)) is Admission.IN_FLIGHT
    await settle(backends, done(again), answer_of(again), force=True)
    assert await kept(backends, again) == answer_of(again)


async def test_insert_whose_reply_is_lost_is_recognised(proxied: Backends, proxy: LossyProxy) -> None:
    document = new_document()
    proxy.lose["PutItem"] = 1
    assert await proxied.documents.insert(document)
    assert await proxied.documents.get(document.id) == document


async def test_event_that_is_not_visible_yet_is_waited_for(
    proxied: Backends, proxy: LossyProxy, client: Client, dynamodb_settings: Settings
) -> None:
    document = await stored(proxied, S.PENDING)
    hidden = await take_event(client, dynamodb_settings, document, seq=1)
    reading = asyncio.create_task(proxied.feed.events(document.owner, after=0, limit=10))

    async def asked_again() -> bool:
        return proxy.seen["Query"] > 1

    await until(asked_again)
    await client.put_item(**hidden)
    assert [event.seq for event in await reading] == [1, 2]


async def test_event_that_stays_away_is_not_passed_over(
    backends: Backends, client: Client, dynamodb_settings: Settings
) -> None:
    document = await stored(backends, S.PROCESSING)
    await take_event(client, dynamodb_settings, document, seq=2)
    assert [event.seq for event in await backends.feed.events(document.owner, after=0, limit=10)] == [1]
    with pytest.raises(BackendUnavailableError):
        await backends.feed.events(document.owner, after=1, limit=10)


async def test_head_whose_event_stays_away_is_not_the_end(
    backends: Backends, client: Client, dynamodb_settings: Settings
) -> None:
    document = await stored(backends, S.PENDING)
    await take_event(client, dynamodb_settings, document, seq=2)
    with pytest.raises(BackendUnavailableError):
        await backends.feed.events(document.owner, after=1, limit=10)


async def take_event(client: Client, settings: Settings, document: Document, *, seq: int) -> dict[str, Any]:
    """Take an event away, as if its part of the transaction were late; returns the request that puts it back."""
    key = item(items.event_key(document.owner, seq))
    taken = await client.delete_item(TableName=settings.table, Key=key, ReturnValues="ALL_OLD")
    return {"TableName": settings.table, "Item": taken["Attributes"]}


async def test_document_that_only_the_index_still_lists_leaves_no_gap(
    backends: Backends, client: Client, dynamodb_settings: Settings
) -> None:
    owner = uuid4()
    old, middle, late = [new_document(owner=owner, at=NOW + timedelta(seconds=second)) for second in range(3)]
    for document in (old, middle, late):
        await backends.documents.insert(document)
    gone = update(items.document_key(late.id), {"status": S.DELETING}, condition=STORED)
    await client.update_item(TableName=dynamodb_settings.table, **gone)
    assert await backends.documents.page(owner, where=ListFilter(), limit=2, after=None) == [middle, old]


async def test_answer_goes_with_the_last_of_its_documents_also_when_they_are_erased_at_once(
    backends: Backends, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = uuid4()
    payer, other = [await stored(backends, S.ANALYZING, new_document(owner=owner)) for _ in range(2)]
    call = await paid(backends, payer)
    answer = await kept(backends, call)
    assert answer is not None
    note = replace(call_for(other), state=CallState.CACHED, cost_micro_usd=0, ended_at=call.started_at)
    await backends.ledger.reuse(note, saved=answer)
    looked, look, may_go_on = asyncio.Event(), ledger_erasure._used, asyncio.Event()

    async def looking(*asked: Any) -> bool:
        found = await look(*asked)
        if not looked.is_set():
            looked.set()
            await may_go_on.wait()
        return found

    monkeypatch.setattr(ledger_erasure, "_used", looking)
    erasing = asyncio.create_task(erase(backends, payer))
    await looked.wait()
    await erase(backends, other)
    may_go_on.set()
    await erasing
    assert await kept(backends, call) is None


async def test_setting_up_again_changes_nothing(backends: Backends, dynamodb_settings: Settings) -> None:
    document = await stored(backends, S.COMPLETED)
    await provision(dynamodb_settings)
    assert await backends.documents.get(document.id) == document


async def test_table_expires_items(client: Client, dynamodb_settings: Settings) -> None:
    expiry = await client.describe_time_to_live(TableName=dynamodb_settings.table)
    assert expiry["TimeToLiveDescription"] == {"TimeToLiveStatus": "ENABLED", "AttributeName": "ttl"}


async def test_missing_table_says_what_to_do(dynamodb_settings: Settings) -> None:
    async with open_backends(dynamodb_settings.model_copy(update={"table": "not-there"})) as backends:
        with pytest.raises(BackendUnavailableError, match=r"not-there does not exist\. Run: docrelay bootstrap"):
            await backends.ping()


async def test_store_that_does_not_answer_is_unavailable(dynamodb_settings: Settings) -> None:
    nowhere = dynamodb_settings.model_copy(update={"aws_endpoint_url": "http://127.0.0.1:1"})
    async with open_backends(nowhere) as backends:
        with pytest.raises(BackendUnavailableError, match="DynamoDB did not answer"):
            await backends.documents.get(uuid4())


async def test_document_without_its_result_is_written_as_one_kilobyte(
    backends: Backends, client: Client, dynamodb_settings: Settings
) -> None:
    document = await stored(backends, S.ANALYZING, new_document(filename=f"{'n' * 60}.pdf", folder="projects/2026"))
    key = item(items.document_key(document.id))
    found = await client.get_item(TableName=dynamodb_settings.table, Key=key)
    values = plain(dict(found["Item"]))
    assert sum(len(name) + len(str(value)) for name, value in values.items()) < 1024


def test_process_with_the_one_store_does_not_import_the_other() -> None:
    program = """
import asyncio, sys
from shared.bootstrap import open_backends
from shared.lists import ListFilter
from shared.settings import Settings

async def main():
    async with open_backends(Settings.load(_env_file=None, store="dynamodb")):
        print(sorted(name for name in sys.modules if name.split(".")[0] == "psycopg" or "postgres" in name))

assert not any("dynamodb" in name for name in sys.modules), "imported before a store is opened"
asyncio.run(main())
"""
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False, capture_output=True, text=True)
    assert (ran.stdout, ran.stderr) == ("[]\n", "")
