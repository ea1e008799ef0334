"""How long an answer may be: what the limit is called, what is raised when it was too little, and who has no room."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

from shared.analysis import Report
from shared.bootstrap import Backends
from shared.errors import LLMInvalidOutputError, LLMRejectedError
from tests.support.openai_server import OpenAIServer
from tests.support.paid_calls import analyzing, calls_of
from worker_service.analyzers.chunks import ChunkCaps
from worker_service.analyzers.openai import OpenAIAnalyzer
from worker_service.analyzers.openai_endpoint import limit_name
from worker_service.extractors import Extraction

LETTER = Extraction(text="Dear Ms Okafor, the shipment of 40 pumps left Rotterdam on 3 March.")

Asking = Callable[..., Callable[..., Awaitable[Report]]]


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as running:
        yield running


@pytest.fixture
async def asking(server: OpenAIServer, backends: Backends) -> AsyncIterator[Asking]:
    made: list[OpenAIAnalyzer] = []

    def asking(**options: Any) -> Callable[..., Awaitable[Report]]:
        prices = {"gpt-4.1": (2.0, 8.0)}
        analyzer = OpenAIAnalyzer(
            api_key="sk-test",
            base_url=server.base_url,
            model="gpt-4.1",
            prices=prices,
            backoff_seconds=0.001,
            **options,
        )
        made.append(analyzer)

        async def ask(**limits: Any) -> Report:
            calls = calls_of(backends, await analyzing(backends), **limits)
            return await analyzer.analyze(LETTER, calls=calls, timeout_seconds=20)

        return ask

    yield asking
    for one in made:
        await one.aclose()


async def test_cut_off_answer_is_asked_again_with_more_room(server: OpenAIServer, asking: Asking) -> None:
    server.script(["incomplete"])
    await asking(caps=ChunkCaps(output_tokens=700))()
    assert [call.body["max_output_tokens"] for call in server.calls] == [700, 1_400]


async def test_limit_has_the_name_that_the_model_knows_once_it_has_refused_the_other(
    server: OpenAIServer, asking: Asking
) -> None:
    server.script(["reasoner"] * 9)
    ask = asking(api="chat")
    usages = [(await ask(attempts=1)).usage for _ in range(2)]
    limits = [{name for name in call.body if name.startswith("max_")} for call in server.calls]
    assert limits == [{"max_tokens"}, {"max_completion_tokens"}, {"max_completion_tokens"}]
    assert [usage.calls for usage in usages] == [1, 1]
    assert usages[0].cost_usd == usages[1].cost_usd


async def test_limit_that_the_model_knows_by_no_name_is_told(server: OpenAIServer, asking: Asking) -> None:
    server.script(["unsupported"] * 9)
    with pytest.raises(LLMRejectedError, match="max_tokens"):
        await asking(api="chat")(attempts=5)
    assert len(server.calls) == 2


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://api.openai.com/v1", "max_completion_tokens"),
        ("https://eu.api.openai.com/v1", "max_completion_tokens"),
        ("http://127.0.0.1:11434/v1", "max_tokens"),
        ("https://api.openai.com.example/v1", "max_tokens"),
    ],
)
def test_limit_is_called_as_openai_does_at_openai_only(url: str, name: str) -> None:
    assert limit_name(url) == name


@pytest.mark.parametrize("behaviour", ["context", "413"])
async def test_cut_off_answer_is_the_cause_when_more_room_is_not_to_be_had(
    server: OpenAIServer, asking: Asking, behaviour: str
) -> None:
    server.script(["incomplete", behaviour])
    with pytest.raises(LLMInvalidOutputError, match="Raise DOCRELAY_LLM_OUTPUT_TOKENS"):
        await asking()()
    assert len(server.calls) == 2
