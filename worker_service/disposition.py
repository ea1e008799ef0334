"""What becomes of a queue message. Pure: the runner applies what these functions say."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shared.document import Document, DocumentStatus, Failure
from shared.errors import (
    AttemptsExhaustedError,
    BackendUnavailableError,
    DocrelayError,
    DocumentError,
    InterruptedByStopError,
    LLMRateLimitedError,
    MoveError,
    NotNowError,
)
from shared.messages import ProcessMessage
from shared.visible import visible

# A delivery that finds a live lease comes back when that lease, with its clock skew, has surely ended.
LEASE_MARGIN_SECONDS = 6
_BACKOFF_SECONDS = 2.0
_BACKOFF_MAX_SECONDS = 60.0
# What is away is seldom back at once: five attempts outlast two minutes of it.
_OUTAGE_GROWTH, _GROWTH = 5.0, 2.0
_MAX_DETAIL_CHARS = 1_000
# SQS counts every delivery and gives up after 20, whatever they were for. A message that would come back after so many
# goes instead: its document is due, so the sweep sends another one, at the end of the lane.
MANY_RECEIVES = 15


@dataclass(frozen=True, kw_only=True, slots=True)
class Ack:
    """Nothing is left to do: delete the message."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Retry:
    """Let the message come back after a while. `burn_attempt` says whether this attempt counts."""

    after_seconds: float
    reason: str
    burn_attempt: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Fail:
    """Record the failure, then delete the message."""

    failure: Failure


Disposition = Ack | Retry | Fail


def judge(
    document: Document | None, message: ProcessMessage, *, now: datetime, max_attempts: int
) -> Disposition | None:
    """Say what becomes of a message before any work; None when its document is there to be claimed."""
    if document is None or message.run != document.run:
        return Ack()
    if document.status is not DocumentStatus.PENDING and not document.working:
        return Ack()
    if document.lease_is_live(now):
        assert document.lease is not None
        left = (document.lease.until - now).total_seconds()
        return Retry(after_seconds=left + LEASE_MARGIN_SECONDS, reason="leased", burn_attempt=False)
    if document.attempt >= max_attempts:
        return Fail(failure=failure_of(AttemptsExhaustedError()))
    return None


def decide(error: Exception, *, attempt: int, max_attempts: int) -> Disposition:
    """Say what becomes of a message whose work raised `error` at its `attempt`-th claim."""
    if pause := _pause(error):
        seconds, reason = pause
        return Retry(after_seconds=seconds, reason=reason, burn_attempt=False)
    if isinstance(error, DocumentError):
        return Fail(failure=failure_of(error))
    if attempt >= max_attempts:
        return Fail(failure=failure_of(_exhausted(error, attempt)))
    growth = _OUTAGE_GROWTH if isinstance(error, BackendUnavailableError) else _GROWTH
    return Retry(after_seconds=_backoff_seconds(attempt, growth), reason=type(error).__name__)


def untouched(*, receives: int) -> Disposition:
    """Say what becomes of a message that nobody has begun with: it is back at once."""
    return Ack() if receives >= MANY_RECEIVES else Retry(after_seconds=0, reason="untouched", burn_attempt=False)


def not_begun(error: Exception, *, receives: int) -> Disposition:
    """Say when a message comes back whose document could not even be claimed, which is no attempt of it."""
    if receives >= MANY_RECEIVES:
        return Ack()
    seconds, reason = _pause(error) or (_backoff_seconds(receives, _OUTAGE_GROWTH), type(error).__name__)
    return Retry(after_seconds=seconds, reason=reason, burn_attempt=False)


def _pause(error: Exception) -> tuple[float, str] | None:
    """For how many seconds, and why, a document waits that is none the worse for it."""
    match error:
        case LLMRateLimitedError() | NotNowError():
            return error.retry_after_seconds, error.code
        case InterruptedByStopError():
            return 0, "stopped"
        case MoveError():
            return 1, "moved"
        case _:
            return None


def _exhausted(error: Exception, attempt: int) -> AttemptsExhaustedError:
    # An unexpected error's own words may hold document text: its name must do.
    last = str(error) if isinstance(error, DocrelayError) else type(error).__name__
    return AttemptsExhaustedError(f"Gave up after {attempt} attempts. The last one ended with: {last}")


def failure_of(error: DocumentError) -> Failure:
    # An added stage's words may quote a document, with what no store takes.
    return Failure(code=error.code, detail=visible(str(error))[:_MAX_DETAIL_CHARS])


def _backoff_seconds(attempt: int, growth: float) -> float:
    return min(_BACKOFF_SECONDS * growth ** (attempt - 1), _BACKOFF_MAX_SECONDS)
