"""What one delivery does to its document, in a real store: claims, fences, heartbeats, failures, releases."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiobotocore.session import get_session

from shared.adapters.aws import client_options
from shared.adapters.postgres.connection import open_pool
from shared.adapters.postgres.documents import PostgresDocumentStore
from shared.adapters.sqs import SQSJobQueue
from shared.analysis import Report
from shared.bootstrap import Backends
from shared.clock import utc_now, uuid7
from shared.document import Change, Document, DocumentStatus, HistoryEntry, blob_prefix
from shared.errors import (
    BackendUnavailableError,
    CorruptError,
    DocumentError,
    LLMAuthError,
    LLMQuotaError,
    LLMRateLimitedError,
)
from shared.idempotency import IdempotencyRecord
from shared.messages import ProcessMessage
from shared.moves import commit
from shared.ports import Delivery
from shared.settings import Settings
from tests.support.builders import lease, move, moves, new_document, report
from tests.support.log_lines import logged
from tests.support.running import until
from tests.support.sam_template import counted_by
from tests.support.staged import with_parts
from worker_service.assembly import assemble
from worker_service.consumer import Handler
from worker_service.disposition import Ack, Disposition, Fail, Retry
from worker_service.extractors import Extraction

S = DocumentStatus
LEASE_SECONDS = 60.0
# Short enough that a heartbeat comes at once.
BEATING_SECONDS = 0.6
BODY = b"Call Ada on Monday."
STATED_AT = datetime(2025, 6, 7, tzinfo=UTC)


@dataclass
class Clock:
    """The time, and what the test has let pass beyond it."""

    ahead: timedelta = timedelta()

    def __call__(self) -> datetime:
        return utc_now() + self.ahead

    def let_pass(self, seconds: float) -> None:
        self.ahead += timedelta(seconds=seconds)


@dataclass
class Step:
    """Stands for a parser or a model: says when it starts, waits to be let through, and can end with an error."""

    error: Exception | None = None
    calls: int = 0
    started: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self) -> None:
        self.calls += 1
        self.started.set()
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        if self.error is not None:
            raise self.error


@dataclass
class StepExtractor:
    step: Step

    async def extract(self, data: bytes, content_type: str) -> Extraction:  # noqa: ARG002 - the port has it
        await self.step()
        return Extraction(text=data.decode(), title="A note", author="Ada", created=STATED_AT)


@dataclass
class StepAnalyzer:
    step: Step
    name: str = "offline"

    async def warm(self) -> None: ...

    async def aclose(self) -> None: ...

    async def analyze(self, extraction: Extraction, **given: object) -> Report:  # noqa: ARG002
        await self.step()
        return report()


def passing(error: Exception | None = None) -> Step:
    step = Step(error=error)
    step.gate.set()
    return step


@dataclass
class World:
    """The shared backends with handlers of several workers on them."""

    settings: Settings
    backends: Backends
    clock: Clock = field(default_factory=Clock)
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    def handler(
        self,
        *,
        holder: str = "worker-a",
        extraction: Step | None = None,
        analysis: Step | None = None,
        lease_seconds: float = LEASE_SECONDS,
        max_attempts: int = 5,
        **parts: Any,
    ) -> Handler:
        made = assemble(self.settings, self.backends).handler
        extractor, analyzer = StepExtractor(extraction or passing()), StepAnalyzer(analysis or passing())
        pipeline = replace(
            with_parts(made.pipeline, extractor=extractor, analyzer=analyzer),
            holder=holder,
            lease_seconds=lease_seconds,
            clock=self.clock,
            documents=parts.get("documents", self.backends.documents),
        )
        return replace(made, pipeline=pipeline, max_attempts=max_attempts, clock=self.clock, **parts)

    async def stored(self, *path: S, body: bytes = BODY, kept: bool = True) -> Document:
        """A document, uploaded just now, that went this way from pending on."""
        owner, document_id = uuid4(), uuid7()
        document = new_document(
            id=document_id,
            owner=owner,
            at=self.clock(),
            sha256=sha256(BODY).hexdigest(),
            content_type="text/plain",
            blob_key=f"{blob_prefix(owner, document_id)}original",
        )
        await self.backends.documents.insert(document)
        if kept:
            await self.backends.blobs.put(document.blob_key, body, content_type="text/plain")
        changes = moves(document, S.UPLOADED, S.PENDING, *path, at=self.clock())
        return await commit(self.backends.documents, *changes)

    async def handle(self, handler: Handler, document: Document, delivery: Delivery | None = None) -> Disposition:
        deadline = self.clock() + timedelta(seconds=30)
        return await handler.handle(delivery or delivery_of(document), deadline=deadline, stop=self.stop)

    async def now(self, document: Document) -> Document:
        current = await self.backends.documents.get(document.id)
        assert current is not None
        return current

    async def history(self, document: Document) -> list[HistoryEntry]:
        return await self.backends.documents.history(document.id)


@pytest.fixture
def world(stack_settings: Settings, backends: Backends) -> World:
    return World(stack_settings, backends)


def delivery_of(document: Document, *, run: int | None = None) -> Delivery:
    message = ProcessMessage(document_id=document.id, run=run or document.run, send=1, at=utc_now())
    return Delivery(body=message.model_dump_json(), receipt="of nobody", receive_count=1)


async def test_pending_document_completes_with_history_text_and_report(world: World) -> None:
    document = await world.stored()
    assert await world.handle(world.handler(), document) == Ack()
    done = await world.now(document)
    assert (done.status, done.attempt, done.lease, done.due_at) == (S.COMPLETED, 1, None, None)
    assert done.report == report()
    assert (done.words, done.title, done.author, done.authored_at) == (4, "A note", "Ada", STATED_AT)
    assert done.text_key is not None
    assert await world.backends.blobs.get(done.text_key) == BODY
    path = [entry.status for entry in await world.history(document)]
    assert path == [S.UPLOADED, S.PENDING, S.PROCESSING, S.ANALYZING, S.COMPLETED]


@pytest.mark.parametrize(
    "path", [(S.CANCELLED,), (S.PROCESSING, S.FAILED), (S.PROCESSING, S.ANALYZING, S.COMPLETED), (S.DELETING,)]
)
async def test_message_of_a_document_that_needs_nothing_is_acked(world: World, path: tuple[S, ...]) -> None:
    document = await world.stored(*path)
    assert await world.handle(world.handler(), document) == Ack()
    assert await world.now(document) == document


async def test_message_of_an_unknown_document_is_acked(world: World) -> None:
    assert await world.handle(world.handler(), replace(await world.stored(), id=uuid7())) == Ack()


async def test_message_of_an_earlier_run_is_acked_and_starts_nothing(world: World) -> None:
    document = await world.stored(S.CANCELLED, S.PENDING)
    assert await world.handle(world.handler(), document, delivery_of(document, run=1)) == Ack()
    assert await world.now(document) == document


async def test_live_lease_of_another_worker_sends_the_message_back_until_it_has_ended(world: World) -> None:
    document = await world.stored()
    claimed = await commit(
        world.backends.documents, move(document, S.PROCESSING, lease=lease("worker-b", at=world.clock(), seconds=40))
    )
    at = world.clock()
    handler = replace(world.handler(), clock=lambda: at)
    assert claimed.lease is not None
    verdict = await world.handle(handler, document)
    left_seconds = (claimed.lease.until - at).total_seconds()
    assert verdict == Retry(after_seconds=left_seconds + 6, reason="leased", burn_attempt=False)
    assert await world.now(document) == claimed


async def test_expired_lease_is_claimed_again_under_the_next_fence(world: World) -> None:
    lost = await world.stored(S.PROCESSING)
    world.clock.let_pass(LEASE_SECONDS + 6)
    assert await world.handle(world.handler(holder="worker-b"), lost) == Ack()
    reclaim = (await world.history(lost))[3]
    assert (reclaim.previous, reclaim.status) == (S.PROCESSING, S.PROCESSING)
    assert (reclaim.fence, reclaim.attempt) == (lost.fence + 1, 2)
    assert (await world.now(lost)).status is S.COMPLETED


async def test_lease_that_another_clock_may_still_see_is_not_claimed(world: World) -> None:
    held = await world.stored(S.PROCESSING)
    world.clock.let_pass(LEASE_SECONDS + 4)
    assert isinstance(await world.handle(world.handler(holder="worker-b"), held), Retry)
    assert await world.now(held) == held


@dataclass
class Zombie:
    """A worker that was stopped in its analysis beyond its lease, and another one that has the document now."""

    document: Document
    job: asyncio.Task[Disposition]
    analysis: Step
    successor: asyncio.Task[Disposition]
    successors_analysis: Step


Zombify = Callable[..., Any]


@pytest.fixture
async def zombify(world: World) -> AsyncIterator[Zombify]:
    made: list[Zombie] = []

    async def zombie(*, error: Exception | None = None, successor: str = "worker-b") -> Zombie:
        document, first, second = await world.stored(), Step(error=error), Step()
        job = asyncio.create_task(world.handle(world.handler(analysis=first), document))
        await first.started.wait()
        world.clock.let_pass(LEASE_SECONDS * 2)
        taken = asyncio.create_task(world.handle(world.handler(holder=successor, analysis=second), document))
        await second.started.wait()
        made.append(Zombie(document, job, first, taken, second))
        return made[-1]

    yield zombie
    for one in made:
        one.successors_analysis.gate.set()
        one.analysis.gate.set()
        await asyncio.gather(one.successor, one.job)


async def test_zombie_cannot_complete_while_its_successor_works(world: World, zombify: Zombify) -> None:
    zombie = await zombify()
    successors = await world.now(zombie.document)
    zombie.analysis.gate.set()
    assert isinstance(await zombie.job, Retry)
    assert await world.now(zombie.document) == successors


async def test_zombie_after_its_successors_completion_changes_nothing(world: World, zombify: Zombify) -> None:
    zombie = await zombify()
    zombie.successors_analysis.gate.set()
    assert await zombie.successor == Ack()
    done, history = await world.now(zombie.document), await world.history(zombie.document)
    zombie.analysis.gate.set()
    assert isinstance(await zombie.job, Retry)
    assert (await world.now(zombie.document), await world.history(zombie.document)) == (done, history)
    assert [entry.status for entry in history].count(S.COMPLETED) == 1


@pytest.mark.parametrize("error", [CorruptError(), BackendUnavailableError()])
@pytest.mark.parametrize("successor", ["worker-b", "worker-a"])
async def test_failure_of_a_zombie_leaves_its_successors_claim_alone(
    world: World, zombify: Zombify, error: Exception, successor: str
) -> None:
    # A worker with several slots can be its own successor.
    zombie = await zombify(error=error, successor=successor)
    successors = await world.now(zombie.document)
    zombie.analysis.gate.set()
    await zombie.job
    assert await world.now(zombie.document) == successors


class NotedQueue(SQSJobQueue):
    """The real queue, with a note of every extension."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.extensions: list[tuple[str, int]] = []

    async def extend(self, receipt: str, *, visibility_seconds: int) -> None:
        await super().extend(receipt, visibility_seconds=visibility_seconds)
        self.extensions.append((receipt, visibility_seconds))

    async def extended(self, times: int) -> None:
        async def enough() -> bool:
            return len(self.extensions) >= times

        await until(enough)


@pytest.fixture
async def noted(stack_settings: Settings) -> AsyncIterator[NotedQueue]:
    async with get_session().create_client("sqs", **client_options(stack_settings)) as client:
        yield NotedQueue(client=client, name=stack_settings.queue_name, kind="fifo", order="owner", lanes=1)


async def test_heartbeat_extends_lease_and_message_together(world: World, noted: NotedQueue) -> None:
    document, analysis = await world.stored(), Step()
    job = asyncio.create_task(world.handle(world.handler(analysis=analysis, lease_seconds=1.5, queue=noted), document))
    await analysis.started.wait()
    claimed = await world.now(document)
    await noted.extended(2)
    held = await world.now(document)
    assert held.lease is not None
    assert claimed.lease is not None
    assert held.lease.until > claimed.lease.until
    assert held.lease.until == held.due_at
    assert set(noted.extensions) == {("of nobody", 2)}
    analysis.gate.set()
    assert await job == Ack()


async def test_lost_heartbeat_does_not_end_the_job(world: World, stack_settings: Settings) -> None:
    class Deaf(PostgresDocumentStore):
        beats = 0

        async def extend_lease(self, document_id: UUID, *, fence: int, until: datetime) -> bool:  # noqa: ARG002 - the port has it
            self.beats += 1
            raise BackendUnavailableError

    document, analysis = await world.stored(), Step()
    async with open_pool(stack_settings.database_url.get_secret_value(), size=2) as pool:
        deaf = Deaf(pool=pool)
        handler = world.handler(analysis=analysis, lease_seconds=BEATING_SECONDS, documents=deaf)
        job = asyncio.create_task(world.handle(handler, document))

        async def beaten() -> bool:
            return deaf.beats > 1

        await until(beaten)
        analysis.gate.set()
        assert await job == Ack()


async def test_lease_is_not_shortened_by_the_step_to_analyzing(world: World, noted: NotedQueue) -> None:
    document, extraction, analysis = await world.stored(), Step(), Step()
    handler = world.handler(extraction=extraction, analysis=analysis, lease_seconds=1.5, queue=noted)
    job = asyncio.create_task(world.handle(handler, document))
    await noted.extended(1)
    extended = await world.now(document)
    extraction.gate.set()
    await analysis.started.wait()
    analyzing = await world.now(document)
    analysis.gate.set()
    await job
    assert extended.lease is not None
    assert analyzing.lease is not None
    assert analyzing.lease.until >= extended.lease.until


@pytest.mark.parametrize("to", [S.PROCESSING, S.DELETING])
async def test_heartbeat_that_finds_the_fence_gone_stops_the_job_before_the_analyzer(world: World, to: S) -> None:
    document, extraction, analysis = await world.stored(), Step(), Step()
    handler = world.handler(extraction=extraction, analysis=analysis, lease_seconds=BEATING_SECONDS)
    job = asyncio.create_task(world.handle(handler, document))
    await extraction.started.wait()
    claim = {"lease": lease("worker-b", at=world.clock())} if to is S.PROCESSING else {}
    taken = await commit(world.backends.documents, move(await world.now(document), to, at=world.clock(), **claim))
    assert isinstance(await job, Retry)
    assert extraction.cancelled.is_set()
    assert analysis.calls == 0
    assert await world.now(document) == taken


async def test_heartbeat_that_finds_the_fence_gone_stops_a_running_analysis(world: World) -> None:
    document, analysis = await world.stored(), Step()
    handler = world.handler(analysis=analysis, lease_seconds=BEATING_SECONDS)
    job = asyncio.create_task(world.handle(handler, document))
    await analysis.started.wait()
    taken = await commit(world.backends.documents, move(await world.now(document), S.CANCELLED, at=world.clock()))
    verdict = await job
    assert isinstance(verdict, Retry)
    assert not verdict.burn_attempt
    assert analysis.cancelled.is_set()
    assert await world.now(document) == taken


@pytest.mark.parametrize("error", [CorruptError("Page 3 is damaged."), LLMAuthError("No such key.")])
async def test_named_cause_fails_the_document_under_its_code(world: World, error: DocumentError) -> None:
    document = await world.stored()
    verdict = await world.handle(world.handler(extraction=passing(error)), document)
    failed = await world.now(document)
    assert isinstance(verdict, Fail)
    assert failed.failure == verdict.failure
    assert (failed.status, verdict.failure.code, verdict.failure.detail) == (S.FAILED, error.code, str(error))
    assert (await world.history(document))[-1].reason == error.code
    assert failed.due_at is None


@pytest.mark.parametrize("error", [CorruptError(), LLMAuthError(), LLMQuotaError()])
async def test_failed_document_is_one_line_for_the_alarms(world: World, error: DocumentError) -> None:
    document, completed = await world.stored(), await world.stored()
    with logged() as lines:
        await world.handle(world.handler(analysis=passing(error)), document)
        await world.handle(world.handler(), completed)
    written = [json.loads(line) for line in lines.getvalue().splitlines()]
    failed = [line for line in written if counted_by("FailedDocuments", line)]
    refused = [line for line in written if counted_by("RefusedByModel", line)]
    assert [line["document_id"] for line in failed] == [str(document.id)]
    assert refused == ([] if isinstance(error, CorruptError) else failed)


@pytest.mark.parametrize(("error", "expected"), [(BackendUnavailableError(), [2, 10]), (RuntimeError("a bug"), [2, 4])])
async def test_error_without_a_named_cause_releases_the_document_and_burns_the_attempt(
    world: World, error: Exception, expected: list[float]
) -> None:
    document = await world.stored()
    pauses = []
    for attempt in (1, 2):
        verdict = await world.handle(world.handler(analysis=passing(error)), document)
        assert isinstance(verdict, Retry)
        pauses.append(verdict.after_seconds)
        released = await world.now(document)
        assert (released.status, released.attempt, released.lease) == (S.PENDING, attempt, None)
        assert released.due_at is not None
        assert released.due_at > world.clock()
    assert pauses == expected


async def test_error_at_the_last_attempt_fails_the_document(world: World) -> None:
    document = await world.stored()
    handler = world.handler(analysis=passing(BackendUnavailableError("S3 did not answer.")), max_attempts=2)
    verdicts = [await world.handle(handler, document) for _ in range(2)]
    failed = await world.now(document)
    assert [type(verdict) for verdict in verdicts] == [Retry, Fail]
    assert failed.failure is not None
    assert failed.failure.code == "attempts_exhausted"
    assert "S3 did not answer." in failed.failure.detail


async def test_document_whose_last_claim_was_lost_fails_without_another(world: World) -> None:
    lost, analysis = await world.stored(S.PROCESSING), passing()
    world.clock.let_pass(LEASE_SECONDS * 2)
    verdict = await world.handle(world.handler(analysis=analysis, max_attempts=1), lost)
    failed = await world.now(lost)
    assert isinstance(verdict, Fail)
    assert (failed.status, failed.failure) == (S.FAILED, verdict.failure)
    assert verdict.failure.code == "attempts_exhausted"
    assert analysis.calls == 0


async def test_rate_limit_releases_the_document_for_as_long_as_told_and_burns_no_attempt(world: World) -> None:
    document, limit = await world.stored(), LLMRateLimitedError(retry_after_seconds=17)
    for _ in range(2):
        verdict = await world.handle(world.handler(analysis=passing(limit), max_attempts=1), document)
        assert verdict == Retry(after_seconds=17, reason="llm_rate_limited", burn_attempt=False)
        released = await world.now(document)
        assert (released.status, released.attempt) == (S.PENDING, 0)
    assert await world.handle(world.handler(max_attempts=1), document) == Ack()


async def test_stop_gives_a_running_document_back_without_burning_the_attempt(world: World) -> None:
    document, analysis = await world.stored(), Step()
    job = asyncio.create_task(world.handle(world.handler(analysis=analysis), document))
    await analysis.started.wait()
    world.stop.set()
    assert await job == Retry(after_seconds=0, reason="stopped", burn_attempt=False)
    assert analysis.cancelled.is_set()
    released = await world.now(document)
    assert (released.status, released.attempt, released.lease) == (S.PENDING, 0, None)
    assert (await world.history(document))[-1].reason == "stopped"


async def test_blob_that_is_not_what_was_uploaded_fails_the_document(world: World) -> None:
    document, extraction = await world.stored(body=b"Something else."), passing()
    verdict = await world.handle(world.handler(extraction=extraction), document)
    assert isinstance(verdict, Fail)
    assert verdict.failure.code == "hash_mismatch"
    assert (await world.now(document)).failure == verdict.failure
    assert extraction.calls == 0


async def test_missing_blob_is_tried_again_until_the_attempts_are_spent(world: World) -> None:
    document = await world.stored(kept=False)
    verdicts = [await world.handle(world.handler(max_attempts=2), document) for _ in range(2)]
    failed = await world.now(document)
    assert [type(verdict) for verdict in verdicts] == [Retry, Fail]
    assert failed.failure is not None
    assert failed.failure.code == "attempts_exhausted"
    assert "missing from the bucket" in failed.failure.detail


async def test_failure_that_cannot_be_recorded_keeps_the_message(world: World, stack_settings: Settings) -> None:
    class Lost(PostgresDocumentStore):
        async def apply(self, *changes: Change, remember: IdempotencyRecord | None = None) -> None:
            if changes[-1].after.status is S.FAILED:
                raise BackendUnavailableError
            await super().apply(*changes, remember=remember)

    document = await world.stored()
    async with open_pool(stack_settings.database_url.get_secret_value(), size=2) as pool:
        handler = world.handler(extraction=passing(CorruptError()), documents=Lost(pool=pool))
        verdict = await world.handle(handler, document)
    assert isinstance(verdict, Retry)
    assert (await world.now(document)).status is S.PROCESSING


async def test_work_that_never_ends_is_given_up_and_counts_as_an_attempt(world: World) -> None:
    document, never = await world.stored(), Step()
    long_ago = world.clock() - timedelta(minutes=1)
    handler = world.handler(analysis=never)
    verdict = await handler.handle(delivery_of(document), deadline=long_ago, stop=world.stop)
    assert isinstance(verdict, Retry)
    released = await world.now(document)
    assert (released.status, released.attempt, released.lease) == (S.PENDING, 1, None)
    assert (await world.history(document))[-1].reason == "OverdueError"
