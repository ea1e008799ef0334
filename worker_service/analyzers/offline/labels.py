"""Which of somebody's own labels fits a document, by the words of their names and descriptions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from math import sqrt

from shared.analysis import Label
from shared.visible import as_read, visible
from worker_service.analyzers.offline.classification import excerpt_of, points_of
from worker_service.analyzers.offline.kinds import KINDS
from worker_service.analyzers.offline.language import language_of
from worker_service.analyzers.offline.stems import stemmer_of
from worker_service.analyzers.offline.stopwords import STOP_WORDS

_WORD = re.compile(r"[^\W_]+")
_NAME_POINTS = 3.0
_DESCRIPTION_POINTS = 1.5
# A kind that only the description names may be one of several.
_DESCRIBED_KIND = 0.5
# A word that comes often says more than one that comes once, but not as much more.
_MOST_TIMES = 4
_MOST_OF_A_NAME = 0.5
_LEAST_POINTS = 2.0
_NONE_CONFIDENCE = 0.2
# What people call the label for what none of the others fits.
_REST = {
    "other",
    "others",
    "misc",
    "miscellaneous",
    "none",
    "unknown",
    "andere",
    "sonstiges",
    "unbekannt",
    "autre",
    "divers",
}


def choose_label(text: str, labels: Sequence[Label]) -> tuple[str | None, float]:
    """Return the label with most of its words in the text, and how sure that is.

    When there are too few, it is the label for the rest, None without one.
    """
    document = _Document(text)
    rest = next((label.name for label in labels if as_read(label.name) in _REST), None)
    points = [0.0 if label.name == rest else _points(label, document) for label in labels]
    # Of two that fit alike, the first.
    ranked = sorted(range(len(labels)), key=lambda number: -points[number])
    most, second = points[ranked[0]], points[ranked[1]] if len(labels) > 1 else 0.0
    if most < _LEAST_POINTS:
        return rest, _NONE_CONFIDENCE
    return labels[ranked[0]].name, round(min(0.95, most / (most + second + 1.0)), 2)


class _Document:
    """The words of a text, found under other endings too, and the kinds of document that it is like."""

    def __init__(self, text: str) -> None:
        self._stem = stemmer_of(language_of(text))
        excerpt = excerpt_of(text)
        # In a line of capitals, IT may be no more than it.
        mixed = "\n".join(line for line in excerpt.splitlines() if not line.isupper())
        self._times = Counter(map(self._stem, [*_words_of(excerpt), *_abbreviations_of(mixed)]))
        self._kind_stem = stemmer_of("en")
        self._kinds = {self._kind_stem(kind): points for kind, points in points_of(text).items()}

    def points(self, words: Iterable[str]) -> list[float]:
        """How much the text has of each of these words that it has at all."""
        times = (self._times[stem] for stem in set(map(self._stem, words)))
        return [sqrt(min(count, _MOST_TIMES)) for count in times if count]

    def share(self, name: Collection[str]) -> float:
        """How much of a name is in the text, or is a kind of document that the text is like."""
        found = [word for word in name if self.points([word]) or self.kind_points([word])]
        return len(found) / max(len(name), 1)

    def kind_points(self, words: Iterable[str]) -> float:
        """What speaks for a kind of document that a label is called by, such as invoice or contracts."""
        return max((self._kinds.get(self._kind_stem(word), 0.0) for word in words), default=0.0)


def _points(label: Label, document: _Document) -> float:
    seen = visible(label.name)
    name = {*_words_of(seen), *_abbreviations_of(seen)}
    description = set(_words_of(label.description or "")) - name
    # One word of several, such as the report of an aviation report, says little.
    share = document.share(name)
    named = sum(document.points(name)) * _NAME_POINTS / max(len(name), 1) if share > _MOST_OF_A_NAME else 0.0
    found = document.points(description)
    # Of many words, some are found by chance. One alone, however often it comes, may mean something else there.
    described = sum(found) * _DESCRIPTION_POINTS / sqrt(max(len(description) / 4, 1.0)) if len(found) > 1 else 0.0
    kinds = document.kind_points(name) * share + document.kind_points(description) * _DESCRIBED_KIND
    return named + described + kinds


def _words_of(text: str) -> list[str]:
    """The words that mean something."""
    return [word for word in _WORD.findall(text.casefold()) if len(word) > 2 and word not in _STOP_WORDS]


def _abbreviations_of(text: str) -> list[str]:
    """The words that are too short to mean something, but for their capitals."""
    return [word for word in _WORD.findall(text) if len(word) == 2 and word.isupper()]


_STOP_WORDS = frozenset().union(*STOP_WORDS.values()) - KINDS.keys()
