"""A paid call that came to nothing, and what that means for the attempt. Knows neither a vendor nor the ledger."""

from __future__ import annotations

from shared.errors import AnalysisError, ModelRestingError


class CallFailedError(Exception):
    """One HTTP call came to nothing; `retries` says how often its kind is worth another one, after `wait_seconds`.

    `last` when the document may make no other. `ambiguous` when nobody answered: the provider may have done the work,
    and bill it. `reason` is for the log, and quotes nothing. The tokens are what it is billed for all the same, None
    when the provider does not say.
    """

    def __init__(
        self,
        error: AnalysisError,
        *,
        retries: int = 0,
        status: int | None = None,
        ambiguous: bool = False,
        wait_seconds: float = 0.0,
        reason: str | None = None,
    ) -> None:
        super().__init__(error.code)
        self.error = error
        self.retries = retries
        self.status = status
        self.ambiguous = ambiguous
        self.wait_seconds = wait_seconds
        self.reason = reason
        self.last = False
        self.input_tokens: int | None = 0
        self.output_tokens: int | None = 0

    @property
    def ending(self) -> Exception:
        """What an attempt ends with that makes no other call: it is released when the API itself asked for time."""
        if self.retries and self.wait_seconds:
            return ModelRestingError(retry_after_seconds=self.wait_seconds)
        return self.error
