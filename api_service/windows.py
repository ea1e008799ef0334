"""How often somebody may do something in which time. Counts in this process's memory; knows no request."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from limits import RateLimitItem, parse_many
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from shared.errors import ConfigurationError

OFF = "off"


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """Where somebody stands in one window."""

    limit: int
    remaining: int
    window_seconds: int
    reset_seconds: int


class Windows:
    """Limits that hold together, such as `5/minute; 15/hour`: the longer ones make whoever goes on wait longer."""

    def __init__(self, notation: str) -> None:
        """`off` is no limit. Raises ConfigurationError."""
        self._items = [] if notation.strip().lower() == OFF else _items(notation)
        self._limiter = FixedWindowRateLimiter(MemoryStorage())

    def __bool__(self) -> bool:
        return bool(self._items)

    def spend(self, *key: str) -> bool:
        """Count once for whoever `key` names; False when that was once too often."""
        # Each window counts, whatever the others say.
        return False not in [self._limiter.hit(item, *key) for item in self._items]

    def spent(self, *key: str) -> bool:
        """Whether the next time would be once too often."""
        return not all(self._limiter.test(item, *key) for item in self._items)

    def clear(self, *key: str) -> None:
        for item in self._items:
            self._limiter.clear(item, *key)

    def standings(self, *key: str) -> list[Standing]:
        return [self._standing(item, *key) for item in self._items]

    def retry_after_seconds(self, *key: str) -> int:
        """When the next time is none too often any more."""
        return max((one.reset_seconds for one in self.standings(*key) if not one.remaining), default=1)

    def _standing(self, item: RateLimitItem, *key: str) -> Standing:
        stats = self._limiter.get_window_stats(item, *key)
        return Standing(
            limit=item.amount,
            remaining=stats.remaining,
            window_seconds=item.get_expiry(),
            reset_seconds=max(1, math.ceil(stats.reset_time - time.time())),
        )


def _items(notation: str) -> list[RateLimitItem]:
    try:
        return parse_many(notation)
    except ValueError as exc:
        raise ConfigurationError(f"{notation!r} is no rate limit. Write for example 100/minute; 1000/hour") from exc
