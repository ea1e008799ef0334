"""Refresh tokens and the lives of all tokens, on both stores, by a clock that the test turns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from api_service.auth import Authenticator, TokenPair
from api_service.tokens import TokenError
from shared.adapters.argon2 import Argon2Passwords
from shared.bootstrap import Backends, open_backends
from shared.clock import uuid7
from shared.settings import Settings
from tests.contracts.conftest import on_dynamodb
from tests.support.builders import NOW
from tests.support.callers import add_user, tokens_of
from tests.support.running import PASSWORD

GRACE = timedelta(seconds=10)
TICK = timedelta(microseconds=1)


class Watch:
    """A clock that stands still until it is turned."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture(scope="module", params=["postgres", "dynamodb"])
async def backends(request: pytest.FixtureRequest, stack_settings: Settings) -> AsyncIterator[Backends]:
    settings = await on_dynamodb(stack_settings) if request.param == "dynamodb" else stack_settings
    async with open_backends(settings) as opened:
        yield opened


@pytest.fixture(scope="module")
async def name(backends: Backends) -> str:
    """A user; every log-in has a family of its own, so that one user is enough."""
    return (await add_user(backends, password_hash=await Argon2Passwords().hash(PASSWORD))).name


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def authenticator(backends: Backends, stack_settings: Settings, watch: Watch) -> Authenticator:
    return Authenticator(
        accounts=backends.accounts,
        passwords=Argon2Passwords(),
        tokens=tokens_of(stack_settings, clock=watch),
        refresh_life=timedelta(days=30),
        clock=watch,
        new_id=uuid7,
    )


@pytest.fixture
async def first(authenticator: Authenticator, name: str) -> TokenPair:
    """What a log-in answers."""
    return await authenticator.log_in(name, PASSWORD)


async def refused(authenticator: Authenticator, token: str) -> bool:
    try:
        await authenticator.refresh(token)
    except TokenError:
        return True
    return False


def family_of(authenticator: Authenticator, pair: TokenPair) -> UUID:
    return authenticator.tokens.read(pair.access, "at+jwt").family_id


async def test_refresh_rotates(authenticator: Authenticator, first: TokenPair) -> None:
    second = await authenticator.refresh(first.refresh)
    third = await authenticator.refresh(second.refresh)
    assert len({first.refresh, second.refresh, third.refresh}) == 3
    assert family_of(authenticator, third) == family_of(authenticator, first)


async def test_spent_token_is_answered_with_the_same_successor_for_ten_seconds(
    authenticator: Authenticator, watch: Watch, first: TokenPair
) -> None:
    second = await authenticator.refresh(first.refresh)
    watch.now += GRACE
    assert (await authenticator.refresh(first.refresh)).refresh == second.refresh
    assert not await refused(authenticator, second.refresh)


async def test_spent_token_after_ten_seconds_revokes_the_family(
    authenticator: Authenticator, watch: Watch, first: TokenPair
) -> None:
    second = await authenticator.refresh(first.refresh)
    watch.now += GRACE + TICK
    assert await refused(authenticator, first.refresh)
    assert await refused(authenticator, second.refresh)


async def test_token_before_the_last_revokes_the_family_at_once(authenticator: Authenticator, first: TokenPair) -> None:
    second = await authenticator.refresh(first.refresh)
    third = await authenticator.refresh(second.refresh)
    assert await refused(authenticator, first.refresh)
    assert await refused(authenticator, second.refresh)
    assert await refused(authenticator, third.refresh)


async def test_grace_begins_with_the_rotation_not_with_the_last_use(
    authenticator: Authenticator, watch: Watch, first: TokenPair
) -> None:
    await authenticator.refresh(first.refresh)
    watch.now += GRACE * 0.6
    assert not await refused(authenticator, first.refresh)
    watch.now += GRACE * 0.6
    assert await refused(authenticator, first.refresh)


async def test_reuse_in_one_family_leaves_the_user_s_others_alone(
    authenticator: Authenticator, watch: Watch, first: TokenPair, name: str
) -> None:
    other = await authenticator.log_in(name, PASSWORD)
    await authenticator.refresh(first.refresh)
    watch.now += GRACE + TICK
    assert await refused(authenticator, first.refresh)
    assert not await refused(authenticator, other.refresh)


async def test_of_twenty_parallel_refreshes_none_is_refused_and_all_get_one_successor(
    authenticator: Authenticator, first: TokenPair
) -> None:
    pairs = await asyncio.gather(*(authenticator.refresh(first.refresh) for _ in range(20)))
    (successor,) = {pair.refresh for pair in pairs}
    assert not await refused(authenticator, successor)


async def test_logged_out_family_is_refused_within_the_grace_too(
    authenticator: Authenticator, first: TokenPair
) -> None:
    second = await authenticator.refresh(first.refresh)
    await authenticator.log_out(family_of(authenticator, first))
    assert await refused(authenticator, first.refresh)
    assert await refused(authenticator, second.refresh)


async def test_refreshing_does_not_make_a_log_in_last_longer(
    authenticator: Authenticator, watch: Watch, first: TokenPair
) -> None:
    watch.now += timedelta(days=29)
    second = await authenticator.refresh(first.refresh)
    watch.now = NOW + timedelta(days=30)
    assert await refused(authenticator, second.refresh)


async def test_access_token_lives_its_sixty_minutes(
    authenticator: Authenticator, watch: Watch, first: TokenPair
) -> None:
    watch.now = NOW + timedelta(minutes=60) - timedelta(seconds=1)
    assert (await authenticator.caller(first.access, "at+jwt")).claims.kind == "at+jwt"
    watch.now = NOW + timedelta(minutes=60)
    with pytest.raises(TokenError):
        await authenticator.caller(first.access, "at+jwt")


async def test_ticket_lives_a_minute(authenticator: Authenticator, watch: Watch, first: TokenPair) -> None:
    caller = await authenticator.caller(first.access, "at+jwt")
    ticket = authenticator.tokens.ticket(caller.user, caller.claims.family_id)
    watch.now += timedelta(seconds=59)
    assert (await authenticator.caller(ticket, "ticket+jwt")).user == caller.user
    watch.now += timedelta(seconds=1)
    with pytest.raises(TokenError):
        await authenticator.caller(ticket, "ticket+jwt")


async def test_token_from_the_future_is_refused(authenticator: Authenticator, watch: Watch, first: TokenPair) -> None:
    watch.now -= timedelta(seconds=1)
    with pytest.raises(TokenError):
        await authenticator.caller(first.access, "at+jwt")
