"""How one answer of OpenAI's API is read, without a server: what the wire may hold beyond the usual."""

from __future__ import annotations

import json

import pytest

from shared.analysis import Analysis
from shared.errors import (
    AnalysisError,
    LLMAuthError,
    LLMInvalidOutputError,
    LLMQuotaError,
    LLMRateLimitedError,
    LLMRefusedError,
    LLMUnavailableError,
)
from worker_service.analyzers.openai_answers import Answer, ChatAnswer, Reply
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


def answer(*items: dict[str, object], **fields: object) -> Reply:
    return Reply.read(json.dumps({"output": items, **fields}).encode(), Answer)


def chat(content: object, **fields: object) -> Reply:
    choice = {"finish_reason": "stop", "message": {"role": "assistant", "content": content, **fields}}
    return Reply.read(json.dumps({"choices": [choice]}).encode(), ChatAnswer)


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


@pytest.mark.parametrize(
    ("body", "cause", "words"),
    [
        (b'{"error": {"code": "model_not_found", "message": "no access"}}', LLMUnavailableError, "OPENAI_MODEL"),
        (b'{"error": {"code": 403, "message": "... and your input was flagged"}}', LLMRefusedError, "content filter"),
        (b'{"error": {"code": 403, "message": "Forbidden"}}', LLMAuthError, "OPENAI_API_KEY"),
        (b"<html>", LLMAuthError, "OPENAI_API_KEY"),
    ],
)
def test_403_is_more_than_a_wrong_key(body: bytes, cause: type[AnalysisError], words: str) -> None:
    error = Refusal.read(body).failure(status=403, headers={}).error
    assert isinstance(error, cause)
    assert words in str(error)


def test_reasoning_and_comments_are_not_part_of_the_answer() -> None:
    thoughts: dict[str, object] = {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "Hm."}]}
    comment = message("I will now answer.", phase="commentary")
    assert answer(thoughts, comment, message(json.dumps(ANALYSIS))).parsed(Analysis).topics == ["pumps"]


JSON = json.dumps(ANALYSIS)
DRAFT = json.dumps({**ANALYSIS, "topics": ["draft"]})


@pytest.mark.parametrize(
    "text",
    [
        f"```json\n{JSON}\n```",
        f'<think>\nLet me see {{the}} letter: {{"summary": 1}}\n</think>\n\n{JSON}',
        f"It is a letter.</think>{JSON}",
        f"Here is the analysis: {JSON}",
        f"{JSON}\n\nI hope that this helps {{you}}!",
        f"{JSON}<|im_end|>",
        f"A draft: {DRAFT}. No, rather: {JSON}",
        f"\ufeff{JSON}",
        json.dumps({**ANALYSIS, "notes": "none", "sentiment": {"label": "neutral", "score": 0, "why": "It is dry."}}),
    ],
    ids=[
        "fence",
        "thoughts",
        "thoughts without a beginning",
        "before",
        "behind",
        "end token",
        "draft",
        "BOM",
        "extra fields",
    ],
)
def test_analysis_is_read_whatever_is_around_it(text: str) -> None:
    assert answer(message(text)).parsed(Analysis) == chat(text).parsed(Analysis) == Analysis.model_validate(ANALYSIS)


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"analysis": ANALYSIS}),
        json.dumps([ANALYSIS]),
        f"Two of them: {json.dumps([ANALYSIS, ANALYSIS])}",
        json.dumps({name: value for name, value in ANALYSIS.items() if name != "tags"}),
        f"<think>{JSON}</think>",
        f"<think>Perhaps {JSON}, but rather",
        JSON[:-9],
        '{"a":' * 100_000,
        f'{{"summary": {"9" * 5_000}}}',
        "null",
        "",
    ],
)
def test_what_is_no_analysis_is_not_made_one(text: str) -> None:
    for reply in (answer(message(text)), chat(text)):
        with pytest.raises(CallFailedError) as caught:
            reply.parsed(Analysis)
        assert isinstance(caught.value.error, LLMInvalidOutputError)


def test_model_that_is_not_held_to_the_schema_may_write_as_people_do() -> None:
    loose = {
        **ANALYSIS,
        "sentiment": {"label": "Neutral", "score": 0},
        "action_items": [{"text": "Pay it.", "due": "3 March"}],
    }
    read = answer(message(json.dumps(loose))).parsed(Analysis)
    assert (read.sentiment.label, read.action_items[0].owner, read.action_items[0].due) == ("neutral", None, "3 March")


def test_text_is_read_of_a_message_in_parts() -> None:
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}, {"type": "text", "text": JSON}]
    assert chat(parts).parsed(Analysis).topics == ["pumps"]


@pytest.mark.parametrize(("content", "name"), [(None, "reasoning_content"), ("", "reasoning"), (" ", "reasoning")])
def test_answer_that_was_taken_for_thoughts_is_read(content: str | None, name: str) -> None:
    assert chat(content, **{name: JSON}).parsed(Analysis).topics == ["pumps"]


def test_thoughts_beside_an_answer_are_not_read() -> None:
    for content, thoughts in (("I am done.", JSON), ("", f"I could say {JSON} but let me think again.")):
        with pytest.raises(CallFailedError):
            chat(content, reasoning_content=thoughts).parsed(Analysis)


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"input_tokens": 7, "output_tokens": 2}, (7, 2)),
        ({"prompt_tokens": 7, "completion_tokens": 2}, (7, 2)),
        ({"prompt_tokens": 7, "completion_tokens": None}, (7, None)),
    ],
)
def test_bill_is_read_of_any_reply(usage: object, tokens: tuple[int | None, int | None]) -> None:
    for body in ({"output": [], "usage": usage}, {"output": "nothing", "usage": usage}, {"error": "x", "usage": usage}):
        bill = Reply.read(json.dumps(body).encode(), Answer).tokens
        assert (bill.input_tokens, bill.output_tokens) == tokens


@pytest.mark.parametrize(
    ("body", "kind", "tokens"),
    [
        ({"output": []}, Answer, None),
        ({"output": [], "usage": {"output_tokens": "many"}}, Answer, None),
        ({"output": [], "usage": {"output_tokens": 10**12}}, Answer, None),
        ({"output": [], "usage": {"output_tokens": -1}}, Answer, None),
        ({"status": "failed", "output": []}, Answer, 0),
        ({"choices": [{"finish_reason": "error", "message": {}}]}, ChatAnswer, 0),
        ({"choices": [{"finish_reason": "stop", "message": {}}]}, ChatAnswer, None),
        ({"error": "Unexpected endpoint."}, ChatAnswer, 0),
        ({"status": "ok"}, Answer, 0),
    ],
)
def test_bill_that_is_missing_is_one_of_nothing_where_nothing_was_answered(
    body: dict[str, object], kind: type[Answer | ChatAnswer], tokens: int | None
) -> None:
    assert Reply.read(json.dumps(body).encode(), kind).tokens.output_tokens == tokens


def test_empty_answer_is_invalid_output() -> None:
    with pytest.raises(CallFailedError) as caught:
        answer().parsed(Analysis)
    assert isinstance(caught.value.error, LLMInvalidOutputError)


def test_failure_inside_an_answer_is_one_of_the_servers_whatever_its_code_is() -> None:
    with pytest.raises(CallFailedError) as caught:
        answer(status="failed", error={"code": 500}).parsed(Analysis)
    assert isinstance(caught.value.error, LLMUnavailableError)


def test_rate_limit_inside_an_answer_is_a_rate_limit() -> None:
    with pytest.raises(CallFailedError) as caught:
        answer(status="failed", error={"code": "rate_limit_exceeded"}).parsed(Analysis)
    assert isinstance(caught.value.error, LLMRateLimitedError)
