"""What one answer of either of OpenAI's APIs comes to: what was asked for, or a failure and its cause. No network here.

Our own view of the wire, because the SDK builds its models unchecked and its parser drops the bill of a bad answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import AliasChoices, AliasPath, BaseModel, Field, ValidationError

from shared.errors import LLMInvalidOutputError, LLMRateLimitedError, LLMRefusedError, LLMUnavailableError
from worker_service.failures import CallFailedError

Schema = TypeVar("Schema", bound=BaseModel)

AS_OFTEN_AS_ALLOWED = 1_000
FILTERED = "The model's content filter stopped the analysis."
_NO_ANSWER = "The model's API answered with something else than an answer. Check OPENAI_BASE_URL."
# More tokens than any model reads or writes, and than a ledger has room for.
_NO_BILL = 1_000_000_000
_CUT_OFF = "The model's answer is longer than the output limit. Raise DOCRELAY_LLM_OUTPUT_TOKENS."
# What servers that take reasoning for a part of the answer leave in front of it; some without its beginning.
_THOUGHTS, _END_OF_THOUGHTS = "<think>", "</think>"
# More than an answer has; a text of beginnings alone shall not take for ever.
_VALUES_MAX = 100
_JSON = re.compile(r'\{\s*"|\[\s*\{')


class CutOffError(CallFailedError):
    """The answer hit the output limit."""


class Tokens(BaseModel):
    """The bill, in the words of either API; servers leave out what they have not counted, or say null."""

    input_tokens: int | None = Field(
        None, ge=0, le=_NO_BILL, validation_alias=AliasChoices("input_tokens", "prompt_tokens")
    )
    output_tokens: int | None = Field(
        None, ge=0, le=_NO_BILL, validation_alias=AliasChoices("output_tokens", "completion_tokens")
    )
    cached_tokens: Any = Field(
        None,
        validation_alias=AliasChoices(
            AliasPath("input_tokens_details", "cached_tokens"), AliasPath("prompt_tokens_details", "cached_tokens")
        ),
    )

    @property
    def read_tokens(self) -> int:
        """What the model has read of the prompt, at most: few servers leave what they had kept out of the input."""
        return (self.input_tokens or 0) + (self.cached_tokens if isinstance(self.cached_tokens, int) else 0)


# What is no answer of a model's, or one that the provider gave up, is billed by nobody unless it says so.
NOTHING = Tokens(input_tokens=0, output_tokens=0)


class _Bill(BaseModel):
    usage: Tokens | None = None


class _Part(BaseModel):
    type: str
    text: str | None = None


def _joined(content: str | list[_Part] | None) -> str:
    """The text of a message; thoughts, which are parts of other kinds, are left out."""
    if isinstance(content, list):
        return "".join(part.text or "" for part in content if part.type in {"text", "output_text"})
    return content or ""


def _is_json(text: str) -> bool:
    """Whether there is nothing else: then it is no thought."""
    return text.strip().startswith(("{", "[", "```")) and text.strip().endswith(("}", "]", "```"))


class _ChatMessage(BaseModel):
    content: str | list[_Part] | None = None
    # Where servers put what they take for thoughts, which is all of the answer when they take it wrongly.
    reasoning_content: Any = None
    reasoning: Any = None
    refusal: str | None = None

    @property
    def said(self) -> str:
        thoughts = (one for one in (self.reasoning_content, self.reasoning) if isinstance(one, str) and _is_json(one))
        content = _joined(self.content)
        return content if content.strip() else next(thoughts, "")


class _Choice(BaseModel):
    finish_reason: str | None = None
    message: _ChatMessage


class ChatAnswer(BaseModel):
    """The parts of a ChatCompletion object that matter here."""

    choices: list[_Choice]

    @property
    def failed(self) -> bool:
        return any(choice.finish_reason == "error" for choice in self.choices)

    def parsed(self, schema: type[Schema]) -> Schema:
        if not self.choices:
            raise invalid()
        choice = self.choices[0]
        if choice.message.refusal:
            raise CallFailedError(LLMRefusedError())
        if choice.finish_reason == "content_filter":
            raise CallFailedError(LLMRefusedError(FILTERED))
        if choice.finish_reason == "error":
            # OpenRouter's word for a provider behind it that failed half-way.
            raise CallFailedError(LLMUnavailableError(), retries=AS_OFTEN_AS_ALLOWED)
        if choice.finish_reason == "length":
            raise CutOffError(LLMInvalidOutputError(_CUT_OFF), retries=1)
        return _parsed(choice.message.said, schema)


class _Item(BaseModel):
    type: str
    phase: str | None = None
    content: list[_Part] | None = None


class _Reason(BaseModel):
    reason: Any = None
    code: Any = None


class Answer(BaseModel):
    """The parts of a Response object that matter here."""

    status: str | None = None
    error: _Reason | None = None
    incomplete_details: _Reason | None = None
    output: list[_Item]

    @property
    def failed(self) -> bool:
        return self.status == "failed"

    def parsed(self, schema: type[Schema]) -> Schema:
        if self.failed:
            raise self._failure()
        parts = [part for item in self.output if _is_final(item) for part in item.content or ()]
        if any(part.type == "refusal" for part in parts):
            raise CallFailedError(LLMRefusedError())
        if self.status == "incomplete":
            raise self._incomplete()
        return _parsed(_joined(parts), schema)

    def _failure(self) -> CallFailedError:
        if self.error and self.error.code == "rate_limit_exceeded":
            return CallFailedError(LLMRateLimitedError())
        return CallFailedError(LLMUnavailableError(), retries=AS_OFTEN_AS_ALLOWED)

    def _incomplete(self) -> CallFailedError:
        if self.incomplete_details and self.incomplete_details.reason == "content_filter":
            return CallFailedError(LLMRefusedError(FILTERED))
        return CutOffError(LLMInvalidOutputError(_CUT_OFF), retries=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What came with a 200: the bill, which what cannot be read has too, and an answer, if it is one."""

    tokens: Tokens
    answer: Answer | ChatAnswer | None

    @classmethod
    def read(cls, body: bytes, kind: type[Answer | ChatAnswer]) -> Reply:
        bill, answer = _read(body, _Bill), _read(body, kind)
        uncounted = NOTHING if answer is None or answer.failed else Tokens()
        return cls(tokens=(bill and bill.usage) or uncounted, answer=answer)

    def parsed(self, schema: type[Schema]) -> Schema:
        """Return what this reply says. Raises CallFailedError."""
        if self.answer is None:
            raise invalid(_NO_ANSWER)
        return self.answer.parsed(schema)


def _read(body: bytes, kind: type[Schema]) -> Schema | None:
    try:
        return kind.model_validate_json(body)
    except ValidationError:
        return None


def _parsed(text: str, schema: type[Schema]) -> Schema:
    try:
        return schema.model_validate_json(text)
    except ValidationError:
        return _unwrapped(text, schema)


def _unwrapped(text: str, schema: type[Schema]) -> Schema:
    """The last JSON in a text that is what was asked for, without fields too many. What comes before may be a draft of
    it, or the document's own."""
    _, ended, spoken = text.rpartition(_END_OF_THOUGHTS)
    if not ended and _THOUGHTS in text:
        raise invalid()
    found = [one for value in _values(spoken) if (one := _fitting(value, schema))]
    if not found:
        raise invalid()
    return found[-1]


def _values(text: str) -> Iterator[Any]:
    """What there is of JSON in a text, in order."""
    position = 0
    for _ in range(_VALUES_MAX):
        begin = _JSON.search(text, position)
        if begin is None:
            return
        try:
            value, position = json.JSONDecoder().raw_decode(text, begin.start())
            yield value
        # Too deep, or a number of more digits than one may have.
        except (ValueError, RecursionError):
            position = begin.end()


def _fitting(value: Any, schema: type[Schema]) -> Schema | None:
    try:
        return schema.model_validate(value, extra="ignore")
    except ValidationError:
        return None


def _is_final(item: _Item) -> bool:
    return item.type == "message" and item.phase in {None, "final_answer"}


def invalid(message: str | None = None, *, status: int | None = None) -> CallFailedError:
    """An answer that is not what was asked for; a second one may be."""
    return CallFailedError(LLMInvalidOutputError(message), retries=1, status=status)
