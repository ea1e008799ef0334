"""Cutting a long text into chunks that a model can read, within caps. Knows no model and no prompt."""

from __future__ import annotations

import re
import string
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

# A token is three bytes of UTF-8 or more where there are words: four in English, three in Chinese. Of a number it is
# one digit with many models, and the mark behind that is another one: where there are many, each counts as a token, and
# the words between them as English ones.
BYTES_PER_TOKEN = 3
_BYTES_PER_TOKEN_AMONG_NUMBERS = 4
_NUMBERS = (string.digits + string.punctuation).encode()
# Where a cut hurts least, best first.
_SEAMS = [re.compile(pattern) for pattern in (r"\n\n", r"\n", r"(?<=[.!?:])\s|\u3002", r"\s")]
# A seam is looked for in the last part of a chunk only.
_SEAM_WITHIN = 4
# Scripts without spaces; with o200k and its like a token has one or two of their characters.
_DENSE = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_LETTER = re.compile(r"\w")
_DENSE_PER_TOKEN = 3
_DENSE_CHARACTER = re.compile(f"[{_DENSE}]")


@dataclass(frozen=True, kw_only=True, slots=True)
class ChunkCaps:
    """`chunk_tokens` go into one call, `overlap_tokens` of them from the chunk before; a document has `max_chunks`
    at most, and `max_tokens` in all. An answer has `output_tokens`."""

    chunk_tokens: int = 32_000
    overlap_tokens: int = 200
    max_chunks: int = 16
    max_tokens: int = 400_000
    # An analysis takes about 500, but a reasoning model's thoughts count too.
    output_tokens: int = 8_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Chunk:
    """`chars` of the text are this chunk's own; what `text` has beyond them, it repeats of the chunk before."""

    text: str
    chars: int

    @property
    def tokens(self) -> int:
        return tokens_of(self.text)


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """The chunks to be read; `planned` is how many the whole text would need."""

    chunks: tuple[Chunk, ...]
    planned: int


def tokens_of(text: str) -> int:
    """The most tokens that a text is likely to have."""
    return _tokens_of(text.encode("utf-8", "replace"))


def _tokens_of(encoded: bytes) -> int:
    words = len(encoded.translate(None, _NUMBERS))
    among_numbers = len(encoded) - words - -words // _BYTES_PER_TOKEN_AMONG_NUMBERS
    return max(-(-len(encoded) // BYTES_PER_TOKEN), among_numbers)


def least_tokens_of(text: str) -> int:
    """Fewer than a text has: no usual model takes several words for one token. Words are what blanks part.

    Not what marks part: in the scripts of India a vowel is a mark, and a token may be a whole word of them.
    """
    words = sum(1 for word in _DENSE_CHARACTER.sub(" ", text).split() if _LETTER.search(word))
    return words + len(_DENSE_CHARACTER.findall(text)) // _DENSE_PER_TOKEN


def plan_of(text: str, caps: ChunkCaps, *, affordable: int | None = None) -> Plan:
    """Cut the text; what is beyond the caps, or beyond the number of chunks that are affordable, is left out."""
    chunks = _cut(text, caps)
    allowed = min(caps.max_chunks, len(chunks) if affordable is None else max(affordable, 1))
    taken: list[Chunk] = []
    tokens = 0
    for chunk in chunks[:allowed]:
        tokens += chunk.tokens
        if taken and tokens > caps.max_tokens:
            break
        taken.append(chunk)
    return Plan(chunks=tuple(taken), planned=len(chunks))


def groups_that_fit(texts: Sequence[str], tokens: int) -> list[list[str]]:
    """The texts in order, in groups of so many tokens; of two at least, so that there are fewer groups than texts."""
    groups: list[list[str]] = []
    for text in texts:
        if not groups or (len(groups[-1]) > 1 and tokens_of("\n".join([*groups[-1], text])) > tokens):
            groups.append([])
        groups[-1].append(text)
    return groups


def _cut(text: str, caps: ChunkCaps) -> list[Chunk]:
    chunks: list[Chunk] = []
    start = 0
    while start < len(text) or not chunks:
        room = caps.chunk_tokens - (caps.overlap_tokens if chunks else 0)
        end = _seam(text, start, start + _fitting(text, start, room))
        overlap = min(start, _fitting_before(text, start, caps.overlap_tokens)) if chunks else 0
        chunks.append(Chunk(text=text[start - overlap : end], chars=end - start))
        start = end
    return chunks


def _fitting(text: str, start: int, tokens: int) -> int:
    """How many characters from `start` on fit into so many tokens: at least one."""
    budget = tokens * BYTES_PER_TOKEN
    # Every character has a byte at least, so that no more of the text has to be looked at.
    encoded = text[start : start + budget].encode("utf-8", "replace")
    end = bisect_right(range(len(encoded) + 1), tokens, key=lambda end: _tokens_of(encoded[:end])) - 1
    return max(len(encoded[:end].decode("utf-8", "ignore")), 1)


def _fitting_before(text: str, end: int, tokens: int) -> int:
    budget = tokens * BYTES_PER_TOKEN
    encoded = text[max(0, end - budget) : end].encode("utf-8", "replace")
    start = bisect_left(range(len(encoded) + 1), -tokens, key=lambda start: -_tokens_of(encoded[start:]))
    return len(encoded[start:].decode("utf-8", "ignore"))


def _seam(text: str, start: int, end: int) -> int:
    """The best place to cut at or before `end`."""
    if end >= len(text):
        return len(text)
    first = end - (end - start) // _SEAM_WITHIN
    for seam in _SEAMS:
        found = [match.end() for match in seam.finditer(text, first, end)]
        if found:
            return found[-1]
    return end
