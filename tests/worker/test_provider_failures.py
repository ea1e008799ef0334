"""The ways in which a provider fails, over real HTTP: each has its cause and exactly the calls that it is worth."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest
import structlog

from shared.bootstrap import Backends
from shared.document import Document
from shared.errors import AnalysisError, LLMRateLimitedError, ModelRestingError
from shared.ledger import CallState
from tests.support.openai_server import OpenAIServer
from tests.support.openai_wire import ReceivedCall
from tests.support.paid_calls import analyzing, calls_of, claimed_again
from tests.support.running import until
from worker_service.analyzers.openai import OpenAIAnalyzer
from worker_service.breaker import FAILURES_IN_A_ROW, Breakers
from worker_service.calls import Calls
from worker_service.extractors import Extraction

CANARY = "sk-canary-key"
NO_HEADER = "OPENAI_API_KEY, OPENAI_ORG_ID or OPENAI_PROJECT_ID has a character that no header has"


@dataclass(frozen=True)
class Scenario:
    """What the provider does, what becomes of the document (a cause, or None when it completes), and how many calls."""

    name: str
    script: tuple[str, ...]
    cause: str | None
    calls: int
    seconds: float = 20


SCENARIOS = [
    Scenario("rate limited twice, then fine", ("429:0", "429:0", "ok"), None, 3),
    Scenario("quota", ("quota",) * 5, "llm_quota", 1),
    Scenario("500 for ever", ("500",) * 5, "llm_unavailable", 2),
    Scenario("stall beyond the time-out", ("hang",) * 5, "llm_timeout", 2, seconds=1),
    Scenario("cut body", ("cut",) * 5, "llm_unavailable", 2),
    Scenario("invalid JSON", ("malformed",) * 5, "llm_invalid_output", 2),
    Scenario("JSON in a fence, with thoughts before it", ("fenced",), None, 1),
    Scenario("wrong schema", ("schema",) * 5, "llm_invalid_output", 2),
    Scenario("refusal", ("refusal",) * 5, "llm_refused", 1),
    Scenario("truncated answer", ("incomplete", "ok"), None, 2),
    Scenario("empty", ("empty",) * 5, "llm_invalid_output", 2),
    Scenario("slow", ("slow:0.5",), None, 1),
    Scenario("401", ("401",) * 5, "llm_auth", 1),
    Scenario("404 model", ("404",) * 5, "llm_unavailable", 1),
    Scenario("content filter", ("filtered",) * 5, "llm_refused", 1),
    Scenario("huge answer", ("huge",) * 5, "llm_invalid_output", 2),
    Scenario("huge error", ("flood",) * 5, "llm_unavailable", 2),
]


@dataclass
class Provider:
    server: OpenAIServer
    analyzer: OpenAIAnalyzer
    backends: Backends
    said: list[str] = field(default_factory=list)

    async def outcome(self, document: Document, *, seconds: float = 20, **options: Any) -> str | None:
        """The cause that a document fails for, through every redelivery; None when it completes."""
        extraction = Extraction(text=f"Dear Ms Okafor, shipment {uuid4().hex} left Rotterdam.")
        while True:
            calls = calls_of(self.backends, document, **options)
            try:
                await self.analyzer.analyze(extraction, calls=calls, timeout_seconds=seconds)
            except AnalysisError as exc:
                self.said.append(str(exc))
                if not isinstance(exc, LLMRateLimitedError):
                    return exc.code
                document = await claimed_again(self.backends, document)
            else:
                return None


@pytest.fixture(params=["responses", "chat"])
async def provider(request: pytest.FixtureRequest, backends: Backends) -> AsyncIterator[Provider]:
    with OpenAIServer() as server:
        analyzer = OpenAIAnalyzer(
            api_key=CANARY,
            base_url=server.base_url,
            model="gpt-4.1",
            api=request.param,
            prices={"gpt-4.1": (2.0, 8.0)},
            backoff_seconds=0.001,
        )
        await analyzer.warm()
        yield Provider(server, analyzer, backends)
        await analyzer.aclose()


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
async def test_failure_ends_with_its_cause_and_no_more_calls_than_it_is_worth(
    provider: Provider, scenario: Scenario
) -> None:
    provider.server.script(scenario.script)
    document = await analyzing(provider.backends)
    assert await provider.outcome(document, seconds=scenario.seconds) == scenario.cause
    assert len(provider.server.calls) == scenario.calls
    ledger = await provider.backends.ledger.calls(document.id, run=document.run)
    assert [str(call.id) for call in ledger] == [call.request_id for call in provider.server.calls]
    assert not any(CANARY in said for said in provider.said)


@pytest.mark.parametrize("behaviour", ["huge", "flood"])
async def test_body_is_read_no_further_than_an_answer_may_be(provider: Provider, behaviour: str) -> None:
    provider.server.script([behaviour])
    await failing(provider, Breakers(), attempts=1)
    [call] = provider.server.calls
    await until(lambda: ended(call))
    assert not call.delivered


async def ended(call: ReceivedCall) -> bool:
    return call.ended_at is not None


async def test_api_that_asks_for_more_time_than_there_is_gets_it_by_a_release(provider: Provider) -> None:
    provider.server.script(["503:30"])
    with pytest.raises(ModelRestingError) as caught:
        await analyzed(provider, Breakers())
    assert caught.value.retry_after_seconds == 30
    assert len(provider.server.calls) == 1


@pytest.mark.parametrize("behaviour", ["ok", "unreadable"])
async def test_both_apis_are_billed_alike_whatever_they_answer(provider: Provider, behaviour: str) -> None:
    provider.server.script([behaviour])
    document = await analyzing(provider.backends)
    assert await provider.outcome(document) is None
    ledger = await provider.backends.ledger.calls(document.id, run=document.run)
    bills = [journal.input_tokens * 2 + journal.output_tokens * 8 for journal in provider.server.calls]
    assert [row.cost_micro_usd for row in ledger] == bills
    assert all(bills)


async def test_bill_that_is_not_told_is_no_bill_of_nothing(provider: Provider) -> None:
    provider.server.script(["uncounted"])
    document, extraction = await analyzing(provider.backends), Extraction(text="Dear Ms Okafor, pay the invoice.")
    calls = calls_of(provider.backends, document, day_micro_usd=60_000)
    report = await provider.analyzer.analyze(extraction, calls=calls, timeout_seconds=20)
    assert (report.usage.calls, report.usage.cost_usd) == (1, None)
    [row] = await provider.backends.ledger.calls(document.id, run=document.run)
    # The most that it may have cost is what the owner's day has left of its budget no more.
    assert row.committed_micro_usd == row.reserved_micro_usd > 60_000
    other = await analyzing(provider.backends, owner=document.owner)
    assert await provider.outcome(other, day_micro_usd=60_000) == "budget_exceeded"
    assert len(provider.server.calls) == 1


@pytest.mark.parametrize(("behaviour", "cost"), [("html", 0), ("500", 0), ("huge", None)])
async def test_what_came_instead_of_an_answer_costs_nothing_unless_it_may_have_been_one(
    provider: Provider, behaviour: str, cost: int | None
) -> None:
    provider.server.script([behaviour])
    document = await analyzing(provider.backends)
    await provider.outcome(document, attempts=1)
    [row] = await provider.backends.ledger.calls(document.id, run=document.run)
    assert row.cost_micro_usd == cost


async def test_failures_in_a_row_spare_the_next_document_a_call_and_a_failure(provider: Provider) -> None:
    breakers = Breakers()
    provider.server.script(["500"] * FAILURES_IN_A_ROW)
    await failing(provider, breakers, attempts=FAILURES_IN_A_ROW)
    before = len(provider.server.calls)
    with pytest.raises(ModelRestingError) as caught:
        await analyzed(provider, breakers)
    assert 0 < caught.value.retry_after_seconds <= 10
    assert len(provider.server.calls) == before


async def test_one_call_tries_when_the_rest_is_over_and_success_closes_the_breaker(provider: Provider) -> None:
    breakers, now = Breakers(), [0.0]
    breakers.of("gpt-4.1").monotonic = lambda: now[0]
    provider.server.script(["500"] * FAILURES_IN_A_ROW)
    await failing(provider, breakers, attempts=FAILURES_IN_A_ROW)
    now[0] = 11
    provider.server.script(["500"])
    await failing(provider, breakers, attempts=1)
    with pytest.raises(ModelRestingError):
        await analyzed(provider, breakers)
    now[0] = 32
    for _ in range(2):
        await analyzed(provider, breakers)


async def test_wrong_address_is_told_each_document_and_holds_up_none(provider: Provider) -> None:
    breakers = Breakers()
    provider.server.script(["404"] * (FAILURES_IN_A_ROW + 1))
    for _ in range(FAILURES_IN_A_ROW + 1):
        await failing(provider, breakers, attempts=2)
    await analyzed(provider, breakers)


async def test_rate_limit_of_one_document_spares_the_others_their_calls(provider: Provider) -> None:
    breakers = Breakers()
    provider.server.script(["429:30"])
    for _ in range(3):
        with pytest.raises(LLMRateLimitedError) as caught:
            await analyzed(provider, breakers)
        assert 25 < caught.value.retry_after_seconds <= 30
    assert len(provider.server.calls) == 1


async def test_answers_that_are_no_outage_do_not_open_the_breaker(provider: Provider) -> None:
    breakers = Breakers()
    for behaviour in ("500", "401", "refusal", "malformed", "500", "quota", "500", "500", "500", "500"):
        provider.server.script([behaviour])
        await failing(provider, breakers, attempts=1)
    await analyzed(provider, breakers)


def calls_with(provider: Provider, document: Document, breakers: Breakers, attempts: int = 2) -> Calls:
    made = calls_of(provider.backends, document, attempts=attempts)
    return Calls(
        document=document,
        ledger=made.ledger,
        limits=made.limits,
        clock=made.clock,
        new_id=made.new_id,
        breakers=breakers,
    )


async def analyzed(provider: Provider, breakers: Breakers, *, attempts: int = 2) -> None:
    calls = calls_with(provider, await analyzing(provider.backends), breakers, attempts)
    text = f"Dear Ms Okafor, {uuid4().hex}."
    await provider.analyzer.analyze(Extraction(text=text), calls=calls, timeout_seconds=20)


async def failing(provider: Provider, breakers: Breakers, *, attempts: int) -> None:
    with pytest.raises(AnalysisError):
        await analyzed(provider, breakers, attempts=attempts)


@pytest.mark.parametrize(
    ("base_url", "api_key", "reason"),
    [
        ("https://{served}/v1", CANARY, "TLS failed"),
        ("http://nowhere.invalid/v1", CANARY, "its name is not known"),
        ("{served}/v1", CANARY, "OPENAI_BASE_URL is no URL of http or https"),
        ("http://{served}/v1", f"{CANARY}\n", NO_HEADER),
    ],
)
async def test_call_that_was_never_sent_costs_nothing_and_says_why(
    backends: Backends, base_url: str, api_key: str, reason: str
) -> None:
    with OpenAIServer() as server, structlog.testing.capture_logs() as logs:
        served = server.base_url.split("/")[2]
        analyzer = OpenAIAnalyzer(
            api_key=api_key,
            base_url=base_url.format(served=served),
            model="gpt-4.1",
            prices={"gpt-4.1": (2.0, 8.0)},
            backoff_seconds=0.001,
        )
        provider, document = Provider(server, analyzer, backends), await analyzing(backends)
        assert await provider.outcome(document, day_micro_usd=1) == "llm_unavailable"
        await analyzer.aclose()
    assert provider.said == [f"The model's API could not be reached: {reason}."]
    ledger = await backends.ledger.calls(document.id, run=document.run)
    assert [(call.state, call.cost_micro_usd) for call in ledger] == [(CallState.ERROR, 0)] * 2
    assert {line["reason"] for line in logs if line["event"] == "llm.called"} == {reason}


async def test_call_that_nobody_answers_in_time_may_have_been_paid_for(provider: Provider) -> None:
    provider.server.script(["hang"])
    document = await analyzing(provider.backends)
    assert await provider.outcome(document, seconds=1, attempts=1) == "llm_timeout"
    [row] = await provider.backends.ledger.calls(document.id, run=document.run)
    assert row.state is CallState.AMBIGUOUS
