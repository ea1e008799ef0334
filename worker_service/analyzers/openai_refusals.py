"""What a 4xx or 5xx of a model's API comes to: its cause, in our own words. No network here.

Nothing of what the vendor says is told on: it may quote the document or the key.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from pydantic import BaseModel, ValidationError

from shared.errors import (
    AnalysisError,
    LLMAuthError,
    LLMQuotaError,
    LLMRateLimitedError,
    LLMRefusedError,
    LLMRejectedError,
    LLMUnavailableError,
)
from worker_service.analyzers.openai_answers import AS_OFTEN_AS_ALLOWED
from worker_service.failures import CallFailedError

_MAX_RETRY_AFTER_SECONDS = 3_600.0
_QUOTA_CODES = {"insufficient_quota", "billing_not_active", "billing_hard_limit_reached"}


class _Words(BaseModel):
    code: Any = None
    type: Any = None
    message: Any = None


class Refusal(_Words):
    """The parts that matter of what comes with a 4xx or 5xx. Some servers leave the `error` around it out."""

    error: _Words | None = None

    @classmethod
    def read(cls, body: bytes) -> Refusal:
        """Never fails: a gateway may say anything."""
        try:
            return cls.model_validate_json(body)
        except ValidationError:
            return cls()

    def failure(self, *, status: int, headers: Mapping[str, str]) -> CallFailedError:
        said = self.error or self
        return failure(status=status, code=str(said.code or said.type), message=str(said.message), headers=headers)


def failure(*, status: int, code: str | None, message: str, headers: Mapping[str, str]) -> CallFailedError:
    """Tell apart the 4xx and 5xx answers; `code`, `message` and `headers` are the API's own."""
    if status in {401, 403}:
        return CallFailedError(LLMAuthError(), status=status)
    if status == 402:
        return CallFailedError(LLMQuotaError(), status=status)
    if status == 429:
        return CallFailedError(_limited(code, message, headers), status=status)
    if status >= 500 or status in {408, 409, 425}:
        return CallFailedError(
            LLMUnavailableError(),
            retries=AS_OFTEN_AS_ALLOWED,
            status=status,
            wait_seconds=_retry_after_seconds(headers, default=0.0),
        )
    return CallFailedError(_rejected(status, code), status=status)


def _limited(code: str | None, message: str, headers: Mapping[str, str]) -> AnalysisError:
    if code in _QUOTA_CODES:
        return LLMQuotaError()
    # A request above the account's tokens per minute has the code of any other rate limit, but waiting never helps.
    if message.startswith("Request too large"):
        return LLMRejectedError("The document is larger than the account's limit of tokens per minute.")
    return LLMRateLimitedError(retry_after_seconds=_retry_after_seconds(headers))


def _rejected(status: int, code: str | None) -> AnalysisError:
    if status == 404:
        return LLMUnavailableError("The model's API does not know the model. Check OPENAI_MODEL and OPENAI_BASE_URL.")
    if code in {"context_length_exceeded", "string_above_max_length"} or status == 413:
        return LLMRejectedError("The document is longer than the model can read. Lower DOCRELAY_LLM_CHUNK_TOKENS.")
    # A 400 without a known cause may be about the text; of the others, every request would get the same.
    kind = LLMRefusedError if status == 400 else LLMRejectedError
    return kind(f"The model's API rejected the request with HTTP status {status}.")


def _retry_after_seconds(headers: Mapping[str, str], default: float = 10.0) -> float:
    try:
        if milliseconds := headers.get("retry-after-ms"):
            seconds = float(milliseconds) / 1_000
        else:
            seconds = _seconds(headers.get("retry-after", ""))
    # A date may be of a year that no clock has.
    except (ValueError, OverflowError):
        return default
    return min(max(0.0, seconds), _MAX_RETRY_AFTER_SECONDS)  # In this order nan becomes 0.


def _seconds(retry_after: str) -> float:
    try:
        return float(retry_after)
    except ValueError:
        return (parsedate_to_datetime(retry_after).replace(tzinfo=UTC) - datetime.now(UTC)).total_seconds()
