"""A circuit breaker for each model: after failures in a row nobody calls for a while, then one call tries.

What one call is told, that the API wants to be asked less often, holds for all of the process.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from shared import log
from shared.errors import AnalysisError, LLMRateLimitedError, LLMTimeoutError, LLMUnavailableError, ModelRestingError

_log = log.get(__name__)

FAILURES_IN_A_ROW = 5
OPEN_SECONDS = 10.0
OPEN_SECONDS_MAX = 60.0
# What a document waits while another one's call tries.
_PROBE_SECONDS = 5.0
# What is waited for a rate limit that does not say how long; doubled as long as that was not enough.
_LIMIT_SECONDS = 10.0
_LIMIT_SECONDS_MAX = 600.0


@dataclass(kw_only=True, slots=True)
class Breaker:
    """Closed, open until a time, or half open with one call under way; beside that, limited until a time.

    `openings` tells the calls apart that began before it opened last: their failures say nothing new.
    """

    model: str
    monotonic: Callable[[], float] = time.monotonic
    failures: int = 0
    openings: int = 0
    open_until: float | None = None
    open_seconds: float = OPEN_SECONDS
    probing: bool = False
    limited_until: float | None = None
    limit_seconds: float = _LIMIT_SECONDS

    @property
    def closed(self) -> bool:
        return self.open_until is None and self.limited_until is None and not self.probing

    def check(self) -> None:
        """Raises ModelRestingError or LLMRateLimitedError while no call may be made."""
        if self.probing:
            raise ModelRestingError(retry_after_seconds=_PROBE_SECONDS)
        if (left := self._left(self.open_until)) > 0:
            raise ModelRestingError(retry_after_seconds=left)
        if (left := self._left(self.limited_until)) > 0:
            raise LLMRateLimitedError(retry_after_seconds=left)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Learn from the call that is made inside; what was checked before may have changed meanwhile."""
        probe, openings = self.open_until is not None, self.openings
        self.probing = self.probing or probe
        try:
            yield
        except BaseException as exc:
            self._learn(exc, openings)
            raise
        else:
            self._close()
            self._unlimit()
        finally:
            self.probing = self.probing and not probe

    def _learn(self, error: BaseException, openings: int) -> None:
        cause = getattr(error, "error", None)
        # What no second call helps against, such as a wrong address, is no outage.
        if isinstance(cause, LLMTimeoutError | LLMUnavailableError) and getattr(error, "retries", 0) > 0:
            if openings == self.openings:
                self.failures += 1
                if self.failures >= FAILURES_IN_A_ROW:
                    self._open()
        elif isinstance(cause, AnalysisError):
            # It answered, if only to refuse.
            self._close()
            if isinstance(cause, LLMRateLimitedError):
                self._limit(cause)
            else:
                self._unlimit()

    def _open(self) -> None:
        self.openings += 1
        self.open_until = self.monotonic() + self.open_seconds
        _log.warning("breaker.opened", model=self.model, seconds=self.open_seconds)
        self.open_seconds = min(self.open_seconds * 2, OPEN_SECONDS_MAX)

    def _close(self) -> None:
        if self.open_until is not None:
            _log.info("breaker.closed", model=self.model)
        self.failures, self.open_until, self.open_seconds = 0, None, OPEN_SECONDS

    def _limit(self, limit: LLMRateLimitedError) -> None:
        """Have all wait as long as one was told; where nothing is told, longer each time, the one in hand included."""
        left = self._left(self.limited_until)
        if limit.told and limit.retry_after_seconds > 0:
            left = max(left, limit.retry_after_seconds)
        elif left <= 0:
            left, self.limit_seconds = self.limit_seconds, min(self.limit_seconds * 2, _LIMIT_SECONDS_MAX)
        self.limited_until, limit.retry_after_seconds = self.monotonic() + left, left

    def _unlimit(self) -> None:
        # A call that began before the limit may be answered while it lasts.
        if self._left(self.limited_until) <= 0:
            self.limited_until, self.limit_seconds = None, _LIMIT_SECONDS

    def _left(self, until: float | None) -> float:
        return 0.0 if until is None else until - self.monotonic()


@dataclass(frozen=True, kw_only=True, slots=True)
class Breakers:
    """One for each model that this process calls."""

    by_model: dict[str, Breaker] = field(default_factory=dict)

    def of(self, model: str) -> Breaker:
        return self.by_model.setdefault(model, Breaker(model=model))
