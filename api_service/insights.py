"""What the API answers about folders, as pydantic models."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from api_service.schemas import Schema, StatedDocument
from shared.document import Document
from shared.folders import FolderCount, FolderInsight, Period, Spent, Spread


class FolderOut(Schema):
    """A folder with its subfolders' documents."""

    path: str
    documents: int
    statuses: dict[str, int]
    newest_at: datetime

    @classmethod
    def of(cls, count: FolderCount) -> FolderOut:
        return cls(path=count.path, documents=count.documents, statuses=count.statuses, newest_at=count.newest_at)


class FoldersOut(Schema):
    """Folders by path. `documents` counts all of the caller's, those without a folder included."""

    documents: int
    items: list[FolderOut]
    next_cursor: str | None
    feed_cursor: str


class FolderDocument(StatedDocument):
    """A document in a folder's list, with what its file states and what its analysis found."""

    language: str | None
    label: str | None
    classified_as: str | None = Field(description="Which of your own labels fits, where you asked for it.")
    sentiment: str | None
    topics: list[str]

    @classmethod
    def found(cls, document: Document) -> FolderDocument:
        analysis = document.report.analysis if document.report else None
        given = document.report.classification if document.report else None
        return cls(
            **cls.stated(document),
            language=analysis and analysis.language,
            label=analysis and analysis.classification.label,
            classified_as=given and given.label,
            sentiment=analysis and analysis.sentiment.label,
            topics=analysis.topics if analysis else [],
        )


class FolderPageOut(Schema):
    """One page of a folder's documents, newest first."""

    folder: str
    items: list[FolderDocument]
    next_cursor: str | None
    feed_cursor: str


class SpreadOut(Schema):
    """A number that documents have or have not; `documents` is how many have it."""

    documents: int
    total: int
    average: float | None
    smallest: int | None
    largest: int | None

    @classmethod
    def of(cls, spread: Spread) -> SpreadOut:
        return cls(
            documents=spread.documents,
            total=spread.total,
            average=round(spread.total / spread.documents, 1) if spread.documents else None,
            smallest=spread.smallest,
            largest=spread.largest,
        )


class PeriodOut(Schema):
    first: datetime | None
    last: datetime | None

    @classmethod
    def of(cls, period: Period) -> PeriodOut:
        return cls(first=period.first, last=period.last)


class SentimentOut(Schema):
    score: float | None = Field(description="The mean over all results, from -1 to 1.")
    labels: dict[str, int]


class SpentOut(Schema):
    """What the present results have cost. `unpriced`: of how many of them the price is not known."""

    calls: int
    input_tokens: int
    output_tokens: int
    cost_usd: float
    unpriced: int

    @classmethod
    def of(cls, spent: Spent) -> SpentOut:
        return cls(
            calls=spent.calls,
            input_tokens=spent.input_tokens,
            output_tokens=spent.output_tokens,
            cost_usd=spent.cost_micro_usd / 1_000_000,
            unpriced=spent.unpriced,
        )


class InsightOut(Schema):
    """What a folder's documents come to, its subfolders' included.

    Counts are documents by value, the most frequent first, of at most 20 values.
    """

    folder: str
    documents: int
    size: SpreadOut
    pages: SpreadOut
    words: SpreadOut
    types: dict[str, int]
    statuses: dict[str, int]
    languages: dict[str, int]
    labels: dict[str, int]
    classified: dict[str, int] = Field(description="By your own labels, where you asked which of them fits.")
    topics: dict[str, int]
    sentiment: SentimentOut
    uploaded: PeriodOut
    authored: PeriodOut
    usage: SpentOut
    feed_cursor: str

    @classmethod
    def of(cls, insight: FolderInsight, *, folder: str, feed_cursor: str) -> InsightOut:
        return cls(
            folder=folder,
            documents=insight.documents,
            **{name: SpreadOut.of(getattr(insight, name)) for name in ("size", "pages", "words")},
            **_counts(insight),
            sentiment=SentimentOut(score=insight.sentiment_score, labels=insight.sentiments),
            uploaded=PeriodOut.of(insight.uploaded),
            authored=PeriodOut.of(insight.authored),
            usage=SpentOut.of(insight.spent),
            feed_cursor=feed_cursor,
        )


def _counts(insight: FolderInsight) -> dict[str, Any]:
    return {
        name: getattr(insight, name) for name in ("types", "statuses", "languages", "labels", "classified", "topics")
    }
