"""Folders, which follow from their documents: how many are in one, and what they come to. Pure.

A document counts from the moment its file is there; a folder's numbers include its subfolders.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from shared.document import DocumentStatus

# Neither has a file to speak of: one is not there yet, the other is going.
UNCOUNTED = frozenset({DocumentStatus.UPLOADING, DocumentStatus.DELETING})
# Topics and labels are a model's words: in a large folder there is no end to them.
_MOST_FREQUENT = 20
# What of an insight is counted by value.
COUNTED = ("types", "statuses", "languages", "labels", "classified", "sentiments", "topics")


def contains(folder: str, path: str) -> bool:
    """Whether `path` is `folder` or below it; everything is below the folder without a name."""
    return not folder or f"{path}/".startswith(f"{folder}/")


@dataclass(frozen=True, kw_only=True, slots=True)
class FolderCount:
    """How many documents a folder has, by status, and when the newest was uploaded."""

    path: str
    statuses: Mapping[str, int]
    newest_at: datetime

    @property
    def documents(self) -> int:
        return sum(self.statuses.values())

    @property
    def lineage(self) -> list[str]:
        """The folder without a name, then every folder on the way, and the folder itself."""
        parts = self.path.split("/") if self.path else []
        return ["/".join(parts[:depth]) for depth in range(len(parts) + 1)]


def with_subfolders(counts: Iterable[FolderCount]) -> list[FolderCount]:
    """Every folder with documents in it or below it, by path, from counts without subfolders."""
    statuses: dict[str, Counter[str]] = {}
    newest: dict[str, datetime] = {}
    for count in counts:
        for path in count.lineage:
            statuses.setdefault(path, Counter()).update(count.statuses)
            newest[path] = max(newest.get(path, count.newest_at), count.newest_at)
    return [FolderCount(path=path, statuses=statuses[path], newest_at=newest[path]) for path in sorted(statuses)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """A number that documents have or have not: how many have it, and what these come to."""

    documents: int = 0
    total: int = 0
    smallest: int | None = None
    largest: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Period:
    first: datetime | None = None
    last: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Spent:
    """What the results have cost that the documents have now; `unpriced`: of how many nobody knows the price."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_micro_usd: int = 0
    unpriced: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class FolderInsight:
    """What a folder's documents come to. Counts are by value, the most frequent first, of at most 20 values."""

    documents: int = 0
    size: Spread = Spread()
    pages: Spread = Spread()
    words: Spread = Spread()
    types: Mapping[str, int] = field(default_factory=dict)
    statuses: Mapping[str, int] = field(default_factory=dict)
    languages: Mapping[str, int] = field(default_factory=dict)
    labels: Mapping[str, int] = field(default_factory=dict)
    # By the owner's own labels, where somebody asked which of them fits.
    classified: Mapping[str, int] = field(default_factory=dict)
    sentiments: Mapping[str, int] = field(default_factory=dict)
    topics: Mapping[str, int] = field(default_factory=dict)
    sentiment_score: float | None = None
    uploaded: Period = Period()
    authored: Period = Period()
    spent: Spent = Spent()


def most_frequent(counts: Mapping[str, int]) -> dict[str, int]:
    """The most frequent first, among equals by their name, so that every store answers the same."""
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:_MOST_FREQUENT])


def mean_score(total: float, documents: int) -> float | None:
    # Rounded, because the order in which floats are added shows in their last digits.
    return round(total / documents, 3) if documents else None
