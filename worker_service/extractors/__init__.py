"""What every extractor returns. The parsers themselves run only in the sandbox's child processes."""

from __future__ import annotations

import re
from dataclasses import dataclass

_RARE_LINE_END = re.compile("[\v\f\x85\u2028\u2029]")
# Control characters, soft hyphens, byte order marks, non-characters and halves of surrogate pairs.
_INVISIBLE = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\xad\ufeff\ufffe\uffff\ud800-\udfff]")
# The lookbehind keeps it linear over long runs of spaces.
_TRAILING_SPACE = re.compile(r"(?<![^\S\n])[^\S\n]+(?=\n)")
_BLANK_LINES = re.compile("\n{3,}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Extraction:
    """The text of one document.

    `page_chars` holds the number of characters that each page gave, in page order; None for a type without pages.
    """

    text: str
    page_chars: tuple[int, ...] | None = None

    @property
    def pages(self) -> int | None:
        return None if self.page_chars is None else len(self.page_chars)

    @property
    def pages_with_text(self) -> int | None:
        return None if self.page_chars is None else sum(chars > 0 for chars in self.page_chars)


def readable(raw: str) -> str:
    """Return the text with `\\n` line ends, at most one blank line in a row, and nothing invisible but tabs."""
    # Not re.sub nor split, which hold every line of a large text as an object of its own.
    text = raw.replace("\r\n", "\n").replace("\r", "\n")
    text = _INVISIBLE.sub("", _RARE_LINE_END.sub("\n", text))
    return _BLANK_LINES.sub("\n\n", _TRAILING_SPACE.sub("", text)).rstrip().lstrip("\n")
