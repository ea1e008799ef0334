"""A worker's calls as llmock, a server of somebody else's, judges them in strict mode."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pytest
from llmock.chaos import ChaosSettings
from llmock.scenarios import Delay, Fail, Reply
from llmock.simulation import MockResponseSettings
from llmock.testing import LLMockServer
from llmock.verdict import judge
from pydantic import SecretStr

from shared.settings import Settings
from tests.support.running import logged_in, serving, until, working


@dataclass
class Bench:
    """A service whose model is llmock."""

    provider: LLMockServer
    client: httpx.AsyncClient

    async def outcome(self, *behaviours: Any) -> dict[str, Any]:
        """What becomes of a new letter when the provider does this."""
        self.provider.state.scenarios.add(*behaviours)
        letter = f"Dear Ms Okafor, shipment {uuid4().hex} left Rotterdam.".encode()
        answer = await self.client.post("/documents", files={"file": ("letter.txt", letter)})
        document_id = answer.json()["id"]

        async def ended() -> bool:
            return bool((await self.client.get(f"/documents/{document_id}/status")).json()["terminal"])

        await until(ended)
        document: dict[str, Any] = (await self.client.get(f"/documents/{document_id}")).json()
        return document


@pytest.fixture
def provider() -> Iterator[LLMockServer]:
    with LLMockServer(chaos=ChaosSettings(), responses=MockResponseSettings()) as running:
        yield running


@pytest.fixture(params=["responses", "chat"])
async def bench(request: pytest.FixtureRequest, own_settings: Settings, provider: LLMockServer) -> AsyncIterator[Bench]:
    model = {
        "openai_api_key": SecretStr("sk-test"),
        "openai_base_url": provider.base_url("openai"),
        "openai_api": request.param,
        "queue_order": "none",
    }
    settings = own_settings.model_copy(update=model)
    async with serving(settings) as base_url, working(settings), logged_in(base_url, settings) as client:
        yield Bench(provider, client)


async def test_every_failure_is_met_as_an_outside_judge_wants_it(bench: Bench) -> None:
    outcomes = [
        (await bench.outcome(), None, 1),
        (await bench.outcome(Fail(429, retry_after=1, times=2)), None, 3),
        (await bench.outcome(Fail(500)), None, 2),
        (await bench.outcome(Fail(502, times=2)), "llm_unavailable", 2),
        (await bench.outcome(Fail(401)), "llm_auth", 1),
        (await bench.outcome(Fail(404)), "llm_unavailable", 1),
        (await bench.outcome(Fail(400, code="context_length_exceeded")), "llm_refused", 1),
        (await bench.outcome(Delay(0.3)), None, 1),
        (await bench.outcome(Reply(text="Sure, here it is:", times=2)), "llm_invalid_output", 2),
    ]
    causes = [(document["error"] or {}).get("code") for document, _, _ in outcomes]
    assert causes == [cause for _, cause, _ in outcomes]
    verdict = judge(bench.provider.state.journal.records(wait=5))
    assert verdict.attempts == sum(calls for _, _, calls in outcomes)
    verdict.assert_ok(strict=True)
