"""The feed: one owner's moves in commit order. The stream, the store and the clients agree on it here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

_CURSOR = re.compile(r"([0-9a-f]{1,32})\.(0|[1-9][0-9]{0,17})")
# How long an event can be read; then its place in the feed is below the floor.
FEED_KEPT_FOR = timedelta(days=7)
# A deleted document leaves the feed under this status.
DELETED = "deleted"


@dataclass(frozen=True, kw_only=True, slots=True)
class FeedCursor:
    """A place in an owner's feed. The epoch changes when the store was set back, lest an old place be mistaken."""

    epoch: str
    seq: int

    @classmethod
    def parse(cls, text: str) -> FeedCursor | None:
        """Read `<epoch>.<seq>`; None when it is anything else."""
        match = _CURSOR.fullmatch(text)
        return cls(epoch=match[1], seq=int(match[2])) if match else None

    def __str__(self) -> str:
        return f"{self.epoch}.{self.seq}"


@dataclass(frozen=True, kw_only=True, slots=True)
class FeedHead:
    """Where a feed stands: `seq` is its last event, `floor` the last one that is no longer kept."""

    epoch: str
    seq: int
    floor: int

    @property
    def cursor(self) -> FeedCursor:
        return FeedCursor(epoch=self.epoch, seq=self.seq)


@dataclass(frozen=True, kw_only=True, slots=True)
class FeedEvent:
    """One move as the stream tells it. The result is read by reference when the event is encoded."""

    seq: int
    document_id: UUID
    filename: str
    folder: str
    version: int
    status: str
    at: datetime
    attempt: int
    reason: str | None = None
    error_code: str | None = None
    error_detail: str | None = None
