"""What every account store and every idempotency store promises."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from shared.accounts import RefreshFamily, Role, User
from shared.bootstrap import Backends
from shared.idempotency import IdempotencyRecord
from tests.support.builders import NOW


def new_user() -> User:
    return User(id=uuid4(), name=f"User-{uuid4().hex}", password_hash="x", role=Role.USER, created_at=NOW)


def new_family(user: User) -> RefreshFamily:
    # Not of the past: time to live may take what has expired away at any moment.
    now = datetime.now(UTC)
    return RefreshFamily(id=uuid4(), user_id=user.id, counter=0, rotated_at=now, expires_at=now + timedelta(days=1))


async def test_user_is_found_by_name_in_any_case_and_by_id(backends: Backends) -> None:
    user = new_user()
    assert await backends.accounts.add_user(user)
    assert await backends.accounts.user_named(user.name.upper()) == user
    assert await backends.accounts.user(user.id) == user
    assert await backends.accounts.has_users()


async def test_name_is_taken_in_any_case(backends: Backends) -> None:
    user = new_user()
    await backends.accounts.add_user(user)
    assert not await backends.accounts.add_user(replace(user, id=uuid4(), name=user.name.swapcase()))


async def test_names_that_are_spelt_otherwise_are_two(backends: Backends) -> None:
    suffix = uuid4().hex
    for name in (f"straße-{suffix}", f"STRASSE-{suffix}", f"ÄRGER-{suffix}"):
        assert await backends.accounts.add_user(replace(new_user(), name=name))
    assert not await backends.accounts.add_user(replace(new_user(), name=f"ärger-{suffix}"))


async def test_of_twenty_users_with_one_name_one_is_added(backends: Backends) -> None:
    name = f"Same-{uuid4().hex}"
    users = [replace(new_user(), name=name) for _ in range(20)]
    outcomes = await asyncio.gather(*(backends.accounts.add_user(user) for user in users))
    assert [user for user, added in zip(users, outcomes, strict=True) if added] == [
        await backends.accounts.user_named(name)
    ]


async def test_users_added_at_the_same_time_are_all_there(backends: Backends) -> None:
    users = [new_user() for _ in range(20)]
    assert all(await asyncio.gather(*(backends.accounts.add_user(user) for user in users)))
    assert [await backends.accounts.user(user.id) for user in users] == users


async def test_users_are_listed_by_name_in_any_case_and_in_pages(backends: Backends) -> None:
    prefix = uuid4().hex
    added = [replace(new_user(), name=f"{prefix}-{name}") for name in ("b", "C", "a", "D")]
    for user in added:
        await backends.accounts.add_user(user)
    first = await backends.accounts.users(after=f"{prefix}-", limit=3)
    rest = await backends.accounts.users(after=first[-1].name, limit=1)
    assert [user.name.removeprefix(f"{prefix}-") for user in (*first, *rest)] == ["a", "b", "C", "D"]
    assert first[0] == added[2]


async def test_changed_user_is_stored_and_an_outdated_change_is_not(backends: Backends) -> None:
    user = new_user()
    await backends.accounts.add_user(user)
    changed = replace(user, password_hash="y", role=Role.ADMIN, disabled=True, token_epoch=1)
    assert await backends.accounts.change_user(changed)
    assert not await backends.accounts.change_user(replace(changed, disabled=False))
    assert await backends.accounts.user(user.id) == changed


async def test_unknown_users_and_families_are_not_there(backends: Backends) -> None:
    assert await backends.accounts.user(uuid4()) is None
    assert await backends.accounts.user_named(f"nobody-{uuid4().hex}") is None
    assert await backends.accounts.family(uuid4()) is None
    await backends.accounts.revoke(uuid4())
    assert not await backends.accounts.rotate(uuid4(), counter=0, now=NOW)


async def test_family_remembers_its_rotation_and_its_end(backends: Backends) -> None:
    user = new_user()
    await backends.accounts.add_user(user)
    family = new_family(user)
    await backends.accounts.start_family(family)
    assert await backends.accounts.family(family.id) == family
    later = family.rotated_at + timedelta(minutes=5)
    await backends.accounts.rotate(family.id, counter=0, now=later)
    await backends.accounts.revoke(family.id)
    assert await backends.accounts.family(family.id) == replace(family, counter=1, rotated_at=later, revoked=True)


async def test_of_twenty_concurrent_rotations_one_wins(backends: Backends) -> None:
    user = new_user()
    await backends.accounts.add_user(user)
    family = new_family(user)
    await backends.accounts.start_family(family)
    rotations = (backends.accounts.rotate(family.id, counter=0, now=family.rotated_at) for _ in range(20))
    outcomes = await asyncio.gather(*rotations)
    assert sum(outcomes) == 1
    rotated = await backends.accounts.family(family.id)
    assert rotated is not None
    assert rotated.counter == 1


async def test_revoked_or_expired_family_does_not_rotate(backends: Backends) -> None:
    user = new_user()
    await backends.accounts.add_user(user)
    revoked, expired = new_family(user), new_family(user)
    await backends.accounts.start_family(revoked)
    await backends.accounts.start_family(expired)
    await backends.accounts.revoke(revoked.id)
    assert not await backends.accounts.rotate(revoked.id, counter=0, now=revoked.rotated_at)
    assert not await backends.accounts.rotate(expired.id, counter=0, now=expired.expires_at)


def record(*, expires_at: datetime, answer: str = "first") -> IdempotencyRecord:
    return IdempotencyRecord(
        owner=uuid4(),
        key_hash=uuid4().hex,
        request_hash="r",
        answer={"id": answer},
        status=202,
        expires_at=expires_at,
    )


async def test_first_answer_is_kept(backends: Backends) -> None:
    first = record(expires_at=datetime.now(UTC) + timedelta(hours=1))
    await backends.idempotency.remember(first)
    await backends.idempotency.remember(replace(first, answer={"id": "second"}))
    kept = await backends.idempotency.recall(first.owner, first.key_hash, now=datetime.now(UTC))
    assert kept == first


async def test_answer_comes_back_as_it_was_given(backends: Backends) -> None:
    answer = {"items": [{"id": str(uuid4()), "size": 2**40, "error": None}], "note": "für später", "ratio": 0.1}
    first = replace(record(expires_at=datetime.now(UTC) + timedelta(hours=1)), answer=answer)
    await backends.idempotency.remember(first)
    assert await backends.idempotency.recall(first.owner, first.key_hash, now=datetime.now(UTC)) == first


async def test_of_twenty_answers_at_the_same_time_one_is_kept(backends: Backends) -> None:
    first = record(expires_at=datetime.now(UTC) + timedelta(hours=1))
    answers = [replace(first, answer={"id": number}) for number in range(20)]
    await asyncio.gather(*(backends.idempotency.remember(answer) for answer in answers))
    kept = await backends.idempotency.recall(first.owner, first.key_hash, now=datetime.now(UTC))
    assert kept in answers
    await backends.idempotency.remember(replace(first, answer={"id": "late"}))
    assert await backends.idempotency.recall(first.owner, first.key_hash, now=datetime.now(UTC)) == kept


async def test_another_owner_has_keys_of_its_own(backends: Backends) -> None:
    first = record(expires_at=datetime.now(UTC) + timedelta(hours=1))
    await backends.idempotency.remember(first)
    assert await backends.idempotency.recall(uuid4(), first.key_hash, now=datetime.now(UTC)) is None


async def test_expired_answer_is_forgotten_and_replaced(backends: Backends) -> None:
    old = record(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    await backends.idempotency.remember(old)
    assert await backends.idempotency.recall(old.owner, old.key_hash, now=datetime.now(UTC)) is None
    new = replace(old, answer={"id": "new"}, expires_at=datetime.now(UTC) + timedelta(hours=1))
    await backends.idempotency.remember(new)
    assert await backends.idempotency.recall(old.owner, old.key_hash, now=datetime.now(UTC)) == new
