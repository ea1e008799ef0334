"""What the DynamoDB store makes of a feed from which time to live has taken more than the upkeep came to trim."""

from __future__ import annotations

from datetime import timedelta

import pytest
from aiobotocore.session import get_session

from shared.adapters.dynamodb import items
from shared.adapters.dynamodb.expressions import item
from shared.adapters.dynamodb.table import open_client
from shared.bootstrap import Backends
from shared.document import Document, DocumentStatus
from shared.errors import FeedTrimmedError
from shared.events import FEED_KEPT_FOR
from shared.settings import Settings
from tests.contracts.paths import stored
from tests.support.builders import NOW, move

S = DocumentStatus
THEN = NOW + FEED_KEPT_FOR + timedelta(hours=1)


async def expire(settings: Settings, document: Document, *seqs: int) -> None:
    async with open_client(settings, get_session()) as client:
        for seq in seqs:
            await client.delete_item(TableName=settings.table, Key=item(items.event_key(document.owner, seq)))


@pytest.mark.parametrize("gone", [(1, 2, 3), (2, 3)], ids=["all", "all but an old one"])
async def test_feed_without_its_last_events_is_trimmed_to_its_head(
    on_table: Backends, dynamodb_settings: Settings, gone: tuple[int, ...]
) -> None:
    document = await stored(on_table, S.PROCESSING)
    await expire(dynamodb_settings, document, *gone)
    while await on_table.retention.trim(now=THEN):
        continue
    (head,) = (await on_table.feed.heads([document.owner])).values()
    assert (head.floor, head.seq) == (3, 3)
    with pytest.raises(FeedTrimmedError):
        await on_table.feed.events(document.owner, after=0, limit=10)
    await on_table.documents.apply(move(document, S.ANALYZING))
    assert [event.seq for event in await on_table.feed.events(document.owner, after=3, limit=10)] == [4]
