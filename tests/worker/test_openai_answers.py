"""How one answer of OpenAI's API is read, without a server: what the wire may hold beyond the usual."""

from __future__ import annotations

import json

import pytest

from shared.analysis import Analysis
from shared.errors import AnalysisError, LLMInvalidOutputError, LLMQuotaError, LLMRateLimitedError
from worker_service.analyzers.openai_answers import Answer
from worker_service.analyzers.openai_refusals import Refusal, failure
from worker_service.failures import CallFailedError

ANALYSIS = {
    "summary": "Forty pumps left Rotterdam.",
    "topics": ["pumps"],
    "sentiment": {"label": "neutral", "score": 0},
    "action_items": [],
    "classification": {"label": "letter", "confidence": 0.9},
    "tags": [],
    "language": "en",
}


def answer(*items: dict[str, object], **fields: object) -> Answer:
    return Answer.read(json.dumps({"output": items, **fields}).encode())


def message(text: str, **fields: object) -> dict[str, object]:
    return {"type": "message", "content": [{"type": "output_text", "text": text}], **fields}


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after-ms": "1500", "retry-after": "99"}, 1.5),
        ({"retry-after": "Thu, 01 Jan 2015 00:00:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, 10.0),
        ({"retry-after": "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"}, 10.0),
        ({"retry-after": "nan"}, 0.0),
        ({"retry-after": "1e12"}, 3_600.0),
        ({}, 10.0),
    ],
)
def test_retry_after_is_read_in_every_form(headers: dict[str, str], seconds: float) -> None:
    error = failure(status=429, code="rate_limit_exceeded", message="", headers=headers).error
    assert isinstance(error, LLMRateLimitedError)
    assert error.retry_after_seconds == seconds


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        (b'{"error": {"code": "insufficient_quota", "message": null}}', LLMQuotaError),
        (b'{"error": {"code": null, "type": "insufficient_quota"}}', LLMQuotaError),
        (b'{"type": "insufficient_quota", "message": "No more."}', LLMQuotaError),
        (b'{"error": {"code": [429], "message": {}}}', LLMRateLimitedError),
        (b'{"error": "Slow down."}', LLMRateLimitedError),
        (b"[" * 100_000, LLMRateLimitedError),
        (b"", LLMRateLimitedError),
    ],
)
def test_cause_is_read_of_whatever_comes_with_a_refusal(body: bytes, cause: type[AnalysisError]) -> None:
    assert isinstance(Refusal.read(body).failure(status=429, headers={}).error, cause)


def test_reasoning_and_comments_are_not_part_of_the_answer() -> None:
    thoughts: dict[str, object] = {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "Hm."}]}
    comment = message("I will now answer.", phase="commentary")
    assert answer(thoughts, comment, message(json.dumps(ANALYSIS))).parsed(Analysis).topics == ["pumps"]


def test_answer_without_usage_is_read() -> None:
    assert answer(message(json.dumps(ANALYSIS))).usage is None


def test_empty_answer_is_invalid_output() -> None:
    with pytest.raises(CallFailedError) as caught:
        answer().parsed(Analysis)
    assert isinstance(caught.value.error, LLMInvalidOutputError)


def test_rate_limit_inside_an_answer_is_a_rate_limit() -> None:
    with pytest.raises(CallFailedError) as caught:
        answer(status="failed", error={"code": "rate_limit_exceeded"}).parsed(Analysis)
    assert isinstance(caught.value.error, LLMRateLimitedError)
