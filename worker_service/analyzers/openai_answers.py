"""What one answer of either of OpenAI's APIs comes to: what was asked for, or a failure and its cause. No network here.

Our own view of the wire, because the SDK builds its models unchecked and its parser drops the bill of a bad answer.
"""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from shared.errors import LLMInvalidOutputError, LLMRateLimitedError, LLMRefusedError, LLMUnavailableError
from worker_service.failures import CallFailedError

Schema = TypeVar("Schema", bound=BaseModel)

AS_OFTEN_AS_ALLOWED = 1_000
_NO_ANSWER = "The model's API answered with something else than an answer."
_FILTERED = "The model's content filter stopped the analysis."
_CUT_OFF = "The model's answer is longer than the output limit."


class CutOffError(CallFailedError):
    """The answer hit the output limit."""


class Tokens(BaseModel):
    input_tokens: int = 0
    output_tokens: int = 0


class _ChatTokens(BaseModel):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _ChatMessage(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    finish_reason: str | None = None
    message: _ChatMessage


class ChatAnswer(BaseModel):
    """The parts of a ChatCompletion object that matter here."""

    choices: list[_Choice]
    usage: _ChatTokens | None = None

    @classmethod
    def read(cls, body: bytes) -> ChatAnswer:
        try:
            return cls.model_validate_json(body)
        except ValidationError:
            raise invalid(_NO_ANSWER) from None

    @property
    def tokens(self) -> Tokens:
        usage = self.usage or _ChatTokens()
        return Tokens(input_tokens=usage.prompt_tokens, output_tokens=usage.completion_tokens)

    def parsed(self, schema: type[Schema]) -> Schema:
        """Return what this answer says. Raises CallFailedError."""
        if not self.choices:
            raise invalid()
        choice = self.choices[0]
        if choice.message.refusal:
            raise CallFailedError(LLMRefusedError())
        if choice.finish_reason == "content_filter":
            raise CallFailedError(LLMRefusedError(_FILTERED))
        if choice.finish_reason == "length":
            raise CutOffError(LLMInvalidOutputError(_CUT_OFF), retries=1)
        return _parsed(choice.message.content or "", schema)


class _Part(BaseModel):
    type: str
    text: str = ""


class _Item(BaseModel):
    type: str
    phase: str | None = None
    content: list[_Part] | None = None


class _Reason(BaseModel):
    reason: str | None = None
    code: str | None = None


class Answer(BaseModel):
    """The parts of a Response object that matter here."""

    status: str = "completed"
    error: _Reason | None = None
    incomplete_details: _Reason | None = None
    output: list[_Item] = []
    usage: Tokens | None = None

    @classmethod
    def read(cls, body: bytes) -> Answer:
        try:
            return cls.model_validate_json(body)
        except ValidationError:
            raise invalid(_NO_ANSWER) from None

    @property
    def tokens(self) -> Tokens:
        return self.usage or Tokens()

    def parsed(self, schema: type[Schema]) -> Schema:
        """Return what this answer says. Raises CallFailedError."""
        if self.status == "failed":
            raise self._failed()
        parts = [part for item in self.output if _is_final(item) for part in item.content or ()]
        if any(part.type == "refusal" for part in parts):
            raise CallFailedError(LLMRefusedError())
        if self.status == "incomplete":
            raise self._incomplete()
        return _parsed("".join(part.text for part in parts if part.type == "output_text"), schema)

    def _failed(self) -> CallFailedError:
        if self.error and self.error.code == "rate_limit_exceeded":
            return CallFailedError(LLMRateLimitedError())
        return CallFailedError(LLMUnavailableError(), retries=AS_OFTEN_AS_ALLOWED)

    def _incomplete(self) -> CallFailedError:
        if self.incomplete_details and self.incomplete_details.reason == "content_filter":
            return CallFailedError(LLMRefusedError(_FILTERED))
        return CutOffError(LLMInvalidOutputError(_CUT_OFF), retries=1)


def _parsed(text: str, schema: type[Schema]) -> Schema:
    try:
        return schema.model_validate_json(text)
    except ValidationError:
        raise invalid() from None


def _is_final(item: _Item) -> bool:
    return item.type == "message" and item.phase in {None, "final_answer"}


def invalid(message: str | None = None) -> CallFailedError:
    """An answer that is not what was asked for; a second one may be."""
    return CallFailedError(LLMInvalidOutputError(message), retries=1)
