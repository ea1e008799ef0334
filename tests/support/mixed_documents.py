"""Documents of every kind in many folders, and what a folder of them comes to, counted the plain way."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from shared.analysis import Report
from shared.document import Document, DocumentStatus, Failure, Lease
from tests.support.builders import NOW, S, new_document, report

FOLDERS = ("", "a", "a/b", "a/b/c", "ab", "a%", "Ä/日本", "a b", "z")
_TYPES = ("application/pdf", "text/plain", "application/vnd.openxmlformats-officedocument.wordprocessingml.document")
_STATUSES = (*(S.COMPLETED,) * 6, S.FAILED, S.PENDING, S.UPLOADED, S.UPLOADING, S.ANALYZING, S.CANCELLED)


def mixed(owner: UUID, count: int, *, seed: int) -> list[Document]:
    chance = random.Random(seed)
    return [_one(owner, number, chance) for number in range(count)]


def recount(documents: Iterable[Document], folder: str) -> dict[str, Any]:
    """What `asdict` of the folder's insight has to be."""
    inside = [one for one in documents if one.status not in {S.UPLOADING, S.DELETING} and _is_in(one, folder)]
    reports = [one.report for one in inside if one.report]
    choices = [one.classification for one in reports if one.classification]
    bills = [*(one.usage for one in reports), *(one.usage for one in choices)]
    return {
        "documents": len(inside),
        "size": _spread([one.size for one in inside]),
        "pages": _spread([one.pages for one in inside if one.pages is not None]),
        "words": _spread([one.words for one in inside if one.words is not None]),
        "types": _ranked(one.content_type for one in inside),
        "statuses": _ranked(str(one.status) for one in inside),
        "languages": _ranked(one.analysis.language for one in reports),
        "labels": _ranked(one.analysis.classification.label for one in reports),
        "classified": _ranked(given.label for given in choices if given.label is not None),
        "sentiments": _ranked(one.analysis.sentiment.label for one in reports),
        "topics": _ranked(topic for one in reports for topic in sorted(set(one.analysis.topics))),
        "sentiment_score": _mean([one.analysis.sentiment.score for one in reports]),
        "uploaded": _period([one.created_at for one in inside]),
        "authored": _period([one.authored_at for one in inside if one.authored_at]),
        "spent": {
            "calls": sum(bill.calls for bill in bills),
            "input_tokens": sum(bill.input_tokens for bill in bills),
            "output_tokens": sum(bill.output_tokens for bill in bills),
            "cost_micro_usd": sum(round((bill.cost_usd or 0) * 1e6) for bill in bills),
            "unpriced": sum(bill.cost_usd is None for bill in bills),
        },
    }


def labelled(owner: UUID) -> tuple[Document, str]:
    """A document that got one of the owner's own labels, and that label."""
    for one in mixed(owner, 100, seed=3):
        if one.report and (given := one.report.classification) and given.label:
            return one, given.label
    raise AssertionError("a hundred documents without a label")


def folder_counts(documents: Iterable[Document]) -> dict[str, int]:
    """Documents by folder, each also in the folders above it."""
    counted = [one for one in documents if one.status not in {S.UPLOADING, S.DELETING}]
    paths = {"", *(one.folder for one in counted), *(above for one in counted for above in _above(one.folder))}
    return {path: sum(_is_in(one, path) for one in counted) for path in paths}


def _one(owner: UUID, number: int, chance: random.Random) -> Document:
    status = chance.choice(_STATUSES)
    read = status in {S.ANALYZING, S.COMPLETED}
    return new_document(
        owner=owner,
        filename=f"Report {number}.pdf",
        folder=chance.choice(FOLDERS),
        content_type=chance.choice(_TYPES),
        size=chance.randrange(1, 10_000_000),
        status=status,
        version=5,
        pages=chance.choice((None, 1, 12)) if read else None,
        words=chance.randrange(5_000) if read else None,
        title=f"Title {number}" if read else None,
        authored_at=_authored(chance) if read else None,
        report=_report(chance) if status is S.COMPLETED else None,
        failure=Failure(code="corrupt", detail="The document is damaged.") if status is S.FAILED else None,
        at=NOW + timedelta(seconds=number),
        **_held(status),
    )


def _held(status: DocumentStatus) -> dict[str, Any]:
    due_at = NOW + timedelta(days=1)
    if status in {S.UPLOADED, S.COMPLETED, S.FAILED, S.CANCELLED}:
        return {"due_at": None}
    lease = Lease(holder="worker-a", until=due_at) if status is S.ANALYZING else None
    return {"due_at": due_at, "lease": lease}


def _authored(chance: random.Random) -> datetime | None:
    return chance.choice((None, datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=chance.randrange(1_000))))


def _report(chance: random.Random) -> Report:
    found = report().model_dump()
    found["analysis"] |= {
        "topics": [f"topic {chance.randrange(60)}" for _ in range(4)],
        "language": chance.choice(("en", "de", "fr")),
        "classification": {"label": f"label {chance.randrange(30)}", "confidence": 0.5},
        "sentiment": {"label": chance.choice(("positive", "negative", "neutral")), "score": chance.randrange(9) / 8},
    }
    found["usage"] |= _usage(chance)
    if chance.random() < 0.3:
        found["classification"] = {
            "label": chance.choice((None, "Invoice", "Pumps")),
            "confidence": 0.5,
            "labels": ["Invoice", "Pumps"],
            "analyzer": found["analyzer"],
            "chars_extracted": 9,
            "chars_analyzed": 9,
            "usage": _usage(chance),
        }
    return Report.model_validate(found)


def _usage(chance: random.Random) -> dict[str, Any]:
    tokens = {"calls": 1, "input_tokens": chance.randrange(9_999), "output_tokens": chance.randrange(999)}
    return tokens | {"cost_usd": chance.choice((None, chance.randrange(1_000_000) / 1_000_000))}


def _is_in(document: Document, folder: str) -> bool:
    return folder in {"", document.folder} or document.folder.startswith(folder + "/")


def _above(path: str) -> list[str]:
    return ["/".join(path.split("/")[:depth]) for depth in range(1, path.count("/") + 1)]


def _spread(numbers: Sequence[int]) -> dict[str, int | None]:
    smallest, largest = min(numbers, default=None), max(numbers, default=None)
    return {"documents": len(numbers), "total": sum(numbers), "smallest": smallest, "largest": largest}


def _ranked(values: Iterable[str]) -> dict[str, int]:
    counts = Counter(values)
    return {value: counts[value] for value in sorted(counts, key=lambda value: (-counts[value], value))[:20]}


def _mean(scores: Sequence[float]) -> float | None:
    return round(sum(scores) / len(scores), 3) if scores else None


def _period(times: Sequence[datetime]) -> dict[str, datetime | None]:
    return {"first": min(times, default=None), "last": max(times, default=None)}
