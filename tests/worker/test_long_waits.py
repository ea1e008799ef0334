"""A document that has to wait, for longer than the queue has patience; and endings that are nobody's but a stage's."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from aiobotocore.session import get_session

from shared.adapters.aws import client_options
from shared.adapters.s3 import S3BlobStore
from shared.bootstrap import Backends, open_backends
from shared.errors import BackendUnavailableError, LLMRateLimitedError, StageFailedError
from shared.settings import Settings
from tests.support.builders import S
from tests.worker.test_handler import World, delivery_of, passing
from worker_service.disposition import Ack, Fail, Retry
from worker_service.serve import serve

WAIT_SECONDS = 700.0
# One before the queue's twenty is soon enough, and one is too soon.
TIRED, FRESH = 19, 2


@pytest.fixture
def world(stack_settings: Settings, backends: Backends) -> World:
    return World(stack_settings, backends)


async def test_message_that_has_waited_often_goes_and_the_sweep_sends_another_in_time(world: World) -> None:
    document = await world.stored()
    handler = world.handler(analysis=passing(LLMRateLimitedError(retry_after_seconds=WAIT_SECONDS)))
    fresh, tired = (replace(delivery_of(document), receive_count=count) for count in (FRESH, TIRED))
    assert isinstance(await world.handle(handler, document, fresh), Retry)
    assert await world.handle(handler, document, tired) == Ack()
    waiting = await world.now(document)
    assert (waiting.status, waiting.attempt) == (S.PENDING, 0)
    assert waiting.due_at is not None
    assert abs(waiting.due_at - world.clock() - timedelta(seconds=WAIT_SECONDS)) < timedelta(seconds=60)


@pytest.mark.parametrize(("seconds", "due_after"), [(WAIT_SECONDS, WAIT_SECONDS + 300), (5.0, 300)])
async def test_sweep_sends_no_other_while_a_message_waits(world: World, seconds: float, due_after: float) -> None:
    document = await world.stored()
    handler = world.handler(analysis=passing(LLMRateLimitedError(retry_after_seconds=seconds)))
    verdict = await world.handle(handler, document)
    assert isinstance(verdict, Retry)
    assert verdict.after_seconds == seconds
    waiting = await world.now(document)
    assert waiting.due_at is not None
    assert abs(waiting.due_at - world.clock() - timedelta(seconds=due_after)) < timedelta(seconds=60)


async def test_message_of_a_document_that_another_worker_has_goes_as_well(world: World) -> None:
    working = await world.stored(S.PROCESSING)
    fresh, tired = (replace(delivery_of(working), receive_count=count) for count in (FRESH, TIRED))
    assert isinstance(await world.handle(world.handler(), working, fresh), Retry)
    assert await world.handle(world.handler(), working, tired) == Ack()
    assert await world.now(working) == working


async def test_message_of_an_attempt_that_counts_goes_as_well_and_leaves_the_others_to_the_sweep(world: World) -> None:
    document = await world.stored()
    fresh, tired = (replace(delivery_of(document), receive_count=count) for count in (FRESH, TIRED))
    handler = world.handler(analysis=passing(RuntimeError()))
    assert isinstance(await world.handle(handler, document, fresh), Retry)
    assert await world.handle(handler, document, tired) == Ack()
    waiting = await world.now(document)
    assert (waiting.status, waiting.attempt) == (S.PENDING, 2)
    assert waiting.due_at is not None
    assert world.clock() < waiting.due_at < world.clock() + timedelta(seconds=60)


async def test_message_that_nobody_begins_with_is_given_back_until_it_came_often(world: World) -> None:
    handler, known = world.handler(), delivery_of(await world.stored())
    unknown = replace(known, body="{}")
    fresh, tired, foreign = (
        handler.give_back(replace(one, receive_count=count))
        for one, count in ((known, FRESH), (known, TIRED), (unknown, TIRED))
    )
    assert isinstance(fresh, Retry)
    assert fresh.after_seconds == 0
    assert tired == Ack()
    # Only the queue may take away what is not ours.
    assert isinstance(foreign, Retry)


@dataclass
class Away:
    """A document store that does not answer, or whose row nobody here can read."""

    error: Exception

    async def get(self, *_asked: object, **_narrowed: object) -> None:
        raise self.error


@pytest.mark.parametrize("error", [BackendUnavailableError(), ValueError("of a later version"), RuntimeError("a bug")])
async def test_messages_outlast_a_document_that_cannot_be_asked_for(world: World, error: Exception) -> None:
    document = await world.stored()
    handler = world.handler(documents=Away(error))
    fresh, tired = (replace(delivery_of(document), receive_count=count) for count in (FRESH, TIRED))
    waiting = await world.handle(handler, document, fresh)
    assert isinstance(waiting, Retry)
    assert not waiting.burn_attempt
    # The queue would soon take it for a dead letter. The document is due all the same: the sweep sends another one.
    assert await world.handle(handler, document, tired) == Ack()
    assert (await world.now(document)).due_at is not None


@pytest.mark.parametrize("words", ["cannot read a\0b", "cannot read \ud800", "x" * 100_000])
async def test_words_that_no_store_takes_fail_their_own_document_alone(world: World, words: str) -> None:
    document = await world.stored()
    verdict = await world.handle(world.handler(analysis=passing(StageFailedError(words))), document)
    assert isinstance(verdict, Fail)
    failed = await world.now(document)
    assert failed.failure == verdict.failure
    assert failed.failure is not None
    assert failed.failure.detail.startswith(("cannot read", "xxx"))


async def test_stage_that_cancels_itself_counts_as_an_attempt(world: World) -> None:
    document = await world.stored()
    analysis = passing()
    analysis.error = asyncio.CancelledError()  # type: ignore[assignment]
    assert isinstance(await world.handle(world.handler(analysis=analysis), document), Retry)
    released = await world.now(document)
    assert (released.status, released.attempt) == (S.PENDING, 1)


async def test_bucket_that_is_away_is_waited_for_and_burns_no_attempt(world: World) -> None:
    document = await world.stored()
    elsewhere = world.settings.model_copy(update={"bucket": "docrelay-not-there"})
    async with open_backends(elsewhere) as away:
        handler = World(elsewhere, away).handler(max_attempts=1)
        for _ in range(2):
            verdict = await world.handle(handler, document)
            assert verdict == Retry(after_seconds=30, reason="waiting_for_bucket", burn_attempt=False)
            waiting = await world.now(document)
            assert (waiting.status, waiting.attempt) == (S.PENDING, 0)
    assert await world.handle(world.handler(max_attempts=1), document) == Ack()


async def test_single_object_out_of_reach_burns_the_attempt(world: World) -> None:
    class Torn(S3BlobStore):
        async def get(self, key: str) -> bytes:  # noqa: ARG002 - the port has it
            raise BackendUnavailableError

    document, settings = await world.stored(), world.settings
    async with get_session().create_client("s3", **client_options(settings)) as s3:
        handler = world.handler(max_attempts=1)
        torn = Torn(client=s3, signer=s3, bucket=settings.bucket)
        verdict = await world.handle(replace(handler, pipeline=replace(handler.pipeline, blobs=torn)), document)
    assert isinstance(verdict, Fail)


async def test_worker_without_its_bucket_does_not_start(stack_settings: Settings) -> None:
    with pytest.raises(BackendUnavailableError, match=r"no bucket docrelay-not-there.*docrelay bootstrap"):
        await serve(stack_settings.model_copy(update={"bucket": "docrelay-not-there"}))
