"""Words without their endings. snowballstemmer is imported at the first use: its tables take a tenth of a second."""

from __future__ import annotations

from collections.abc import Callable

_ALGORITHMS = {
    "ar": "arabic",
    "ca": "catalan",
    "cs": "czech",
    "da": "danish",
    "de": "german",
    "el": "greek",
    "en": "english",
    "es": "spanish",
    "et": "estonian",
    "eu": "basque",
    "fa": "persian",
    "fi": "finnish",
    "fr": "french",
    "ga": "irish",
    "hi": "hindi",
    "hu": "hungarian",
    "hy": "armenian",
    "id": "indonesian",
    "it": "italian",
    "lt": "lithuanian",
    "ne": "nepali",
    "nl": "dutch",
    "no": "norwegian",
    "pl": "polish",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sr": "serbian",
    "sv": "swedish",
    "ta": "tamil",
    "tr": "turkish",
}


def stemmer_of(language: str) -> Callable[[str], str]:
    """Return what takes the endings off words of a language, an ISO 639-1 code; none off those of an unknown one."""
    if language not in _ALGORITHMS:
        return str
    from snowballstemmer import stemmer  # noqa: PLC0415 - see the module docstring.

    # One for each call: it holds the word that it is at.
    stem: Callable[[str], str] = stemmer(_ALGORITHMS[language]).stemWord
    return _without_gerunds(stem) if language == "en" else stem


def _without_gerunds(stem: Callable[[str], str]) -> Callable[[str], str]:
    """Marketing is more than what is done on a market, and a building more than what somebody may build."""
    return lambda word: word.removesuffix("s") if word.endswith(("ing", "ings")) else stem(word)
