"""Which of somebody's own labels fits a document, by the words of their names and descriptions."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from math import sqrt

from shared.analysis import Label
from shared.visible import as_read, visible
from worker_service.analyzers.offline.classification import excerpt_of, points_of
from worker_service.analyzers.offline.kinds import KINDS
from worker_service.analyzers.offline.stopwords import STOP_WORDS

_WORD = re.compile(r"[^\W_]+")
_NAME_POINTS = 3.0
_DESCRIPTION_POINTS = 1.5
# A kind that only the description names may be one of several.
_DESCRIBED_KIND = 0.5
# A word that comes often says more than one that comes once, but not as much more.
_MOST_TIMES = 4
_STEM_CHARS = 4
_ENDING_CHARS = 3
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
    words, kinds = _Words(Counter(_words_of(excerpt_of(text)))), points_of(text)
    rest = next((label.name for label in labels if as_read(label.name) in _REST), None)
    points = [0.0 if label.name == rest else _points(label, words, kinds) for label in labels]
    # Of two that fit alike, the first.
    ranked = sorted(range(len(labels)), key=lambda number: -points[number])
    most, second = points[ranked[0]], points[ranked[1]] if len(labels) > 1 else 0.0
    if most < _LEAST_POINTS:
        return rest, _NONE_CONFIDENCE
    return labels[ranked[0]].name, round(min(0.95, most / (most + second + 1.0)), 2)


class _Words:
    """The words of a text, found under other endings too."""

    def __init__(self, times: Counter[str]) -> None:
        self._by_beginning: dict[str, list[tuple[str, int]]] = defaultdict(list)
        for word, count in times.items():
            self._by_beginning[word[:_STEM_CHARS]].append((word, count))

    def points(self, cues: set[str]) -> float:
        return sum(sqrt(min(self._times(cue), _MOST_TIMES)) for cue in cues)

    def share(self, name: set[str], kinds: dict[str, float]) -> float:
        """How much of a name is in the text, or is a kind of document that the text is like."""
        found = [word for word in name if self._times(word) or _kind_points({word}, kinds)]
        return len(found) / max(len(name), 1)

    def _times(self, cue: str) -> int:
        return sum(count for word, count in self._by_beginning[cue[:_STEM_CHARS]] if _alike(cue, word))


def _points(label: Label, words: _Words, kinds: dict[str, float]) -> float:
    name = set(_words_of(visible(label.name)))
    description = set(_words_of(label.description or "")) - name
    # Of many words, some are found by chance.
    described = words.points(description) * _DESCRIPTION_POINTS / sqrt(max(len(description) / 4, 1.0))
    # One word of several, such as the report of an aviation report, says little.
    share = words.share(name, kinds)
    named = words.points(name) * _NAME_POINTS / max(len(name), 1) if share > _MOST_OF_A_NAME else 0.0
    return named + described + _kind_points(name, kinds) * share + _kind_points(description, kinds) * _DESCRIBED_KIND


def _kind_points(words: set[str], kinds: dict[str, float]) -> float:
    """What speaks for a kind of document that a label is called by, such as invoice or contracts."""
    return max((points for kind, points in kinds.items() if any(_alike(kind, word) for word in words)), default=0.0)


def _words_of(text: str) -> list[str]:
    """The words that mean something; of a short one, without the plural's s."""
    words = (word for word in _WORD.findall(text.casefold()) if len(word) > 2 and word not in _STOP_WORDS)
    return [word.removesuffix("s") if len(word) <= _STEM_CHARS + 1 else word for word in words]


def _alike(one: str, other: str) -> bool:
    """Whether two words differ in their endings at most."""
    shorter = min(len(one), len(other))
    if shorter <= _STEM_CHARS or abs(len(one) - len(other)) > _ENDING_CHARS:
        return one == other
    reach = max(_STEM_CHARS, shorter - 2)
    return one[:reach] == other[:reach]


_STOP_WORDS = frozenset().union(*STOP_WORDS.values()) - KINDS.keys()
