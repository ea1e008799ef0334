"""What becomes of a message, decided without any input or output."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared import errors
from shared.document import DocumentStatus
from shared.messages import ProcessMessage
from tests.support.builders import NOW, lease, move, moves, new_document
from worker_service.disposition import Ack, Fail, Retry, decide, judge, not_begun

S = DocumentStatus
PENDING = moves(new_document(), S.UPLOADED, S.PENDING)[-1].after


def message(run: int = 1) -> ProcessMessage:
    return ProcessMessage(document_id=PENDING.id, run=run, send=1, at=NOW)


def test_pending_document_is_there_to_be_claimed() -> None:
    assert judge(PENDING, message(), now=NOW, max_attempts=5) is None


@pytest.mark.parametrize("path", [(S.CANCELLED,), (S.PROCESSING, S.FAILED), (S.DELETING,)])
def test_message_of_a_document_that_needs_nothing_is_done(path: tuple[S, ...]) -> None:
    document = moves(PENDING, *path)[-1].after
    assert judge(document, message(), now=NOW, max_attempts=5) == Ack()


def test_message_of_an_unknown_document_or_another_run_is_done() -> None:
    assert judge(None, message(), now=NOW, max_attempts=5) == Ack()
    assert judge(PENDING, message(run=2), now=NOW, max_attempts=5) == Ack()


def test_live_lease_sends_the_message_back_until_it_has_ended() -> None:
    claimed = move(PENDING, S.PROCESSING, lease=lease(seconds=40)).after
    assert judge(claimed, message(), now=NOW, max_attempts=5) == Retry(
        after_seconds=46, reason="leased", burn_attempt=False
    )


def test_expired_lease_is_there_to_be_claimed() -> None:
    claimed = move(PENDING, S.PROCESSING, lease=lease(seconds=40)).after
    assert judge(claimed, message(), now=NOW + timedelta(seconds=45), max_attempts=5) is None


def test_last_attempt_spent_fails_the_document() -> None:
    claimed = move(PENDING, S.PROCESSING, lease=lease(seconds=0)).after
    verdict = judge(claimed, message(), now=NOW + timedelta(minutes=1), max_attempts=1)
    assert isinstance(verdict, Fail)
    assert verdict.failure.code == "attempts_exhausted"


TERMINAL = [
    errors.EncryptedError,
    errors.CorruptError,
    errors.BombError,
    errors.NoTextError,
    errors.ExtractionTimeoutError,
    errors.ExtractionCrashedError,
    errors.HashMismatchError,
    errors.LLMAuthError,
    errors.LLMQuotaError,
    errors.LLMTimeoutError,
    errors.LLMUnavailableError,
    errors.LLMRefusedError,
    errors.LLMInvalidOutputError,
]


@pytest.mark.parametrize("error", TERMINAL)
def test_named_cause_fails_at_once_under_its_code(error: type[errors.DocumentError]) -> None:
    verdict = decide(error("why"), attempt=1, max_attempts=5)
    assert isinstance(verdict, Fail)
    assert (verdict.failure.code, verdict.failure.detail) == (error.code, "why")


def test_rate_limit_waits_as_told_and_burns_no_attempt() -> None:
    verdict = decide(errors.LLMRateLimitedError(retry_after_seconds=17), attempt=5, max_attempts=5)
    assert verdict == Retry(after_seconds=17, reason="llm_rate_limited", burn_attempt=False)


@pytest.mark.parametrize("error", [errors.LeaseLostError(), errors.MoveRefusedError(), errors.InterruptedByStopError()])
def test_nobodys_failure_burns_no_attempt(error: Exception) -> None:
    verdict = decide(error, attempt=5, max_attempts=5)
    assert isinstance(verdict, Retry)
    assert not verdict.burn_attempt


def test_message_that_nothing_came_of_outlasts_ten_minutes_before_the_queue_gives_up() -> None:
    verdicts = [not_begun(errors.BackendUnavailableError(), receives=count) for count in range(1, 15)]
    pauses = [verdict for verdict in verdicts if isinstance(verdict, Retry) and not verdict.burn_attempt]
    assert len(pauses) == len(verdicts)
    assert sum(pause.after_seconds for pause in pauses) > 600


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (errors.BackendUnavailableError("S3 did not answer."), [2, 10, 50, 60]),
        (errors.OverdueError("S3 did not answer."), [2, 4, 8, 16]),
    ],
)
def test_other_errors_are_tried_again_with_growing_pauses_until_the_last_attempt(
    error: Exception, expected: list[float]
) -> None:
    verdicts = [decide(error, attempt=attempt, max_attempts=5) for attempt in range(1, 5)]
    pauses = [verdict.after_seconds for verdict in verdicts if isinstance(verdict, Retry)]
    assert pauses == expected
    last = decide(error, attempt=5, max_attempts=5)
    assert isinstance(last, Fail)
    assert last.failure.code == "attempts_exhausted"
    assert "S3 did not answer." in last.failure.detail


def test_unexpected_errors_own_words_stay_out_of_the_failure() -> None:
    verdict = decide(ValueError("the text of a document"), attempt=5, max_attempts=5)
    assert isinstance(verdict, Fail)
    assert "the text of a document" not in verdict.failure.detail
