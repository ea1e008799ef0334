"""From extracted text to sentences, without page furniture. It knows no ranking and no cues.

A PDF has one line per printed line: lines are joined where only the page's width broke them, unless they are whole.
Every join is white space, so each sentence is a substring of the text once white space is folded.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import sentencex

_ENDED = re.compile(r"[.!?:;…。\uff01\uff1f।][\"'”\u2019»)\]]*$")
_BULLET = re.compile(
    r"(?:[-*•]?\s?\[[ xX]?\]|#{1,6}|[•◦▪●○■□☐☑☒✓✔➢➤*·\ue000-\uf8ff\u2013—-]|[A-Z]\)|"
    r"\(?(?:\d{1,2}(?:\.\d{1,2}){0,3}|[a-z]|[ivxIVX]{2,4})[.)])\s+(?=\S)"
)
_PAGE_NUMBER = re.compile(
    r"[-\u2013—|\s]*(?:page|seite|p\.)?\s*\d{1,4}\s*(?:(?:of|von|sur|de|/)\s*\d{1,4})?[-\u2013—|\s]*", re.IGNORECASE
)
_UNFINISHED = re.compile(r"(?:[,\u2013—(/&-]|\b(?:and|or|of|the|to|a|in|for|und|oder|der|die|das|et|ou|de|la|le|les))$")
_MONSIEUR = re.compile(r"(?:^|\s)MM?\.$")
_UNREADABLE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\ufffd\ue000-\uf8ff]|https?:|www\.|\S@\S|\]\(|\.{4}|_{2}|\*{3}|[{}<>|=©]|(?:\b\w\b[^\w]+){4}"
)
_MARKUP = re.compile(r"<[^<>]*>|[<>{}|=]")
_NUMBER = re.compile(r"\d{1,2}[.)]")
_DIGITS = re.compile(r"\d+")

# Whether a block goes on: in its last line, the following one, the width of a full line, a blank line between them.
_Continues = Callable[[str, str, float, bool], bool]

# Longer ones are cut: sentencex is quadratic in unbalanced quotes, and no reader wants a longer sentence.
_MAX_BLOCK_CHARS = 4_000
_MAX_SENTENCE_CHARS = 1_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Sentence:
    """One sentence, or what stands for one; `text` comes without the `bullet` or number it had. Blocks count from 0."""

    text: str
    block: int
    bullet: str = ""


def sentences_of(text: str, *, language: str, lines_are_whole: bool = False) -> list[Sentence]:
    """Of a text that is all markup or data, such as a page of HTML, the sentences are what stands between the signs."""
    continues = _goes_on if lines_are_whole else _continues
    found = _all_of(text, language, continues)
    if any(is_readable(each.text) for each in found):
        return found
    return _all_of(_MARKUP.sub("\n", text), language, continues)


def _all_of(text: str, language: str, continues: _Continues) -> list[Sentence]:
    blocks = enumerate(_blocks(_lines(text), continues))
    return [each for number, block in blocks for each in _sentences(block, number, language)]


def _sentences(block: str, number: int, language: str) -> Iterator[Sentence]:
    found = _BULLET.match(block)
    bullet = found[0].strip() if found else ""
    for piece in _cut(block[found.end() :] if found else block, _MAX_BLOCK_CHARS):
        for sentence in _split(piece, language):
            if _NUMBER.fullmatch(sentence):
                bullet = sentence
                continue
            yield Sentence(text=sentence, block=number, bullet=bullet)
            bullet = ""


def _split(piece: str, language: str) -> Iterator[str]:
    held = ""
    for part in sentencex.segment(language, piece):
        held += part
        # Its rules end a sentence after "M.", as in M. Dupont.
        if language != "fr" or not _MONSIEUR.search(held.rstrip()):
            yield from _cut(held.strip(), _MAX_SENTENCE_CHARS)
            held = ""
    yield from _cut(held.strip(), _MAX_SENTENCE_CHARS)


def _cut(text: str, limit: int) -> Iterator[str]:
    while len(text) > limit:
        end = max(text.rfind(mark, limit // 2, limit) for mark in (". ", "? ", "! ")) + 1
        end = end or text.rfind(" ", 1, limit)
        end = end if end > 0 else limit
        yield text[:end]
        text = text[end:].lstrip()
    if text:
        yield text


def _lines(text: str) -> list[str | None]:
    """White-space folded lines; blank ones are empty, and page furniture is None."""
    lines = [" ".join(line.split()) for line in text.splitlines()]
    shapes = Counter(_DIGITS.sub("0", line) for line in lines if 0 < len(line) <= 120)
    furniture = {shape for shape, count in shapes.items() if count >= 3}
    kept = [None if _is_furniture(line, furniture) else line for line in lines]
    return kept if any(kept) else list(lines)


def _is_furniture(line: str, repeated: set[str]) -> bool:
    return bool(line) and (_DIGITS.sub("0", line) in repeated or _PAGE_NUMBER.fullmatch(line) is not None)


def _blocks(lines: list[str | None], continues: _Continues) -> Iterator[str]:
    width = _width(lines)
    block: list[str] = []
    blank = False
    for line in lines:
        if line == "":
            blank = True
            continue
        if block and (line is None or not continues(block[-1], line, width, blank)):
            yield " ".join(block)
            block = []
        if line:
            block.append(line)
        blank = False
    if block:
        yield " ".join(block)


def _width(lines: list[str | None]) -> float:
    """What a full line is: the 90th percentile of the lengths, for text that somebody wrapped."""
    lengths = sorted(len(line) for line in lines if line)
    return max(40.0, lengths[len(lengths) * 9 // 10]) if lengths else 40.0


def _continues(line: str, following: str, width: float, blank: bool) -> bool:
    if _BULLET.match(following) or is_table_row(line) or is_table_row(following):
        return False
    if following[0].islower():
        return not _ENDED.search(line)
    if blank:
        return False
    if _UNFINISHED.search(line):
        return True
    if _ENDED.search(line) and _is_heading(following, width):
        return False
    # Had its first word fitted, only a writer and not the page's width would have started a new line.
    fits = len(line) + 1 + len(following.split(" ", 1)[0]) <= 0.8 * width
    return not fits


def _goes_on(line: str, following: str, width: float, blank: bool) -> bool:  # noqa: ARG001
    """Whether a sentence does in the next of two whole lines, as in a file that something else was converted to."""
    return following[0].islower() and bool(_UNFINISHED.search(line)) and not _BULLET.match(following)


def _is_heading(line: str, width: float) -> bool:
    return len(line) < 0.6 * width and (line.endswith(":") or not _ENDED.search(line)) and line[0].isupper()


def is_table_row(line: str) -> bool:
    """Tell a row of figures from a sentence with figures."""
    words = line.split(" ")
    with_digits = sum(any(char.isdigit() for char in word) for word in words)
    return len(words) > 1 and with_digits >= 0.4 * len(words) and not _ENDED.search(line)


def is_readable(text: str) -> bool:
    """Tell words from code, addresses, leaders, blanks to fill in and letters that lost their word."""
    return not _UNREADABLE.search(text)
