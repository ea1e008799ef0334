"""What `docrelay analyze` says of one file, as a line of JSON or for people. Knows no file system."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from docrelay.output import what_is_missing
from shared.analysis import ActionItem, Analysis, Coverage
from shared.errors import DocumentError
from worker_service.extractors import Extraction

_COLUMNS = 100
_INDENT = "  "


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """What was found in one file."""

    content_type: str
    extraction: Extraction
    analysis: Analysis
    coverage: Coverage


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    path: Path
    result: Done | DocumentError


def as_json(answer: Answer) -> str:
    """Return one line, in ASCII: a file's name need not be text in any encoding."""
    if isinstance(answer.result, DocumentError):
        error = {"code": answer.result.code, "detail": str(answer.result)}
        fields = dict.fromkeys(("pages", "chars", "analysis", "coverage", "metadata")) | {"error": error}
    else:
        fields = _fields(answer.result) | {"error": None}
    return json.dumps({"path": str(answer.path), **fields})


def _fields(done: Done) -> dict[str, object]:
    found = done.extraction
    return {
        "pages": found.pages,
        "chars": len(found.text),
        "analysis": done.analysis.model_dump(mode="json"),
        "coverage": done.coverage.model_dump(mode="json"),
        "metadata": {
            "content_type": done.content_type,
            "words": found.words,
            "page_chars": found.page_chars,
            "ocr_pages": found.ocr_pages,
            "unread_pages": found.unread_pages,
            "hidden_chars": found.hidden_chars,
            "encoding": found.encoding,
            "encoding_confidence": found.encoding_confidence,
            "title": found.title,
            "author": found.author,
            "created": found.created.isoformat() if found.created else None,
        },
    }


def as_text(answer: Answer) -> str:
    """Return a paragraph for people, under the file's name."""
    result = answer.result
    lines = [f"{result.code}: {result}"] if isinstance(result, DocumentError) else _lines(result)
    name = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in str(answer.path))
    return "\n".join([name, *map(_wrapped, lines), ""])


def _wrapped(line: str) -> str:
    return textwrap.fill(line, _COLUMNS, initial_indent=_INDENT, subsequent_indent=_INDENT, break_on_hyphens=False)


def _lines(done: Done) -> Iterator[str]:
    found, analysis = done.extraction, done.analysis
    kind, mood = analysis.classification, analysis.sentiment
    pages = "" if found.pages is None else f"{found.pages} pages ({found.pages_with_text} with text{_by_ocr(found)}), "
    yield (
        f"{pages}{found.words:,} words, {len(found.text):,} characters in {analysis.language}; "
        f"{kind.label} ({kind.confidence:.0%}), {mood.label} ({mood.score:+.2f})"
    )
    yield from filter(None, [what_is_missing(done.coverage.model_dump())])
    about = [found.title, found.author, found.created.date().isoformat() if found.created else None]
    yield from filter(None, [", ".join(fact for fact in about if fact)])
    yield from filter(None, [analysis.summary, ", ".join(analysis.topics)])
    yield from map(_action, analysis.action_items)
    if found.hidden_chars:
        yield f"{found.hidden_chars:,} characters of hidden text left out"


def _by_ocr(found: Extraction) -> str:
    return f", {found.pages_ocr} by OCR" if found.pages_ocr else ""


def _action(item: ActionItem) -> str:
    details = ", ".join(detail for detail in (item.owner, item.due) if detail)
    return f"- {item.text}" + (f" ({details})" if details else "")
