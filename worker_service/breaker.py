"""A circuit breaker for each model: after failures in a row nobody calls for a while, then one call tries."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from shared import log
from shared.errors import AnalysisError, LLMTimeoutError, LLMUnavailableError, ModelRestingError

_log = log.get(__name__)

FAILURES_IN_A_ROW = 5
OPEN_SECONDS = 10.0
OPEN_SECONDS_MAX = 60.0
# What a document waits while another one's call tries.
_PROBE_SECONDS = 5.0


@dataclass(kw_only=True, slots=True)
class Breaker:
    """Closed, open until a time, or half open with one call under way."""

    model: str
    monotonic: Callable[[], float] = time.monotonic
    failures: int = 0
    open_until: float | None = None
    open_seconds: float = OPEN_SECONDS
    probing: bool = False

    @property
    def closed(self) -> bool:
        return self.open_until is None and not self.probing

    def check(self) -> None:
        """Raises ModelRestingError while no call may be made."""
        if self.probing:
            raise ModelRestingError(retry_after_seconds=_PROBE_SECONDS)
        left = 0.0 if self.open_until is None else self.open_until - self.monotonic()
        if left > 0:
            raise ModelRestingError(retry_after_seconds=left)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Learn from the call that is made inside; what was checked before may have changed meanwhile."""
        probe = self.open_until is not None
        self.probing = self.probing or probe
        try:
            yield
        except BaseException as exc:
            self._learn(exc)
            raise
        else:
            self._close()
        finally:
            self.probing = self.probing and not probe

    def _learn(self, error: BaseException) -> None:
        cause = getattr(error, "error", None)
        if isinstance(cause, LLMTimeoutError | LLMUnavailableError):
            self.failures += 1
            if self.failures >= FAILURES_IN_A_ROW:
                self._open()
        elif isinstance(cause, AnalysisError):
            # It answered, if only to refuse.
            self._close()

    def _open(self) -> None:
        self.open_until = self.monotonic() + self.open_seconds
        _log.warning("breaker.opened", model=self.model, seconds=self.open_seconds)
        self.open_seconds = min(self.open_seconds * 2, OPEN_SECONDS_MAX)

    def _close(self) -> None:
        if self.open_until is not None:
            _log.info("breaker.closed", model=self.model)
        self.failures, self.open_until, self.open_seconds = 0, None, OPEN_SECONDS


@dataclass(frozen=True, kw_only=True, slots=True)
class Breakers:
    """One for each model that this process calls."""

    by_model: dict[str, Breaker] = field(default_factory=dict)

    def of(self, model: str) -> Breaker:
        return self.by_model.setdefault(model, Breaker(model=model))
