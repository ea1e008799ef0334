"""What a Lambda function keeps from one invocation to the next: its settings, one event loop, and what is open on it.

Between invocations the loop stands still with everything on it. Nothing is closed: nobody tells when the end is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, Protocol, TypeVar

from shared import log
from shared.adapters.secrets import resolved
from shared.settings import Settings

T = TypeVar("T")

# Left at the end of an invocation to give back what it could not finish.
_MARGIN_SECONDS = 5


class Context(Protocol):
    """What of Lambda's context is used."""

    def get_remaining_time_in_millis(self) -> int: ...


class Environment:
    """Made at the first invocation of a function's process, and kept: what it opened ends when it is forgotten."""

    def __init__(self, *, service: str) -> None:
        """Raises ConfigurationError or BackendUnavailableError: the invocation fails, and the next one tries again."""
        self.settings = resolved(Settings.load())
        log.configure(level=self.settings.log_level, service=service)
        self._loop = asyncio.new_event_loop()
        # Mangum runs on the current one.
        asyncio.set_event_loop(self._loop)
        self._opened = AsyncExitStack()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(work)

    def open(self, resource: AbstractAsyncContextManager[T]) -> T:
        return self.run(self._opened.enter_async_context(resource))


def seconds_left(context: Context) -> float:
    """How long this invocation may still work, in seconds."""
    return max(context.get_remaining_time_in_millis() / 1000 - _MARGIN_SECONDS, 0)
