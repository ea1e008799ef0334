"""A model's server that is not there yet, or still loads its model: what a document waits, and what it then says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from shared.bootstrap import Backends
from shared.document import Document
from shared.errors import LLMUnavailableError, ModelRestingError
from shared.ledger import CallState
from tests.support.openai_server import OpenAIServer
from tests.support.paid_calls import analyzing, calls_of, claimed_again
from worker_service.analyzers.openai import OpenAIAnalyzer
from worker_service.extractors import Extraction

LETTER = Extraction(text=f"Dear Ms Okafor, shipment {uuid4().hex} left Rotterdam.")
REFUSED = "The model's API could not be reached: the connection was refused."
LOADING = "The model's server is busy, or still loads the model."


@pytest.fixture(params=[REFUSED, LOADING])
async def starting(request: pytest.FixtureRequest) -> AsyncIterator[tuple[OpenAIAnalyzer, str]]:
    """An analyzer for a server that starts, and what it comes to when it never gets ready."""
    with OpenAIServer() as gone:
        pass
    with OpenAIServer(*["loading"] * 9) as server:
        base_url = gone.base_url if request.param == REFUSED else server.base_url
        analyzer = OpenAIAnalyzer(api_key="k", base_url=base_url, model="m", prices={}, backoff_seconds=0.001)
        yield analyzer, request.param
        await analyzer.aclose()


async def analyze(analyzer: OpenAIAnalyzer, backends: Backends, document: Document, *, attempts: int = 2) -> None:
    calls = calls_of(backends, document, attempts=attempts, day_micro_usd=1)
    await analyzer.analyze(LETTER, calls=calls, timeout_seconds=120)


async def test_server_that_starts_is_given_a_minute_and_the_slot_to_others(
    backends: Backends, starting: tuple[OpenAIAnalyzer, str]
) -> None:
    (analyzer, words), document = starting, await analyzing(backends)
    with pytest.raises(ModelRestingError) as caught:
        await analyze(analyzer, backends, document)
    assert caught.value.retry_after_seconds == 60
    with pytest.raises(LLMUnavailableError) as ended:
        await analyze(analyzer, backends, await claimed_again(backends, document))
    assert str(ended.value) == words
    ledger = await backends.ledger.calls(document.id, run=document.run)
    assert [(call.state, call.cost_micro_usd or 0) for call in ledger] == [(CallState.ERROR, 0)] * 2


async def test_document_with_a_single_call_does_not_wait(
    backends: Backends, starting: tuple[OpenAIAnalyzer, str]
) -> None:
    analyzer, words = starting
    with pytest.raises(LLMUnavailableError) as ended:
        await analyze(analyzer, backends, await analyzing(backends), attempts=1)
    assert str(ended.value) == words
