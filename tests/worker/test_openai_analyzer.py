"""The OpenAI analyzer against a real HTTP server that misbehaves by script."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog

from shared import errors
from shared.analysis import SCHEMA_VERSION, Report
from shared.bootstrap import Backends
from tests.support.openai_server import OpenAIServer
from tests.support.paid_calls import analyzing, calls_of
from worker_service.analyzers.chunks import ChunkCaps
from worker_service.analyzers.openai import OpenAIAnalyzer
from worker_service.analyzers.prompt import PROMPT_VERSION
from worker_service.extractors import Extraction

LETTER = Extraction(text="Dear Ms Okafor, the shipment of 40 pumps left Rotterdam on 3 March.", page_chars=(67,))
PRICES = {"gpt-4.1": (2.0, 8.0), "gpt-4.1-mini": (0.4, 1.6)}


@dataclass
class Analyst:
    """An analyzer whose every analysis is of a document of its own, so that nothing kept serves it."""

    analyzer: OpenAIAnalyzer
    backends: Backends
    max_attempts: int

    async def analyze(self, extraction: Extraction, *, timeout_seconds: float) -> Report:
        calls = calls_of(self.backends, await analyzing(self.backends), attempts=self.max_attempts)
        return await self.analyzer.analyze(extraction, calls=calls, timeout_seconds=timeout_seconds)

    async def warm(self) -> None:
        await self.analyzer.warm()


CUT_SHORT = ChunkCaps(chunk_tokens=4, overlap_tokens=0, max_chunks=1)

Make = Callable[..., Analyst]


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as running:
        yield running


@pytest.fixture
async def make(server: OpenAIServer, backends: Backends) -> AsyncIterator[Make]:
    made: list[OpenAIAnalyzer] = []

    def analyst(*, max_attempts: int = 2, **changes: Any) -> Analyst:
        options: dict[str, Any] = {
            "api_key": "sk-canary-key",
            "base_url": server.base_url,
            "model": "gpt-4.1",
            "caps": ChunkCaps(chunk_tokens=1_000, overlap_tokens=0, max_chunks=1),
            "prices": PRICES,
            "backoff_seconds": 0.001,
        }
        made.append(OpenAIAnalyzer(**{**options, **changes}))
        return Analyst(made[-1], backends, max_attempts)

    yield analyst
    for each in made:
        await each.aclose()


async def failure_of(analyzer: Analyst, *, timeout_seconds: float = 20) -> errors.AnalysisError:
    with pytest.raises(errors.AnalysisError) as caught:
        await analyzer.analyze(LETTER, timeout_seconds=timeout_seconds)
    return caught.value


async def test_answer_is_built_from_the_document(make: Make) -> None:
    report = await make().analyze(LETTER, timeout_seconds=20)
    assert "Dear Ms Okafor" in report.analysis.summary


async def test_report_names_the_analyzer(make: Make) -> None:
    info = (await make().analyze(LETTER, timeout_seconds=20)).analyzer
    assert (info.name, info.model) == ("openai", "gpt-4.1")
    assert (info.prompt_version, info.schema_version) == (PROMPT_VERSION, SCHEMA_VERSION)


async def test_document_is_a_message_of_its_own(server: OpenAIServer, make: Make) -> None:
    await make().analyze(LETTER, timeout_seconds=20)
    [call] = server.calls
    assert [message["role"] for message in call.body["input"]] == ["system", "user"]
    assert LETTER.text not in call.messages[0]
    assert call.messages[1].endswith("\n\n" + LETTER.text)


async def test_provider_is_told_not_to_keep_the_document(server: OpenAIServer, make: Make) -> None:
    await make().analyze(LETTER, timeout_seconds=20)
    assert server.calls[0].body["store"] is False


@pytest.mark.parametrize(
    "hidden",
    ["\u200b", "\u200d", "\u2060", "\ufe0f", "\U000e0041", "\u202e", "\u2066", "\ufeff", "\u00ad", "\ud800", "\x02"],
)
async def test_invisible_characters_are_not_sent(server: OpenAIServer, make: Make, hidden: str) -> None:
    await make().analyze(Extraction(text=f"Pay{hidden} now"), timeout_seconds=20)
    assert server.calls[0].messages[1].endswith("\n\nPay now")


async def test_visible_text_of_any_script_is_sent_whole(server: OpenAIServer, make: Make) -> None:
    text = "Grüße, 東京\n\t한국어 שלום 🙂"
    await make().analyze(Extraction(text=text), timeout_seconds=20)
    assert server.calls[0].messages[1].endswith("\n\n" + text)


async def test_text_beyond_the_limit_is_not_sent(server: OpenAIServer, make: Make) -> None:
    await make(caps=CUT_SHORT).analyze(LETTER, timeout_seconds=20)
    assert server.calls[0].messages[1].endswith("\n\nDear Ms Okaf")


async def test_cut_document_is_covered_in_part(make: Make) -> None:
    coverage = (await make(caps=CUT_SHORT).analyze(LETTER, timeout_seconds=20)).coverage
    assert (coverage.verdict, coverage.chars_analyzed, coverage.chars_extracted) == ("partial", 12, 67)


async def test_invisible_characters_do_not_make_coverage_partial(make: Make) -> None:
    report = await make().analyze(Extraction(text="Pay\u200b now"), timeout_seconds=20)
    assert report.coverage.verdict == "complete"


async def test_cost_is_what_the_provider_bills(server: OpenAIServer, make: Make) -> None:
    usage = (await make().analyze(LETTER, timeout_seconds=20)).usage
    [call] = server.calls
    assert (usage.calls, usage.input_tokens, usage.output_tokens) == (1, call.input_tokens, call.output_tokens)
    assert usage.cost_usd == (call.input_tokens * 2 + call.output_tokens * 8) / 1e6


async def test_longest_model_prefix_sets_the_price(server: OpenAIServer, make: Make) -> None:
    usage = (await make(model="gpt-4.1-mini-2025-04-14").analyze(LETTER, timeout_seconds=20)).usage
    [call] = server.calls
    assert usage.cost_usd == round(call.input_tokens * 0.4 + call.output_tokens * 1.6) / 1e6


async def test_cost_of_a_model_without_a_price_is_unknown(make: Make) -> None:
    assert (await make(model="llama-4").analyze(LETTER, timeout_seconds=20)).usage.cost_usd is None


@pytest.mark.parametrize("behaviour", ["500", "502", "failed", "drop", "malformed", "schema", "html", "incomplete"])
async def test_transient_failure_is_retried_once(server: OpenAIServer, make: Make, behaviour: str) -> None:
    server.script([behaviour])
    report = await make().analyze(LETTER, timeout_seconds=20)
    assert [call.outcome for call in server.calls] == [behaviour, "ok"]
    assert report.usage.calls == 2


@pytest.mark.parametrize(
    ("behaviour", "cause"),
    [
        ("500", errors.LLMUnavailableError),
        ("drop", errors.LLMUnavailableError),
        ("failed", errors.LLMUnavailableError),
        ("malformed", errors.LLMInvalidOutputError),
        ("schema", errors.LLMInvalidOutputError),
        ("html", errors.LLMInvalidOutputError),
        ("incomplete", errors.LLMInvalidOutputError),
    ],
)
async def test_lasting_failure_has_its_cause_after_every_attempt(
    server: OpenAIServer, make: Make, behaviour: str, cause: type[errors.AnalysisError]
) -> None:
    server.script([behaviour] * 9)
    assert type(await failure_of(make())) is cause
    assert len(server.calls) == 2


@pytest.mark.parametrize(
    ("behaviour", "cause"),
    [
        ("401", errors.LLMAuthError),
        ("403", errors.LLMAuthError),
        ("quota", errors.LLMQuotaError),
        ("429", errors.LLMRateLimitedError),
        ("402", errors.LLMQuotaError),
        ("too_large", errors.LLMRejectedError),
        ("refusal", errors.LLMRefusedError),
        ("filtered", errors.LLMRefusedError),
        ("context", errors.LLMRejectedError),
        ("400", errors.LLMRefusedError),
        ("422", errors.LLMRejectedError),
        ("404", errors.LLMUnavailableError),
    ],
)
async def test_hopeless_failure_is_not_retried(
    server: OpenAIServer, make: Make, behaviour: str, cause: type[errors.AnalysisError]
) -> None:
    server.script([behaviour] * 9)
    assert type(await failure_of(make(max_attempts=5))) is cause
    assert len(server.calls) == 1


@pytest.mark.parametrize("max_attempts", [1, 2, 5])
async def test_attempts_are_http_calls(server: OpenAIServer, make: Make, max_attempts: int) -> None:
    server.script(["500"] * 9)
    await failure_of(make(max_attempts=max_attempts))
    assert len(server.calls) == max_attempts


async def test_invalid_output_is_retried_once_whatever_the_attempts(server: OpenAIServer, make: Make) -> None:
    server.script(["malformed"] * 9)
    await failure_of(make(max_attempts=5))
    assert len(server.calls) == 2


async def test_tokens_of_a_failed_answer_are_counted(server: OpenAIServer, make: Make) -> None:
    server.script(["malformed"])
    usage = (await make().analyze(LETTER, timeout_seconds=20)).usage
    assert usage.input_tokens == sum(call.input_tokens for call in server.calls)
    assert usage.output_tokens == sum(call.output_tokens for call in server.calls)


async def test_rate_limit_says_how_long_to_wait(server: OpenAIServer, make: Make) -> None:
    server.script(["429:7.5"])
    error = await failure_of(make())
    assert isinstance(error, errors.LLMRateLimitedError)
    assert error.retry_after_seconds == 7.5


async def test_hanging_call_leaves_time_for_the_next(server: OpenAIServer, make: Make) -> None:
    server.script(["hang"])
    analyzer = make()
    await analyzer.warm()
    report = await analyzer.analyze(LETTER, timeout_seconds=3)
    assert report.usage.calls == 2


async def test_hanging_api_is_a_timeout(server: OpenAIServer, make: Make) -> None:
    server.script(["hang"] * 9)
    analyzer = make()
    await analyzer.warm()
    error = await failure_of(analyzer, timeout_seconds=0.4)
    assert isinstance(error, errors.LLMTimeoutError)
    # What is left of the time for the second of two calls.
    seconds = re.search(r"did not answer within (0\.[12]\d*) s\. Raise DOCRELAY_LLM_SECONDS", str(error))
    assert seconds, str(error)
    assert len(server.calls) == 2


async def test_no_retry_is_waited_for_that_the_deadline_leaves_no_time_for(server: OpenAIServer, make: Make) -> None:
    server.script(["500"] * 9)
    analyzer = make(backoff_seconds=4)
    await analyzer.warm()
    assert isinstance(await failure_of(analyzer, timeout_seconds=1), errors.LLMUnavailableError)
    assert len(server.calls) == 1


async def test_no_call_is_made_to_warm_up_or_after_the_deadline(server: OpenAIServer, make: Make) -> None:
    error = await failure_of(make(), timeout_seconds=0)
    assert isinstance(error, errors.LLMTimeoutError)
    assert "no time left" in str(error)
    assert server.calls == []


async def test_api_that_nobody_serves_is_unavailable(make: Make) -> None:
    with OpenAIServer() as gone:
        base_url = gone.base_url
    assert isinstance(await failure_of(make(base_url=base_url, max_attempts=1)), errors.LLMUnavailableError)


@pytest.mark.parametrize("behaviour", ["401", "500", "400", "429", "malformed", "drop"])
async def test_errors_carry_nothing_of_the_vendor(server: OpenAIServer, make: Make, behaviour: str) -> None:
    server.script([behaviour] * 9)
    error = await failure_of(make())
    assert error.__suppress_context__
    assert error.__cause__ is None
    assert "sk-" not in str(error)


async def test_every_call_is_logged_with_its_cause_and_without_text(server: OpenAIServer, make: Make) -> None:
    server.script(["500"])
    with structlog.testing.capture_logs() as logs:
        await make().analyze(LETTER, timeout_seconds=20)
    called = [line for line in logs if line["event"] == "llm.called"]
    assert [(line["event"], line["cause"], line["status"]) for line in called] == [
        ("llm.called", "llm_unavailable", 500),
        ("llm.called", "ok", 200),
    ]
    assert "Okafor" not in json.dumps(logs)
    assert "sk-canary" not in json.dumps(logs)


async def test_values_out_of_range_are_brought_back(make: Make, server: OpenAIServer) -> None:
    server.script(["exaggerated"])
    analysis = (await make().analyze(LETTER, timeout_seconds=20)).analysis
    assert (analysis.sentiment.score, analysis.classification.confidence) == (-1.0, 1.0)


def test_sdk_is_not_imported_before_it_is_needed() -> None:
    code = "import sys, worker_service.analyzers.openai; print('openai' in sys.modules)"
    root = Path(__file__).parents[2]
    result = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"


async def test_journal_does_not_keep_the_key(server: OpenAIServer, make: Make) -> None:
    await make().analyze(LETTER, timeout_seconds=20)
    assert "sk-canary" not in repr(server.calls)
