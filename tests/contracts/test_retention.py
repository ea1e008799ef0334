"""What every store promises about taking away what is kept no longer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest

from shared.accounts import RefreshFamily, User
from shared.bootstrap import Backends
from shared.document import Document
from shared.errors import FeedTrimmedError
from shared.events import FEED_KEPT_FOR, FeedHead
from shared.idempotency import IdempotencyRecord
from tests.support.builders import NOW, S, move, moves, new_document
from tests.support.callers import add_user

THERE_AND_BACK = (S.PROCESSING, S.PENDING)
# The events of NOW are too old, those of a day later are not.
LATER = NOW + timedelta(days=1)
THEN = NOW + FEED_KEPT_FOR + timedelta(hours=2)
_MOST_AT_ONCE = 40


async def moved(backends: Backends, document: Document, *path: S, at: datetime) -> Document:
    changes = moves(document, *path, at=at)
    for start in range(0, len(changes), _MOST_AT_ONCE):
        await backends.documents.apply(*changes[start : start + _MOST_AT_ONCE])
    return changes[-1].after


async def a_feed(backends: Backends, *, old: int, young: int) -> Document:
    """A document with so many events that are too old, and so many that are not."""
    document = new_document()
    await backends.documents.insert(document)
    document = await moved(backends, document, S.UPLOADED, S.PENDING, *THERE_AND_BACK * (old // 2 - 1), at=NOW)
    return await moved(backends, document, *THERE_AND_BACK * (young // 2), at=LATER) if young else document


async def trimmed(backends: Backends, owner: UUID, *, now: datetime = THEN) -> FeedHead:
    async with asyncio.timeout(60):
        while await backends.retention.trim(now=now):
            continue
    return (await backends.feed.heads([owner]))[owner]


async def numbers(backends: Backends, owner: UUID, *, after: int) -> Sequence[int]:
    return [event.seq for event in await backends.feed.events(owner, after=after, limit=10_000)]


async def test_old_events_go_and_the_floor_rises_to_the_last_of_them(backends: Backends) -> None:
    owner = (await a_feed(backends, old=6, young=4)).owner
    before = (await backends.feed.heads([owner]))[owner]
    head = await trimmed(backends, owner)
    assert (head.floor, head.seq, head.epoch) == (6, 10, before.epoch)
    assert await numbers(backends, owner, after=6) == [7, 8, 9, 10]


@pytest.mark.parametrize("young", [4, 0])
async def test_place_below_the_floor_is_refused_however_little_is_kept(backends: Backends, young: int) -> None:
    owner = (await a_feed(backends, old=6, young=young)).owner
    head = await trimmed(backends, owner)
    for after in range(head.floor):
        with pytest.raises(FeedTrimmedError):
            await backends.feed.events(owner, after=after, limit=10)
    assert await numbers(backends, owner, after=head.floor) == list(range(7, 7 + young))


async def test_nothing_young_goes_and_the_next_move_takes_the_next_number(backends: Backends) -> None:
    document = await a_feed(backends, old=4, young=0)
    assert (await trimmed(backends, document.owner, now=NOW + FEED_KEPT_FOR - timedelta(hours=1))).floor == 0
    assert (await trimmed(backends, document.owner)).floor == 4
    await backends.documents.apply(move(document, S.PROCESSING, at=LATER))
    assert await numbers(backends, document.owner, after=4) == [5]
    assert (await trimmed(backends, document.owner, now=THEN + timedelta(hours=2))).floor == 4
    assert (await trimmed(backends, document.owner, now=THEN + timedelta(days=8))).floor == 5


async def test_old_event_behind_a_younger_one_stays_with_it(backends: Backends) -> None:
    """Workers' clocks differ; a feed without a hole matters more than an hour."""
    document = await a_feed(backends, old=2, young=2)
    await moved(backends, document, *THERE_AND_BACK, at=NOW)
    assert (await trimmed(backends, document.owner)).floor == 2
    assert await numbers(backends, document.owner, after=2) == [3, 4, 5, 6]


async def test_more_than_one_step_takes_is_taken_in_several(backends: Backends) -> None:
    owner = (await a_feed(backends, old=1200, young=2)).owner
    assert (await trimmed(backends, owner)).floor == 1200


async def test_moves_and_trimmers_at_the_same_time_leave_no_hole(backends: Backends) -> None:
    document = await a_feed(backends, old=40, young=0)

    async def go_on() -> None:
        await backends.documents.apply(*moves(document, *THERE_AND_BACK * 10, at=LATER))

    await asyncio.gather(go_on(), *(backends.retention.trim(now=THEN) for _ in range(4)))
    assert (await trimmed(backends, document.owner)).floor == 40
    assert await numbers(backends, document.owner, after=40) == list(range(41, 61))


async def test_deleted_document_whose_events_are_gone_is_entombed(backends: Backends) -> None:
    document = await a_feed(backends, old=4, young=0)
    await trimmed(backends, document.owner)
    deleting = move(document, S.DELETING, at=LATER)
    await backends.documents.apply(deleting)
    await backends.documents.entomb(deleting.after, now=LATER)
    (event,) = await backends.feed.events(document.owner, after=4, limit=10)
    assert (event.seq, event.filename) == (5, "")


# In DynamoDB time to live does it.
@pytest.mark.parametrize("store", ["postgres"])
async def test_expired_answers_and_log_ins_go_and_live_ones_stay(backends: Backends) -> None:
    user, ends = await add_user(backends), {"expired": THEN, "live": THEN + timedelta(seconds=1)}
    for name, expires_at in ends.items():
        answer = IdempotencyRecord(
            owner=user.id, key_hash=name, request_hash="", answer={}, status=202, expires_at=expires_at
        )
        await backends.idempotency.remember(answer)
    families = {name: a_log_in(user, expires_at) for name, expires_at in ends.items()}
    for family in families.values():
        await backends.accounts.start_family(family)
    assert await kept(backends, user, families) == {"expired": (True, True), "live": (True, True)}
    await backends.retention.trim(now=THEN)
    assert await kept(backends, user, families) == {"expired": (False, False), "live": (True, True)}


def a_log_in(user: User, expires_at: datetime) -> RefreshFamily:
    return RefreshFamily(id=uuid4(), user_id=user.id, counter=0, rotated_at=NOW, expires_at=expires_at)


async def kept(backends: Backends, user: User, families: Mapping[str, RefreshFamily]) -> dict[str, tuple[bool, bool]]:
    """Whether the answer and the log-in of each name are stored. Asked as of a time when all were good."""
    return {
        name: (
            await backends.idempotency.recall(user.id, name, now=NOW) is not None,
            await backends.accounts.family(family.id) is not None,
        )
        for name, family in families.items()
    }
