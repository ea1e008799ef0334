"""Waiting for a condition, with an end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

_TICK_SECONDS = 0.05


async def holds(condition: Callable[[], bool], *, seconds: float) -> bool:
    """Whether the condition comes to hold within so many seconds. What it asks about is in another process."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(_TICK_SECONDS)
    return True


async def comes(event: asyncio.Event, *, seconds: float) -> bool:
    """Whether the event is set within so many seconds."""
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), timeout=seconds)
    return event.is_set()
