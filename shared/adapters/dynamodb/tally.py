"""What documents come to, counted one after the other. Pure; PostgreSQL counts in SQL."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from shared.analysis import Report, Usage
from shared.document import Document
from shared.folders import COUNTED, FolderInsight, Period, Spent, Spread, mean_score, most_frequent


class _Numbers:
    """One number of each document that has it."""

    def __init__(self) -> None:
        self._documents, self._total = 0, 0
        self._smallest: int | None = None
        self._largest: int | None = None

    def add(self, number: int | None) -> None:
        if number is None:
            return
        self._documents += 1
        self._total += number
        self._smallest = number if self._smallest is None else min(self._smallest, number)
        self._largest = number if self._largest is None else max(self._largest, number)

    def spread(self) -> Spread:
        return Spread(documents=self._documents, total=self._total, smallest=self._smallest, largest=self._largest)


class _Times:
    """One time of each document that has it."""

    def __init__(self) -> None:
        self._first: datetime | None = None
        self._last: datetime | None = None

    def add(self, time: datetime | None) -> None:
        if time is None:
            return
        self._first = time if self._first is None else min(self._first, time)
        self._last = time if self._last is None else max(self._last, time)

    def period(self) -> Period:
        return Period(first=self._first, last=self._last)


class Tally:
    def __init__(self) -> None:
        self._documents = 0
        self._size, self._pages, self._words = _Numbers(), _Numbers(), _Numbers()
        self._uploaded, self._authored = _Times(), _Times()
        self._counts: dict[str, Counter[str]] = {name: Counter() for name in COUNTED}
        self._spent: Counter[str] = Counter()
        self._score = 0.0

    def add(self, document: Document) -> None:
        self._documents += 1
        self._size.add(document.size)
        self._pages.add(document.pages)
        self._words.add(document.words)
        self._uploaded.add(document.created_at)
        self._authored.add(document.authored_at)
        self._counts["types"][document.content_type] += 1
        self._counts["statuses"][document.status] += 1
        if document.report:
            self._add_result(document.report)

    def insight(self) -> FolderInsight:
        return FolderInsight(
            documents=self._documents,
            size=self._size.spread(),
            pages=self._pages.spread(),
            words=self._words.spread(),
            **{name: most_frequent(counter) for name, counter in self._counts.items()},
            sentiment_score=mean_score(self._score, self._counts["sentiments"].total()),
            uploaded=self._uploaded.period(),
            authored=self._authored.period(),
            spent=Spent(**self._spent),
        )

    def _add_result(self, report: Report) -> None:
        analysis, given = report.analysis, report.classification
        self._counts["languages"][analysis.language] += 1
        self._counts["labels"][analysis.classification.label] += 1
        self._counts["sentiments"][analysis.sentiment.label] += 1
        self._counts["topics"].update(set(analysis.topics))
        self._score += analysis.sentiment.score
        self._add_cost(report.usage)
        if given:
            self._counts["classified"].update({given.label: 1} if given.label is not None else {})
            self._add_cost(given.usage)

    def _add_cost(self, usage: Usage) -> None:
        priced = {"unpriced": 1} if usage.cost_usd is None else {"cost_micro_usd": round(usage.cost_usd * 1_000_000)}
        calls = {"calls": usage.calls, "input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
        self._spent.update(calls | priced)
