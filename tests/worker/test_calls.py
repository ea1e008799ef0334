"""Paying once: what is called, kept, counted and billed over claims, documents and failures, against a real server."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from uuid import UUID, uuid4

import pytest
import structlog

from shared.analysis import Report
from shared.bootstrap import Backends
from shared.clock import utc_now
from shared.document import Document, DocumentStatus
from shared.errors import BudgetExceededError, BudgetHeldError, LeaseLostError, LLMUnavailableError, ResultPendingError
from shared.ledger import Call, CallState
from tests.support.builders import move
from tests.support.openai_server import OpenAIServer
from tests.support.paid_calls import analyzing, calls_of, claimed_again, next_run
from tests.support.running import until
from worker_service.analyzers.openai import OpenAIAnalyzer
from worker_service.calls import Calls
from worker_service.extractors import Extraction

S = DocumentStatus
PRICES = {"gpt-4.1": (2.0, 8.0)}


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as running:
        yield running


@pytest.fixture
async def analyzer(server: OpenAIServer) -> AsyncIterator[OpenAIAnalyzer]:
    made = OpenAIAnalyzer(
        api_key="sk-test",
        base_url=server.base_url,
        model="gpt-4.1",
        prices=PRICES,
        backoff_seconds=0.001,
    )
    await made.warm()
    yield made
    await made.aclose()


@pytest.fixture
def letter() -> Extraction:
    """Of content that no other test has."""
    return Extraction(text=f"Dear Ms Okafor, shipment {uuid4().hex} left Rotterdam on 3 March.")


async def ask(analyzer: OpenAIAnalyzer, calls: Calls, letter: Extraction) -> Report:
    return await analyzer.analyze(letter, calls=calls, timeout_seconds=20)


async def run_of(backends: Backends, document: Document) -> list[Call]:
    return await backends.ledger.calls(document.id, run=document.run)


async def received(server: OpenAIServer, times: int = 1) -> None:
    async def enough() -> bool:
        return len(server.calls) >= times

    await until(enough)


async def killed_in_its_call(
    backends: Backends, analyzer: OpenAIAnalyzer, server: OpenAIServer, letter: Extraction, owner: UUID | None = None
) -> Document:
    """A document whose worker is gone, with nobody left to settle the call that it was making."""
    document = await analyzing(backends, owner=owner)
    await kill_in_a_call(calls_of(backends, document), analyzer, server, letter)
    return document


async def kill_in_a_call(calls: Calls, analyzer: OpenAIAnalyzer, server: OpenAIServer, letter: Extraction) -> None:
    before = len(server.calls)
    server.script(["hang"])
    job = asyncio.create_task(ask(analyzer, calls, letter))
    await received(server, before + 1)
    await calls.in_flight.aclose()
    with pytest.raises(asyncio.CancelledError):
        await job


async def test_call_is_billed_as_the_provider_bills_it(
    backends: Backends, analyzer: OpenAIAnalyzer, server: OpenAIServer, letter: Extraction
) -> None:
    document = await analyzing(backends)
    report = await ask(analyzer, calls_of(backends, document), letter)
    [journal], [row] = server.calls, await run_of(backends, document)
    assert (str(row.id), row.state, row.error) == (journal.request_id, CallState.DONE, None)
    assert (row.input_tokens, row.output_tokens) == (journal.input_tokens, journal.output_tokens)
    assert row.cost_micro_usd == journal.input_tokens * 2 + journal.output_tokens * 8
    assert report.usage.cost_usd == row.cost_micro_usd / 1_000_000
    assert journal.delivered


async def test_same_content_costs_its_owner_one_call_and_another_owner_another(
    backends: Backends, analyzer: OpenAIAnalyzer, server: OpenAIServer, letter: Extraction
) -> None:
    owner = uuid4()
    documents = [await analyzing(backends, owner=owner) for _ in range(3)]
    reports = [await ask(analyzer, calls_of(backends, document), letter) for document in documents]
    assert len(server.calls) == 1
    assert [report.usage.cached for report in reports] == [False, True, True]
    assert [report.usage.calls for report in reports] == [1, 0, 0]
    assert [report.usage.cost_usd for report in reports][1:] == [0.0, 0.0]
    assert len({report.analysis.summary for report in reports}) == 1
    await ask(analyzer, calls_of(backends, await analyzing(backends)), letter)
    assert len(server.calls) == 2


async def test_forced_run_is_paid_for_once_and_its_answer_replaces_the_kept_one(
    backends: Backends, analyzer: OpenAIAnalyzer, server: OpenAIServer, letter: Extraction
) -> None:
    document = await analyzing(backends)
    await ask(analyzer, calls_of(backends, document), letter)
    forced = await next_run(backends, document, force=True)
    await ask(analyzer, calls_of(backends, forced), letter)
    report = await ask(analyzer, calls_of(backends, await claimed_again(backends, forced)), letter)
    assert (report.usage.calls, report.usage.cached) == (1, False)
    assert len(server.calls) == 2
    [row] = await run_of(backends, forced)
    kept = await backends.ledger.answer(document.owner, row.call_key, now=utc_now())
    assert kept is not None
    assert kept.call_id == row.id


async def test_document_waits_for_the_same_content_in_flight_and_is_served_by_its_answer(
    backends: Backends, analyzer: OpenAIAnalyzer, server: OpenAIServer, letter: Extraction
) -> None:
    owner = uuid4()
    first, second = [await analyzing(backends, owner=owner) for _ in range(2)]
    server.script(["slow:1"])
    job = asyncio.create_task(ask(analyzer, calls_of(backends, first), letter))
    await received(server)
    with pytest.raises(ResultPendingError):
        await ask(analyzer, calls_of(backends, second), letter)
    await job
    assert (await ask(analyzer, calls_of(backends, second), letter)).usage.cached
    assert len(server.calls) == 1


async def test_answer_that_arrives_after_the_claim_was_lost_is_kept(
    backends: Backends, analyzer: OpenAIAnalyzer, server: OpenAIServer, letter: Extraction
) -> None:
    document = await analyzing(backends)
    server.script(["slow:0.5"])
    job = asyncio.create_task(ask(analyzer, calls_of(backends, document), letter))
    await received(server)
    await backends.documents.apply(move(document, S.CANCELLED))
    job.cancel()

    async def settled() -> bool:
        return [call.state for call in await run_of(backends, document)] == [CallState.DONE]

    await until(settled)
    other = await analyzing(backends, owner=document.owner)
    assert (await ask(analyzer, calls_of(backends, other), letter)).usage.cached
    assert len(server.calls) == 1


async def test_document_that_is_no_longer_held_is_not_asked_about(
    backends: Backends, analyzer: OpenAIAnalyzer, server: OpenAIServer, letter: Extraction
) -> None:
    document = await analyzing(backends)
    await claimed_again(backends, document)
    with pytest.raises(LeaseLostError):
        await ask(analyzer, calls_of(backends, document), letter)
    assert server.calls == []


async def test_killed_workers_call_is_ambiguous_and_no_attempt(
    backends: Backends, analyzer: OpenAIAnalyzer, server: OpenAIServer, letter: Extraction
) -> None:
    document = await killed_in_its_call(backends, analyzer, server, letter)
    second = await claimed_again(backends, document)
    await kill_in_a_call(calls_of(backends, second, attempts=1), analyzer, server, letter)
    held = await claimed_again(backends, second)
    with structlog.testing.capture_logs() as logs:
        report = await ask(analyzer, calls_of(backends, held, attempts=1), letter)
    assert [call.state for call in await run_of(backends, held)] == [CallState.AMBIGUOUS] * 2 + [CallState.DONE]
    assert report.usage.calls == len(server.calls) == 3
    assert "llm.ambiguous" in [line["event"] for line in logs]


async def test_same_content_waits_for_a_killed_workers_call_no_longer_than_it_may_last(
    backends: Backends, analyzer: OpenAIAnalyzer, server: OpenAIServer, letter: Extraction
) -> None:
    owner = uuid4()
    [lost] = await run_of(backends, await killed_in_its_call(backends, analyzer, server, letter, owner))
    calls = calls_of(backends, await analyzing(backends, owner=owner))
    with pytest.raises(ResultPendingError):
        await ask(analyzer, calls, letter)
    await ask(analyzer, replace(calls, clock=lambda: lost.until), letter)
    assert len(server.calls) == 2


@pytest.mark.parametrize("behaviour", ["500", "drop", "malformed"])
async def test_attempts_are_counted_over_all_claims_of_a_run(
    backends: Backends, analyzer: OpenAIAnalyzer, server: OpenAIServer, letter: Extraction, behaviour: str
) -> None:
    document = await analyzing(backends)
    server.script([behaviour] * 9)
    for _ in range(2):
        with pytest.raises(Exception, match="model"):
            await ask(analyzer, calls_of(backends, document, attempts=2), letter)
        document = await claimed_again(backends, document)
    assert len(server.calls) == 2
    assert all(call.error for call in await run_of(backends, document))


async def test_spent_attempts_end_with_the_cause_of_the_last(
    backends: Backends, analyzer: OpenAIAnalyzer, server: OpenAIServer, letter: Extraction
) -> None:
    document = await analyzing(backends)
    server.script(["500"] * 9)
    for _ in range(2):
        with pytest.raises(LLMUnavailableError):
            await ask(analyzer, calls_of(backends, document), letter)
        document = await claimed_again(backends, document)


async def test_next_run_has_its_attempts_anew(
    backends: Backends, analyzer: OpenAIAnalyzer, server: OpenAIServer, letter: Extraction
) -> None:
    document = await analyzing(backends)
    server.script(["500"] * 2)
    with pytest.raises(LLMUnavailableError):
        await ask(analyzer, calls_of(backends, document), letter)
    report = await ask(analyzer, calls_of(backends, await next_run(backends, document)), letter)
    assert report.usage.calls == 1


async def test_rate_limited_calls_are_no_attempts_and_cost_nothing(
    backends: Backends, analyzer: OpenAIAnalyzer, server: OpenAIServer, letter: Extraction
) -> None:
    document = await analyzing(backends)
    server.script(["429:0"] * 3)
    for _ in range(3):
        with pytest.raises(Exception, match="slow down"):
            await ask(analyzer, calls_of(backends, document, attempts=1), letter)
        document = await claimed_again(backends, document)
    report = await ask(analyzer, calls_of(backends, document, attempts=1), letter)
    assert report.usage.calls == 4
    assert report.usage.cost_usd == sum(call.input_tokens * 2 + call.output_tokens * 8 for call in server.calls) / 1e6


@pytest.mark.parametrize("behaviour", ["refusal", "malformed", "incomplete"])
async def test_billed_failure_is_in_the_ledger_with_its_cost(
    backends: Backends, analyzer: OpenAIAnalyzer, server: OpenAIServer, letter: Extraction, behaviour: str
) -> None:
    document = await analyzing(backends)
    server.script([behaviour])
    with pytest.raises(Exception, match="model"):
        await ask(analyzer, calls_of(backends, document, attempts=1), letter)
    [journal], [row] = server.calls, await run_of(backends, document)
    assert (row.state, row.cost_micro_usd) == (CallState.ERROR, journal.input_tokens * 2 + journal.output_tokens * 8)


@pytest.mark.parametrize("limit", ["document_micro_usd", "day_micro_usd"])
async def test_no_call_is_made_once_a_budget_is_spent(
    backends: Backends, analyzer: OpenAIAnalyzer, server: OpenAIServer, letter: Extraction, limit: str
) -> None:
    document = await analyzing(backends)
    server.script(["malformed"])
    with pytest.raises(BudgetExceededError):
        await ask(analyzer, calls_of(backends, document, attempts=5, **{limit: 1}), letter)
    assert len(server.calls) == 1


async def test_two_hundred_documents_at_once_pass_one_budget_by_less_than_a_call(
    backends: Backends, analyzer: OpenAIAnalyzer, server: OpenAIServer
) -> None:
    owner, limit = uuid4(), 20_000
    documents = [await analyzing(backends, owner=owner) for _ in range(200)]

    async def outcome(document: Document) -> str:
        letter = Extraction(text=f"Dear Ms Okafor, shipment {document.id} left Rotterdam.")
        while True:
            try:
                await ask(analyzer, calls_of(backends, document, day_micro_usd=limit), letter)
            except BudgetHeldError:
                continue
            except BudgetExceededError:
                return "budget_exceeded"
            return "completed"

    outcomes = Counter(await asyncio.gather(*(outcome(document) for document in documents)))
    bills = [call.input_tokens * 2 + call.output_tokens * 8 for call in server.calls]
    assert outcomes == {"completed": len(bills), "budget_exceeded": 200 - len(bills)}
    assert limit <= sum(bills) < limit + max(bills)
