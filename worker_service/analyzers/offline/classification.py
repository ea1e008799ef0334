"""What kind of document it is, by cues that such documents share. Honest about it: few cues, little confidence."""

from __future__ import annotations

import re

from shared.analysis import Classification
from worker_service.analyzers.offline.kinds import KINDS

_HEAD_CHARS = 20_000
_TAIL_CHARS = 4_000
_TITLE_LINES = 6
_TITLE_WORDS = 8
_TITLE_POINTS = 3.0
_LEAST_POINTS = 3.0
_OTHER_CONFIDENCE = 0.2
_CUES = {
    label: [frozenset(f" {cue} " for cue in cues.split("|") if cue) for cues in (kind.title, kind.strong, kind.body)]
    for label, kind in KINDS.items()
}
_NOT_WORD = re.compile(r"[\W_]+")


def classify(text: str) -> Classification:
    """Return the kind with most cues; `other` when there are too few to tell."""
    points = points_of(text)
    (best, most), (_, second) = sorted(points.items(), key=lambda item: -item[1])[:2]
    if most < _LEAST_POINTS:
        return Classification(label="other", confidence=_OTHER_CONFIDENCE)
    return Classification(label=best, confidence=round(min(0.95, most / (most + second + 3.0)), 2))


def points_of(text: str) -> dict[str, float]:
    """How much speaks for each kind."""
    words = _plain(excerpt_of(text))
    titles = [_plain(line) for line in _first_lines(text)]
    points = {label: _points(cues, words, titles) for label, cues in _CUES.items()}
    points["email"] += _mail_header_points(text)
    return points


def excerpt_of(text: str) -> str:
    """Beginning and end: there a document says what it is."""
    return text[:_HEAD_CHARS] + " " + text[_HEAD_CHARS:][-_TAIL_CHARS:]


def _points(cues: list[frozenset[str]], words: str, titles: list[str]) -> float:
    title, strong, body = cues
    named = any(line in title for line in titles) * 2 * _TITLE_POINTS
    short = [line for line in titles if line.count(" ") <= _TITLE_WORDS + 1]
    opened = any(cue in line for cue in title for line in short) * _TITLE_POINTS
    begun = any(line.startswith(cue) for line in titles for cue in title) * _TITLE_POINTS
    return (
        max(named, opened, begun) + 2.0 * sum(cue in words for cue in strong) + 0.7 * sum(cue in words for cue in body)
    )


def _first_lines(text: str) -> list[str]:
    lines = (line for line in text[:2_000].splitlines() if line.strip())
    return [line[:80] for line, _ in zip(lines, range(_TITLE_LINES), strict=False)]


def _mail_header_points(text: str) -> float:
    # Not `\s` at first: from each blank line that would go through all of the next ones.
    headers = re.findall(
        r"^[^\S\n]*(from|to|cc|subject|sent|date|von|an|betreff|gesendet|de|à|objet|envoyé)\s*:",
        text[:1_500],
        re.IGNORECASE | re.MULTILINE,
    )
    return 6.0 if len({header.lower() for header in headers}) >= 3 else 0.0


def _plain(text: str) -> str:
    return f" {_NOT_WORD.sub(' ', text.lower()).strip()} "
