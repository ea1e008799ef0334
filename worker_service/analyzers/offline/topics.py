"""Topics and tags: the noun-like phrases that a document keeps coming back to, found much as RAKE does."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from worker_service.analyzers.offline.segmentation import Sentence, is_readable, is_table_row
from worker_service.analyzers.offline.stopwords import STOP_WORDS

# A word, or one sign that ends a phrase.
_TOKEN = re.compile(r"[^\W\d_]+(?:[-\u2019'&][^\W\d_]+)*|\S")
_ELISION = re.compile(r"\b(?:[cjlmnst]|qu|jusqu|lorsqu|puisqu)['\u2019](?=\w)", re.IGNORECASE)
_POSSESSIVE = re.compile(r"['\u2019]s\b")
# A person is no topic; this finds those whom the text is formal with.
_TITLED = re.compile(r"\b(?:Mr|Mrs|Ms|Dr|Herrn?|Frau|Mme|Mlle|M)\b\.?\s+[^\W\d_]+")
_FRENCH_LINKS = frozenset({"de", "du", "des"})
_GERMAN_ADJECTIVE = re.compile(r"[a-zäöüß]{3,}e[nrsm]?")
_CONTRACTION = re.compile(r"['\u2019](?:[dmst]|ll|re|ve)$", re.IGNORECASE)
_ENGLISH_VERBAL = re.compile(r"[a-z]+(?:ly|ed)")

_MAX_WORDS = 3
# In a row. They do not count as words: without an end to them there would be none to the phrases of a run.
_MAX_LINKS = 2
# By number of words; a phrase that occurs once may be an accident, the more so the longer it is.
_BONUS = (0.0, 0.5, 1.5, 1.8)
_BONUS_ONCE = (0.0, 0.5, 1.2, 1.1)
_ENOUGH = 5
_TITLE_BLOCKS = 3
_SHORT_TEXT_WORDS = 250


@dataclass(slots=True)
class _Phrase:
    weight: int = 0
    count: int = 0
    is_whole: bool = False
    spellings: Counter[str] = field(default_factory=Counter)


def topics_of(sentences: Iterable[Sentence], *, language: str, limit: int = 8) -> list[str]:
    """Return up to `limit` phrases as the document spells them, the weightiest first."""
    phrases: dict[tuple[str, ...], _Phrase] = {}
    words = 0
    for sentence in sentences:
        weight = 2 if sentence.block < _TITLE_BLOCKS and ":" not in sentence.text else 1
        for run in _runs(sentence.text, language):
            words += len(run)
            _count(run, phrases, language, weight)
    short = words < _SHORT_TEXT_WORDS
    worth = {key: each for key, each in phrases.items() if each.count > 1 or (short and each.is_whole)}
    ranked = sorted(worth, key=lambda key: (-_score(key, worth[key]), key))
    return _distinct(((key, worth[key]) for key in ranked), limit)


def tags_of(topics: list[str], label: str, *, limit: int = 8) -> list[str]:
    """Return the label, unless it says nothing, and the topics in lower case."""
    tags = [] if label == "other" else [label]
    tags += (topic.lower() for topic in topics if len(topic) <= 32)
    return list(dict.fromkeys(tags))[:limit]


def _runs(text: str, language: str) -> Iterator[list[str]]:
    """Uninterrupted stretches of words that may belong to a phrase."""
    if is_table_row(text) or not is_readable(text):
        return
    text = _TITLED.sub("|", text)
    text = _POSSESSIVE.sub("", text) if language == "en" else text
    text = _ELISION.sub("| ", text) if language == "fr" else text
    stop_words = STOP_WORDS.get(language, frozenset())
    run: list[str] = []
    links = 0
    for token in _TOKEN.findall(text):
        links = links + 1 if token in _FRENCH_LINKS else 0
        if _carries(token, language, stop_words) or (run and language == "fr" and 0 < links <= _MAX_LINKS):
            run.append(token)
        elif run:
            yield run
            run = []
    if run:
        yield run


def _carries(token: str, language: str, stop_words: frozenset[str]) -> bool:
    if token.lower() in stop_words or len(token) < (2 if token.isupper() else 3):
        return False
    if language == "en":
        return not _ENGLISH_VERBAL.fullmatch(token) and not _CONTRACTION.search(token)
    # Without a list of stop words, length has to do.
    return bool(stop_words) or len(token) >= 5


def _count(run: list[str], phrases: dict[tuple[str, ...], _Phrase], language: str, weight: int) -> None:
    for start in range(len(run)):
        words = 0
        for end in range(start, len(run)):
            words += run[end] not in _FRENCH_LINKS
            gram = run[start : end + 1]
            if words > _MAX_WORDS:
                break
            if _is_nominal(gram, language):
                phrase = phrases.setdefault(tuple(_stem(word, language) for word in gram), _Phrase())
                phrase.count += 1
                phrase.is_whole |= len(gram) == len(run)
                phrase.weight += weight
                phrase.spellings[" ".join(gram)] += 1


def _is_nominal(gram: list[str], language: str) -> bool:
    first, last = gram[0], gram[-1]
    if language == "de":
        return last[0].isupper() and all(word[0].isupper() or _GERMAN_ADJECTIVE.fullmatch(word) for word in gram[:-1])
    if language == "fr":
        return not ({first, last} & _FRENCH_LINKS or first.startswith(("d'", "d\u2019")))
    return not (language == "en" and last.endswith("ing") and last.islower())


def _stem(word: str, language: str) -> str:
    lower = word.lower()
    if language == "de" or len(lower) < 4 or lower.endswith(("ss", "us", "is")):
        return lower
    return lower.removesuffix("s")


def _score(key: tuple[str, ...], phrase: _Phrase) -> float:
    words = sum(word not in _FRENCH_LINKS for word in key)
    name = 1.4 if any(spelling[-1].isupper() for spelling in phrase.spellings) else 1.0
    return phrase.weight * name * (_BONUS if phrase.count > 1 else _BONUS_ONCE)[words]


def _distinct(ranked: Iterable[tuple[tuple[str, ...], _Phrase]], limit: int) -> list[str]:
    """Leave out what repeats the words of a weightier phrase, and fill no list with what was said once."""
    chosen: list[str] = []
    used: set[str] = set()
    for key, phrase in ranked:
        words = set(key) - _FRENCH_LINKS
        repeats = len(words & used) >= (len(words) / 2 if phrase.count > 1 else 1)
        if repeats or (phrase.count == 1 and len(chosen) >= _ENOUGH):
            continue
        chosen.append(phrase.spellings.most_common(1)[0][0])
        used |= words
        if len(chosen) == limit:
            break
    return chosen
