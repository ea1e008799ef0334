"""What holds a model to the schema: the server where it can, else words, over either API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from shared.bootstrap import Backends
from shared.errors import LLMRejectedError
from tests.support.openai_server import OpenAIServer
from tests.support.paid_calls import analyzing, calls_of
from worker_service.analyzers.openai import OpenAIAnalyzer
from worker_service.extractors import Extraction

LETTER = Extraction(text="Dear Ms Okafor, the shipment of 40 pumps left Rotterdam on 3 March.")


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as running:
        yield running


@pytest.fixture(params=["responses", "chat"])
async def make(request: pytest.FixtureRequest, server: OpenAIServer) -> AsyncIterator[Any]:
    made: list[OpenAIAnalyzer] = []

    def analyzer(answer_format: str) -> OpenAIAnalyzer:
        options: dict[str, Any] = {"api": request.param, "answer_format": answer_format, "backoff_seconds": 0.001}
        made.append(OpenAIAnalyzer(api_key="sk-test", base_url=server.base_url, model="llama-4", prices={}, **options))
        return made[-1]

    yield analyzer
    for one in made:
        await one.aclose()


def asked_for(body: dict[str, Any]) -> str | None:
    chosen = body.get("response_format") or body.get("text", {}).get("format")
    return chosen["type"] if chosen else None


@pytest.mark.parametrize(
    ("answer_format", "asked"), [("schema", "json_schema"), ("json", "json_object"), ("text", None)]
)
async def test_schema_is_sent_as_one_or_in_words(
    backends: Backends, server: OpenAIServer, make: Any, answer_format: str, asked: str | None
) -> None:
    server.script(["fenced"])
    calls = calls_of(backends, await analyzing(backends))
    report = await make(answer_format).analyze(LETTER, calls=calls, timeout_seconds=20)
    [call] = server.calls
    assert "Dear Ms Okafor" in report.analysis.summary
    assert asked_for(call.body) == asked
    assert ('"action_items"' in call.messages[0]) is (answer_format != "schema")
    assert call.messages[1].endswith(LETTER.text)


async def test_answer_in_another_format_is_another_question(
    backends: Backends, server: OpenAIServer, make: Any
) -> None:
    owner = (await analyzing(backends)).owner
    for answer_format in ("schema", "json", "json", "text"):
        calls = calls_of(backends, await analyzing(backends, owner=owner))
        await make(answer_format).analyze(LETTER, calls=calls, timeout_seconds=20)
    assert [asked_for(call.body) for call in server.calls] == ["json_schema", "json_object", None]


async def test_format_that_is_not_taken_is_told_with_the_setting(
    backends: Backends, server: OpenAIServer, make: Any
) -> None:
    server.script(["no_schemas"])
    with pytest.raises(LLMRejectedError, match=r"does not take response_format\. Set OPENAI_FORMAT"):
        await make("schema").analyze(LETTER, calls=calls_of(backends, await analyzing(backends)), timeout_seconds=20)
