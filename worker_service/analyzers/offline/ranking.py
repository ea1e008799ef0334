"""The extractive summary: which sentences stand for the document. Linear in the text; nothing is rewritten."""

from __future__ import annotations

import heapq
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from worker_service.analyzers.offline.segmentation import Sentence, is_readable, is_table_row
from worker_service.analyzers.offline.stopwords import STOP_WORDS

_WORD = re.compile(r"[^\W\d_]+")
_DIGIT = re.compile(r"\d")
_COMPLETE = re.compile(r"[.!?。\uff01\uff1f।][\"'”\u2019»)\]]*$")
# It leans on the sentence before it, or it talks to the reader and not about the matter.
_LEANING = re.compile(
    r"(?:this (?!(?:\w+ )?(?:agreement|article|contract|document|letter|manual|paper|policy|report|study)\b)|"
    r"[\"“'].{2,40}[\"”'],? (?:shall )?means?\b|"
    r"(?:that|these|those|it|they|he|she|however|therefore|thus|but|and|so|also|moreover|then|see|note|for example|"
    r"in (?:this|that|short|fact)|dear|thanks?|sincerely|i|dies\w*|er|sie|es|damit|dadurch|deshalb|dabei|jedoch|daher|"
    r"aber|und|außerdem|siehe|zudem|ce|cet|cette|ces|il|elle|ils|elles|cependant|donc|mais|et|ainsi|de plus|voir|"
    r"merci)\b)",
    re.IGNORECASE,
)
# A word that a line end cut in two stays cut: the sentence has to be a substring of the text.
_CUT_WORD = re.compile(r"[^\W\d_]- [a-zß-ÿ]")
_TELLING = re.compile(
    r"\b(?:conclu\w+|in summary|propose\w*|purpose|aims?|findings?|results?|recommend\w*|agree[sd]?|decided|total|"
    r"amount|main|deadline|effective|zusammenfass\w+|ziel|zweck|ergebnis\w*|insgesamt|beschlossen|vereinbar\w+|\w*betrag|"
    r"en résumé|objectif|objet|résultats?|décid\w+|convenu\w*|montant)\b",
    re.IGNORECASE,
)
_FORMULA = re.compile(
    r"\b(?:do not hesitate|any (?:further )?questions|best regards|prions d'agréer|veuillez (?:agréer|recevoir)|"
    r"salutations distinguées|mit freundlichen|vielen dank|zur verfügung|thank you)\b",
    re.IGNORECASE,
)
_LABELLED_VALUE = re.compile(r"[^\W\d][^:]{2,30}:\s*\S.*\d")
_TOTAL = re.compile(
    r"\b(?:total (?:due|ttc|amount|à payer)|(?:grand|invoice) total|(?:gesamt|rechnungs|end)betrag|zu zahlen|"
    r"net à payer|montant total|(?:amount|balance) due)\b|^(?:total|summe|gesamt)\b",
    re.IGNORECASE,
)

_MAX_CANDIDATES = 400
_MAX_CHARS = 1_200
_LINES = 5
_MAX_SENTENCE_CHARS = 420
_COMFORTABLE_CHARS = 240


@dataclass(frozen=True, kw_only=True, slots=True)
class _Candidate:
    index: int
    text: str
    words: frozenset[str]


def summary_of(sentences: list[Sentence], *, language: str) -> str:
    """Join the chosen sentences; a piece that does not end like one, such as a line of a form, ends its line."""
    chosen = chosen_sentences(sentences, language=language)
    return "".join(text + (" " if _COMPLETE.search(text) else "\n") for text in chosen).strip()


def chosen_sentences(sentences: list[Sentence], *, language: str) -> list[str]:
    """Return three to five sentences in document order; fewer only when the text has no more."""
    stop_words = STOP_WORDS.get(language, frozenset())
    texts = [(index, each.text) for index, each in enumerate(sentences)]
    readable = [(index, text) for index, text in texts if is_readable(text)] or texts[:_LINES]
    prose = [_candidate(index, text, stop_words) for index, text in readable if _is_prose(text, stop_words)]
    chosen = _rank(prose) if len(prose) >= 3 else _lines(readable, {each.index for each in prose})
    return [text for _, text in sorted(chosen)]


def _candidate(index: int, text: str, stop_words: frozenset[str]) -> _Candidate:
    words = (word for word in _WORD.findall(text.lower()) if len(word) > 2 and word not in stop_words)
    # Seven letters are a stem that works in every language well enough to compare sentences.
    return _Candidate(index=index, text=text, words=frozenset(word[:7] for word in words))


def _is_prose(text: str, stop_words: frozenset[str]) -> bool:
    words = _WORD.findall(text.lower())
    common = sum(word in stop_words for word in words)
    return (
        30 <= len(text) <= _MAX_SENTENCE_CHARS
        and _COMPLETE.search(text) is not None
        and not text[0].islower()
        and not text.isupper()
        and text.count("(") == text.count(")")
        and sum(map(len, words)) + len(_DIGIT.findall(text)) >= 0.65 * len(text)
        and (not stop_words or (len(words) >= 6 and common >= 0.15 * len(words)))
        and not is_table_row(text)
        and not _FORMULA.search(text)
    )


def _rank(prose: list[_Candidate]) -> list[tuple[int, str]]:
    """Centroid ranking with SumBasic's cure for repetition: a word that was said counts less."""
    spread = Counter(word for each in prose for word in each.words)
    weights = {word: float(count) for word, count in spread.items()}
    pool = heapq.nlargest(_MAX_CANDIDATES, prose, key=_scorer(weights))
    chosen: list[_Candidate] = []
    wanted = 3 if len(prose) < 6 else 4 if len(prose) < 20 else 5
    while pool and len(chosen) < wanted and sum(len(each.text) for each in chosen) < _MAX_CHARS:
        best = max(pool, key=_scorer(weights))
        pool = [each for each in pool if each.text != best.text]
        chosen.append(best)
        weights |= {word: weights[word] / 3 for word in best.words}
    return [(each.index, each.text) for each in chosen]


def _scorer(weights: dict[str, float]) -> Callable[[_Candidate], float]:
    def score(each: _Candidate) -> float:
        matter = sum(weights[word] for word in each.words) / (len(each.words) + 6)
        position = 1 + 0.8 / (1 + each.index / 6)
        flawed = _LEANING.match(each.text) or _CUT_WORD.search(each.text) or each.text.endswith("?")
        telling = (1.25 if _TELLING.search(each.text) else 1.0) * (1.15 if _DIGIT.search(each.text) else 1.0)
        return matter * position * telling * (0.6 if flawed else 1.0) * min(1.0, _COMFORTABLE_CHARS / len(each.text))

    return score


def _lines(readable: list[tuple[int, str]], prose: set[int]) -> list[tuple[int, str]]:
    """For forms and the like: the title, labelled values, sums and what sentences there are."""

    def score(line: tuple[int, str]) -> float:
        index, text = line
        labelled = _LABELLED_VALUE.match(text) is not None
        telling = 1 + bool(_TOTAL.search(text)) if _TELLING.search(text) else 0
        return 2 * (index in prose) + (index == 0) + labelled + telling + 1 / (2 + index)

    worth = [
        (index, text)
        for index, text in readable
        if 4 <= len(text) <= _MAX_SENTENCE_CHARS and (not is_table_row(text) or _TELLING.search(text))
    ]
    return heapq.nlargest(_LINES, worth or readable, key=score)
