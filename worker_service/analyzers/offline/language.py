"""Which language a text is in. py3langid and numpy are imported at the first use: half a second, 100 MB."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

# What the other parts know. A text too short to tell is taken for one of them.
SUPPORTED = ("en", "de", "fr")
UNDETERMINED = "und"

_SAMPLE_CHARS = 4_000
_SURE = 0.5
# Of more than a hundred languages, one may have nearly this much by chance.
_TOLD = 0.025


def language_of(text: str) -> str:
    """Return an ISO 639-1 code, or `und` for a text without letters, or with nothing that tells one from another."""
    sample = _sample(text)
    if not any(char.isalpha() for char in sample):
        return UNDETERMINED
    ranked = _identifier().rank(sample)
    best, confidence = ranked[0]
    if confidence < _TOLD:
        return UNDETERMINED
    return str(best) if confidence >= _SURE else next(str(label) for label, _ in ranked if label in SUPPORTED)


def _sample(text: str) -> str:
    """The beginning and the middle, because a cover page or a form's head may be in another language."""
    middle = len(text) // 2
    return text[:_SAMPLE_CHARS] + text[max(middle, _SAMPLE_CHARS) : middle + _SAMPLE_CHARS]


@cache
def _identifier() -> LanguageIdentifier:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # noqa: PLC0415 - see the module docstring.

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages([label for label in identifier.labels if len(label) == 2])
    return identifier
