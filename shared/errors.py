"""Every error that Docrelay raises on purpose.

    DocrelayError
    ├── ConfigurationError        settings or environment; the process exits 2
    ├── BackendUnavailableError   a store, queue or bucket did not answer; worth another try
    ├── MoveError                 IllegalMove MoveRefused KeyTaken LeaseLost
    ├── InterruptedByStopError    the worker was told to stop; nobody's failure
    ├── OverdueError              an attempt went on beyond every time-out of its parts
    ├── NotNowError               ResultPending BudgetHeld ModelResting BucketAway: nobody's failure, and no attempt
    ├── FeedTrimmedError BlobMissingError IdempotencyMismatchError
    └── DocumentError             why one document was refused or failed; `code` is public
        ├── IntakeError           UnsupportedType TooLarge Empty MissingFilename QuotaExceeded
        ├── ExtractionError       Encrypted Corrupt Bomb NoText ExtractionTimeout ExtractionCrashed HashMismatch
        ├── AnalysisError         LLMAuth LLMQuota LLMRateLimited LLMTimeout LLMUnavailable LLMRefused LLMRejected
        │                         LLMInvalidOutput BudgetExceeded
        ├── StageError            StageFailed StageTimeout UnknownProfile
        └── DeliveryError         AttemptsExhausted DeadLettered

A class's docstring is its default message. HTTP status is decided in `api_service/problems.py`,
the fate of a queue message in `worker_service/disposition.py`.
"""

from __future__ import annotations

from typing import ClassVar


class DocrelayError(Exception):
    """Docrelay could not do what was asked."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or type(self).__doc__)


class ConfigurationError(DocrelayError):
    """A setting is missing or wrong."""


class BackendUnavailableError(DocrelayError):
    """A backend did not answer. Try again shortly."""


class MoveError(DocrelayError):
    """The document could not be moved."""


class IllegalMoveError(MoveError):
    """The document's status does not allow that."""


class MoveRefusedError(MoveError):
    """The document was changed by somebody else in the meantime."""


class KeyTakenError(MoveError):
    """Another request with this Idempotency-Key was answered first."""


class LeaseLostError(MoveError):
    """This worker no longer holds the document."""


class InterruptedByStopError(DocrelayError):
    """The worker was told to stop before the document was done."""


class NotNowError(DocrelayError):
    """The document has to wait for something else."""

    code: ClassVar[str] = "waiting"  # The reason in the document's history.

    def __init__(self, message: str | None = None, *, retry_after_seconds: float = 5.0) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class ResultPendingError(NotNowError):
    """Another document of the same content is being analyzed; its result will do."""

    code = "waiting_for_result"


class BudgetHeldError(NotNowError):
    """Calls under way may use up what is left of the budget."""

    code = "waiting_for_budget"


class ModelRestingError(NotNowError):
    """The model's API failed several times in a row; nobody asks it for a while."""

    code = "waiting_for_model"


class BucketAwayError(NotNowError):
    """The bucket as a whole does not answer."""

    code = "waiting_for_bucket"


class OverdueError(DocrelayError):
    """The attempt took longer than one may."""


class BlobMissingError(DocrelayError):
    """The stored file is missing from the bucket."""


class FeedTrimmedError(DocrelayError):
    """The events after that place are no longer kept."""


class IdempotencyMismatchError(DocrelayError):
    """This Idempotency-Key was used before with a different request."""


class DocumentError(DocrelayError):
    """The document could not be processed."""

    code: ClassVar[str] = "failed"


class IntakeError(DocumentError):
    """The file was not accepted."""


class UnsupportedTypeError(IntakeError):
    """The file is not a PDF, DOCX or plain-text file."""

    code = "unsupported_type"


class TooLargeError(IntakeError):
    """The file is larger than the limit."""

    code = "too_large"


class EmptyFileError(IntakeError):
    """The file has no bytes."""

    code = "empty"


class MissingFilenameError(IntakeError):
    """The file part has no filename."""

    code = "missing_filename"


class QuotaExceededError(IntakeError):
    """There is no room for another document."""

    code = "quota_exceeded"


class ExtractionError(DocumentError):
    """No text could be extracted."""


class EncryptedError(ExtractionError):
    """The document is protected by a password. Remove the password and upload it again."""

    code = "encrypted"


class CorruptError(ExtractionError):
    """The document is damaged and cannot be read."""

    code = "corrupt"


class BombError(ExtractionError):
    """The document unpacks to far more data than a document needs."""

    code = "bomb"


class NoTextError(ExtractionError):
    """The document has no text."""

    code = "no_text"


class ExtractionTimeoutError(ExtractionError):
    """Extraction took longer than allowed."""

    code = "extraction_timeout"


class ExtractionCrashedError(ExtractionError):
    """The extractor process died while reading the document."""

    code = "extraction_crashed"


class HashMismatchError(ExtractionError):
    """The stored file is not the file that was uploaded."""

    code = "hash_mismatch"


class AnalysisError(DocumentError):
    """The text could not be analyzed."""


class LLMAuthError(AnalysisError):
    """The model's API refused the key. Check OPENAI_API_KEY."""

    code = "llm_auth"


class LLMQuotaError(AnalysisError):
    """The model's API says that the account has no quota left."""

    code = "llm_quota"


class LLMRateLimitedError(AnalysisError):
    """The model's API asks to slow down."""

    code = "llm_rate_limited"

    def __init__(self, message: str | None = None, *, retry_after_seconds: float | None = None) -> None:
        """None when the API does not say how long."""
        super().__init__(message)
        self.told = retry_after_seconds is not None
        self.retry_after_seconds = 10.0 if retry_after_seconds is None else retry_after_seconds


class LLMTimeoutError(AnalysisError):
    """The model did not answer in time."""

    code = "llm_timeout"


class LLMUnavailableError(AnalysisError):
    """The model's API failed or could not be reached."""

    code = "llm_unavailable"


class LLMRefusedError(AnalysisError):
    """The model refused to analyze the document."""

    code = "llm_refused"


class LLMRejectedError(LLMRefusedError):
    """The model's API rejected the request, whatever the text in it: the settings do not fit the model."""


class LLMInvalidOutputError(AnalysisError):
    """The model's answer does not fit the schema."""

    code = "llm_invalid_output"


class BudgetExceededError(AnalysisError):
    """The budget is spent."""

    code = "budget_exceeded"


class StageError(DocumentError):
    """A part of the pipeline that was added by its operator could not do what it is for."""


class StageFailedError(StageError):
    """A stage of the pipeline failed."""

    code = "stage_failed"


class StageTimeoutError(StageError):
    """A stage of the pipeline took longer than allowed."""

    code = "stage_timeout"


class UnknownProfileError(StageError):
    """There is no such profile."""

    code = "unknown_profile"


class DeliveryError(DocumentError):
    """The document could not be brought to an end."""


class AttemptsExhaustedError(DeliveryError):
    """Every attempt to process the document was interrupted."""

    code = "attempts_exhausted"


class DeadLetteredError(DeliveryError):
    """The queue gave up on the document's message."""

    code = "dead_lettered"
