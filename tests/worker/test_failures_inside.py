"""Failures that servers of OpenAI's protocol send with status 200, and addresses that lead nowhere, over real HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Literal
from uuid import uuid4

import pytest
import structlog

from shared import errors
from shared.bootstrap import Backends
from tests.support.openai_server import OpenAIServer
from tests.support.paid_calls import analyzing, calls_of
from worker_service.analyzers.openai import OpenAIAnalyzer
from worker_service.extractors import Extraction


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as running:
        yield running


async def ending(
    backends: Backends, server: OpenAIServer, *, path: str = "/v1", api: Literal["responses", "chat"] = "chat"
) -> Exception | None:
    """What the analysis of a document ends with; None when it succeeds."""
    url = server.base_url.removesuffix("/v1") + path
    analyzer = OpenAIAnalyzer(api_key="k", base_url=url, model="m", api=api, prices={}, backoff_seconds=0.001)
    calls = calls_of(backends, await analyzing(backends))
    try:
        await analyzer.analyze(Extraction(text=f"Dear Ms {uuid4().hex}."), calls=calls, timeout_seconds=20)
    except Exception as exc:  # noqa: BLE001 - looked at by the test.
        return exc
    finally:
        await analyzer.aclose()
    return None


@pytest.mark.parametrize(
    ("said", "cause", "words", "calls"),
    [
        ({"error": "Unexpected endpoint or method. (POST /responses)"}, errors.LLMUnavailableError, "OPENAI_API:", 1),
        ({"error": {"code": 502, "message": "Provider returned error"}}, errors.LLMUnavailableError, "failed", 2),
        ({"error": {"code": "429", "message": "Slow down"}}, errors.LLMRateLimitedError, "slow down", 1),
        ({"choices": [], "error": {"code": 500}}, errors.LLMUnavailableError, "failed", 2),
        ({"error": {"code": 402, "message": "More credits"}}, errors.LLMQuotaError, "no quota left", 1),
        (
            {"error": {"code": 400, "type": "exceed_context_size_error", "message": "too much"}},
            errors.LLMRefusedError,
            "DOCRELAY_LLM_CHUNK_TOKENS",
            1,
        ),
        ({"error": {"code": "odd", "message": "?"}}, errors.LLMRefusedError, "rejected", 1),
        ({"choices": [{"finish_reason": "error", "message": {}}]}, errors.LLMUnavailableError, "failed", 2),
        ({"hello": "world"}, errors.LLMInvalidOutputError, "Check OPENAI_BASE_URL", 2),
    ],
)
async def test_failure_with_status_200_is_that_failure(
    backends: Backends,
    server: OpenAIServer,
    said: dict[str, object],
    cause: type[errors.AnalysisError],
    words: str,
    calls: int,
) -> None:
    server.script([f"says:{json.dumps(said)}"] * calls)
    failed = await ending(backends, server)
    assert isinstance(failed, cause)
    assert words in str(failed)
    assert len(server.calls) == calls


@pytest.mark.parametrize("api", ["responses", "chat"])
async def test_null_for_no_error_is_no_failure(
    backends: Backends, server: OpenAIServer, api: Literal["responses", "chat"]
) -> None:
    assert await ending(backends, server, api=api) is None


@pytest.mark.parametrize("path", ["", "/v2"])
async def test_wrong_address_names_all_that_may_be_wrong(backends: Backends, server: OpenAIServer, path: str) -> None:
    failed = str(await ending(backends, server, path=path))
    assert all(name in failed for name in ("OPENAI_MODEL", "OPENAI_BASE_URL", "/v1", "OPENAI_API:"))


async def test_answer_that_is_none_is_logged_with_its_status(backends: Backends, server: OpenAIServer) -> None:
    server.script(["html", "huge"])
    with structlog.testing.capture_logs() as logs:
        await ending(backends, server)
    assert [line["status"] for line in logs if line["event"] == "llm.called"] == [200, 200]
