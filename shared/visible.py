"""What a reader sees of a text: all that a model is shown, and what tells two names apart."""

from __future__ import annotations

import re
import unicodedata

# Nobody sees these on a page, so they can only hide text or instructions: C0 and C1 controls, soft hyphens, zero-width
# and bidirectional controls, variation selectors, byte order marks, tag characters. A lone surrogate is not even UTF-8.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u202a-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff]"
)


def visible(text: str) -> str:
    """Return `text` without the code points that a reader of the document cannot see."""
    return _INVISIBLE.sub("", text)


def as_read(name: str) -> str:
    """What two names have in common that look the same to a reader, in any case."""
    return unicodedata.normalize("NFC", visible(name).strip().casefold())
