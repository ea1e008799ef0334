"""Rejections in the words of the servers that people have: each told by its cause, and nothing of it quoted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared.errors import LLMInvalidOutputError, LLMRejectedError
from worker_service.analyzers.openai_refusals import Refusal

TOO_LONG = "longer than the model can read"
FILTERED = "content filter"


def error(message: str, **fields: Any) -> dict[str, Any]:
    return {"error": {"message": message, **fields}}


VLLM = "This model's maximum context length is 8192 tokens. However, you requested 8300 tokens (300 in the messages)."
MAX_TOKENS = (
    "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
)
AZURE = "The response was filtered due to the prompt triggering Azure OpenAI's content management policy."
SCHEMA = "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model."

CASES: list[tuple[str, dict[str, Any], str, str | None]] = [
    ("OpenAI, window", error("Your input exceeds it.", code="context_length_exceeded"), TOO_LONG, "context"),
    ("vLLM, window", error(VLLM, type="BadRequestError", code=400), TOO_LONG, "context"),
    ("vLLM before 0.10, window", {"object": "error", "message": VLLM, "code": 400}, TOO_LONG, "context"),
    ("llama.cpp, window", error("It exceeds it.", type="exceed_context_size_error", code=400), TOO_LONG, "context"),
    ("LiteLLM, window", error("litellm.ContextWindowExceededError: x", code="400"), TOO_LONG, "context"),
    ("Mistral, window", {"message": "Prompt contains 4 tokens, too large for model with 3"}, TOO_LONG, "context"),
    ("Ollama, window", {"error": "prompt is too long"}, TOO_LONG, "context"),
    ("Azure, filter", error(AZURE, code="content_filter", param="prompt"), FILTERED, "content filter"),
    ("DeepSeek, filter", error("Content Exists Risk"), FILTERED, "content filter"),
    ("OpenAI, filter", error("Your prompt was flagged.", code="invalid_prompt"), FILTERED, "content filter"),
    ("Groq, no JSON", error("Failed to generate JSON.", code="json_validate_failed"), "fit the schema", "no JSON"),
    ("OpenAI, limit", error(MAX_TOKENS, param="max_tokens"), "does not take max_tokens", "max_tokens"),
    ("DeepSeek, format", error("This response_format type is unavailable now"), "take response_format", None),
    ("OpenAI, format", error(SCHEMA, param="response_format"), "take response_format", "response_format"),
    ("FastAPI, store", {"detail": [{"loc": ["body", "store"], "msg": "Extra inputs"}]}, "take store", "store"),
    ("OpenAI, store", error("Unrecognized request argument supplied: store"), "take store", "store"),
    ("a word as any other", error("The store has a strict policy."), "HTTP status 400", None),
    ("a quoted document", {"detail": [{"loc": ["body"], "msg": "x", "input": VLLM}]}, "HTTP status 400", None),
    ("a gateway", error("Denied."), "HTTP status 400", None),
    ("anything", {"error": [1], "code": {"a": 1}, "detail": [{"loc": 1}, 2]}, "HTTP status 400", None),
]


@pytest.mark.parametrize(("body", "words", "reason"), [pytest.param(*case, id=name) for name, *case in CASES])
def test_rejection_is_told_by_its_cause_and_nothing_of_it_is_quoted(
    body: dict[str, Any], words: str, reason: str | None
) -> None:
    failed = Refusal.read(json.dumps(body).encode()).failure(status=400, headers={})
    assert words in str(failed.error)
    assert failed.status == 400
    assert reason is None or failed.reason == reason
    assert not any(quoted in str(failed.error) for quoted in ("8192", "Azure", "litellm", "Unsupported", "Prompt"))


@pytest.mark.parametrize("name", ["Azure, filter", "DeepSeek, filter", "OpenAI, filter", "a gateway"])
def test_what_may_be_about_the_text_is_no_rejection_of_every_request(name: str) -> None:
    [body] = [body for case, body, *_ in CASES if case == name]
    error = Refusal.read(json.dumps(body).encode()).failure(status=400, headers={}).error
    assert error.code == "llm_refused"
    assert not isinstance(error, LLMRejectedError)


def test_answer_that_was_no_json_is_worth_another_one() -> None:
    body = json.dumps(error("Failed to generate JSON.", code="json_validate_failed")).encode()
    failed = Refusal.read(body).failure(status=400, headers={})
    assert (type(failed.error), failed.retries) == (LLMInvalidOutputError, 1)


@pytest.mark.parametrize(("status", "words"), [(405, "OPENAI_BASE_URL"), (407, "proxy"), (413, TOO_LONG), (422, "422")])
def test_status_alone_says_what_every_request_would_meet(status: int, words: str) -> None:
    error = Refusal.read(b"<html>").failure(status=status, headers={}).error
    assert isinstance(error, LLMRejectedError)
    assert words in str(error)
