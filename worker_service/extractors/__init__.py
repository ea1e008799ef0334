"""What every extractor returns. The parsers themselves run only in the sandbox's child processes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from shared.errors import NoTextError

_RARE_LINE_END = re.compile("[\v\f\x85\u2028\u2029]")
# Control characters, soft hyphens, byte order marks, non-characters and halves of surrogate pairs.
_INVISIBLE = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\xad\ufeff\ufffe\uffff\ud800-\udfff]")
# The lookbehind keeps it linear over long runs of spaces; behind the first space it costs a third less.
_TRAILING_SPACE = re.compile(r"[^\S\n](?<![^\S\n]{2})[^\S\n]*+(?=\n)")
_BLANK_LINES = re.compile("\n{3,}")
_COUNTED_AT_ONCE_CHARS = 65_536


@dataclass(frozen=True, kw_only=True, slots=True)
class Extraction:
    """The text of one document and what its file says about it.

    `page_chars` holds the number of characters that each page gave, in page order; None for a type without pages.
    `hidden_chars` were found but are not part of `text`: no reader of the page sees them. `ocr_pages` are the numbers,
    from 1, of the pages that were read from their picture, `unread_pages` those of the pages that show something which
    nobody has read, with the `damaged_pages`, whose text, if there is any, may be a part. With `lines_are_whole` the
    writer ended each line; else the width of a page may have broken it. `encoding_confidence`, up to 1, is how sure the
    encoding of a plain text is.
    """

    text: str
    page_chars: tuple[int, ...] | None = None
    title: str | None = None
    author: str | None = None
    created: datetime | None = None
    hidden_chars: int = 0
    ocr_pages: tuple[int, ...] = ()
    unread_pages: tuple[int, ...] = ()
    damaged_pages: tuple[int, ...] = ()
    lines_are_whole: bool = False
    encoding: str | None = None
    encoding_confidence: float | None = None

    @property
    def pages(self) -> int | None:
        return None if self.page_chars is None else len(self.page_chars)

    @property
    def pages_with_text(self) -> int | None:
        return None if self.page_chars is None else sum(chars > 0 for chars in self.page_chars)

    @property
    def pages_ocr(self) -> int:
        return len(self.ocr_pages)

    @property
    def words(self) -> int:
        """The runs of anything but white space: all that can be said without knowing the language."""
        # In pieces, because a list of all words takes twenty times the memory of the text.
        starts = range(0, len(self.text), _COUNTED_AT_ONCE_CHARS)
        pieces = sum(len(self.text[start : start + _COUNTED_AT_ONCE_CHARS].split()) for start in starts)
        cut = sum(not (self.text[start - 1].isspace() or self.text[start].isspace()) for start in starts[1:])
        return pieces - cut


class NoTextOnPagesError(NoTextError):
    """The document has pages, but no text on them."""

    def __init__(self, message: str, *, found: Extraction) -> None:
        super().__init__(message)
        self.found = found


def readable(raw: str) -> str:
    """Return the text with `\\n` line ends, at most one blank line in a row, and nothing invisible but tabs."""
    # Not split, which holds every line of a large text as an object of its own. Each expression takes as long as
    # reading a small PDF, so that a plain search has to find a reason for it.
    text = raw.replace("\r\n", "\n").replace("\r", "\n")
    if not text.replace("\n", "").replace("\t", "").isprintable():
        text = _INVISIBLE.sub("", _RARE_LINE_END.sub("\n", text))
    text = text.replace(" \n", "\n")
    if " \n" in text or "\t\n" in text or not text.isascii():
        text = _TRAILING_SPACE.sub("", text)
    if "\n\n\n" in text:
        text = _BLANK_LINES.sub("\n\n", text)
    return text.rstrip().lstrip("\n")
