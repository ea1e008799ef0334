"""What a 4xx or 5xx of a model's API comes to: its cause, in our own words. No network here.

Nothing of what the vendor says is told on: it may quote the document or the key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Self

from pydantic import BaseModel, ValidationError

from shared.errors import (
    AnalysisError,
    LLMAuthError,
    LLMInvalidOutputError,
    LLMQuotaError,
    LLMRateLimitedError,
    LLMRefusedError,
    LLMRejectedError,
    LLMUnavailableError,
)
from worker_service.analyzers.openai_answers import AS_OFTEN_AS_ALLOWED, FILTERED
from worker_service.failures import CallFailedError

_MAX_RETRY_AFTER_SECONDS = 3_600.0
_QUOTA_CODES = {"insufficient_quota", "billing_not_active", "billing_hard_limit_reached"}


# A prompt that is more than the model's window, in the words of OpenAI, vLLM, llama.cpp, LiteLLM and Mistral.
_TOO_LONG = re.compile(
    r"context.{0,3}(length|window|size)|exceed_context|string_above_max_length|prompt is too long"
    r"|too (long|large) for (the |this )?model",
    re.IGNORECASE,
)
_FILTERS = re.compile(
    r"content_filter|content_policy|content management policy|data_inspection_failed|content exists risk|was flagged",
    re.IGNORECASE,
)
# A server that looked at what its model wrote, and found no JSON: another answer may be some.
_NO_JSON = "json_validate_failed"
# What we send, and servers may not know. Those that are usual words count only where a server means a name.
_OURS = re.compile(
    r"\b(max_completion_tokens|max_output_tokens|max_tokens|response_format|json_schema|text\.format)\b"
    r"|(?:['\"`:.]\s?)(store|strict)\b"
)
_SMALLER = ", or not so large a one. Lower DOCRELAY_LLM_OUTPUT_TOKENS."
NEWER_LIMIT = "max_completion_tokens"
_HINTS = {
    **dict.fromkeys((NEWER_LIMIT, "max_output_tokens", "max_tokens"), _SMALLER),
    **dict.fromkeys(("response_format", "json_schema", "text.format"), ". Set OPENAI_FORMAT to json, or to text."),
}
_BUSY = "The model's server is busy, or still loads the model."
_BUSY_SECONDS = 5.0
# What a server takes that loads its model or is not there yet, so that the second of two calls finds it ready.
LOADING_SECONDS = 60.0
_NOT_FOUND = (
    "The model's API does not know the model or the address. Check OPENAI_MODEL, OPENAI_BASE_URL, which mostly ends "
    "in /v1, and OPENAI_API: many servers know chat only."
)
_ELSEWHERE = {
    405: "The address takes no questions. Check OPENAI_BASE_URL.",
    407: "The proxy wants to be logged in to.",
}


class LimitNameError(CallFailedError):
    """The model wants the limit of an answer under its newer name."""


class _Words(BaseModel):
    code: Any = None
    type: Any = None
    message: Any = None
    param: Any = None
    detail: Any = None

    @property
    def told(self) -> str:
        """What is looked through for the cause. Of details, which may quote the document, only what they are about."""
        about = [self.detail] if isinstance(self.detail, str) else []
        about += [
            f"{'.'.join(map(str, place))}: {one.get('msg')}"
            for one in (self.detail if isinstance(self.detail, list) else ())
            if isinstance(one, dict) and isinstance(place := one.get("loc"), list)
        ]
        return " ".join(map(str, (self.code, self.type, f":{self.param}", self.message, *about)))


class Refusal(_Words):
    """The parts that matter of what comes with a 4xx or 5xx. Some servers leave the `error` around it out."""

    error: _Words | str | None = None

    @classmethod
    def read(cls, body: bytes) -> Self:
        """Never fails: a gateway may say anything."""
        try:
            return cls.model_validate_json(body)
        except ValidationError:
            return cls()

    @classmethod
    def inside(cls, body: bytes) -> CallFailedError | None:
        """The failure that came with a 200: LM Studio's for an address, OpenRouter's for what is behind it."""
        said = _Success.read(body)
        if said.error is None or said.choices or said.output is not None:
            return None
        code = 404 if isinstance(said.error, str) else said.error.code
        known = re.fullmatch(r"[45][0-9]{2}", str(code))
        return said.failure(status=int(known[0]) if known else 400, headers={})

    def failure(self, *, status: int, headers: Mapping[str, str]) -> CallFailedError:
        said = _Words(message=self.error) if isinstance(self.error, str) else self.error or self
        if status == 403:
            return _forbidden(said.told)
        if status in {400, 404, 405, 407, 413, 422}:
            return _rejected(status, said.told)
        return failure(status=status, code=str(said.code or said.type), message=str(said.message), headers=headers)


class _Success(Refusal):
    """What has one of these is an answer."""

    choices: Any = None
    output: Any = None


def failure(*, status: int, code: str | None, message: str, headers: Mapping[str, str]) -> CallFailedError:
    """Tell apart the 4xx and 5xx answers; `code`, `message` and `headers` are the API's own."""
    if status == 401:
        return CallFailedError(LLMAuthError(), status=status)
    if status == 402:
        return CallFailedError(LLMQuotaError(), status=status)
    if status == 429:
        return CallFailedError(_limited(code, message, headers), status=status)
    if status >= 500 or status in {408, 409, 425}:
        return CallFailedError(
            LLMUnavailableError(_BUSY if status == 503 else None),
            retries=AS_OFTEN_AS_ALLOWED,
            status=status,
            wait_seconds=_wait_seconds(status, message, headers),
        )
    return CallFailedError(_unknown(status), status=status)


def _wait_seconds(status: int, message: str, headers: Mapping[str, str]) -> float:
    told = _retry_after_seconds(headers)
    if told is not None or status != 503:
        return told or 0.0
    return LOADING_SECONDS if "loading" in message.lower() else _BUSY_SECONDS


def _limited(code: str | None, message: str, headers: Mapping[str, str]) -> AnalysisError:
    if code in _QUOTA_CODES:
        return LLMQuotaError()
    # A request above the account's tokens per minute has the code of any other rate limit, but waiting never helps.
    if message.startswith("Request too large"):
        return LLMRejectedError("The document is larger than the account's limit of tokens per minute.")
    return LLMRateLimitedError(retry_after_seconds=_retry_after_seconds(headers))


def _rejected(status: int, told: str) -> CallFailedError:
    """The cause in what was told with a request that is not worth another try."""
    if status == 404:
        return CallFailedError(LLMUnavailableError(_NOT_FOUND), status=status)
    if status == 413 or _TOO_LONG.search(told):
        too_long = (
            "The document, with the room for its answer, is longer than the model can read. "
            "Lower DOCRELAY_LLM_CHUNK_TOKENS or DOCRELAY_LLM_OUTPUT_TOKENS."
        )
        return CallFailedError(LLMRejectedError(too_long), status=status, reason="context")
    if _FILTERS.search(told):
        return CallFailedError(LLMRefusedError(FILTERED), status=status, reason="content filter")
    if _NO_JSON in told:
        return CallFailedError(LLMInvalidOutputError(), retries=1, status=status, reason="no JSON")
    if ours := _OURS.search(told):
        return _not_taken(ours[1] or ours[2], status, told)
    return CallFailedError(_unknown(status), status=status)


def _forbidden(told: str) -> CallFailedError:
    """Mostly it is the key, but a model that the account may not use and a filter before the model are told so too."""
    if "model_not_found" in told:
        return CallFailedError(LLMUnavailableError(_NOT_FOUND), status=403)
    if _FILTERS.search(told):
        return CallFailedError(LLMRefusedError(FILTERED), status=403, reason="content filter")
    return CallFailedError(LLMAuthError(), status=403)


def _not_taken(name: str, status: int, told: str) -> CallFailedError:
    how = _HINTS.get(name, ".")
    rejected = LLMRejectedError(f"The model's API does not take {name}{how}")
    if name == "max_tokens" and NEWER_LIMIT in told:
        return LimitNameError(rejected, status=status, reason=name)
    return CallFailedError(rejected, status=status, reason=name)


def _unknown(status: int) -> AnalysisError:
    # A 400 without a known cause may be about the text; of the others, every request would get the same.
    kind = LLMRefusedError if status == 400 else LLMRejectedError
    return kind(_ELSEWHERE.get(status) or f"The model's API rejected the request with HTTP status {status}.")


def _retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """None when they do not say."""
    try:
        if milliseconds := headers.get("retry-after-ms"):
            seconds = float(milliseconds) / 1_000
        else:
            seconds = _seconds(headers.get("retry-after", ""))
    # A date may be of a year that no clock has.
    except (ValueError, OverflowError):
        return None
    return min(max(0.0, seconds), _MAX_RETRY_AFTER_SECONDS)  # In this order nan becomes 0.


def _seconds(retry_after: str) -> float:
    try:
        return float(retry_after)
    except ValueError:
        return (parsedate_to_datetime(retry_after).replace(tzinfo=UTC) - datetime.now(UTC)).total_seconds()
