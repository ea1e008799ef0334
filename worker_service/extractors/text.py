"""The text of a plain-text file in whatever encoding it is. Knows nothing of processes."""

from __future__ import annotations

import codecs
import re
from contextlib import suppress
from typing import NoReturn

from charset_normalizer import from_bytes

from shared.errors import CorruptError, NoTextError
from shared.filetype import BYTE_ORDER_MARKS, utf16_without_mark
from worker_service.extractors import Extraction, readable

_Decoded = tuple[str, str, float]

# Left to itself the library also finds EBCDIC and Macintosh encodings, mostly in French text.
_LEGACY = [f"cp{page}" for page in (1252, 1250, 1251, 1253, 1254, 1255, 1256, 1257, 437, 850, 866, 874, 932, 949)]
_LEGACY += ["koi8_r", "euc_jp", "gb18030", "big5"]
_WESTERN = "cp1252"
_UNSURE = 0.5
_SIGN_IN_WORD = re.compile(r"[^\W\d_][\xa1-\xac\xae-\xbf\xd7\xf7][^\W\d_]")
_REPLACEMENT = "\ufffd".encode()
# Latin-1 has a capital letter in the place of UTF-8's first byte, and no word ends so.
_CUT_LETTER = re.compile(rb"[a-z][\xc2-\xde]\Z")
# Nothing but UTF-16 has its zero bytes so, but nothing says so either.
_BY_ZEROS = 0.9
_NOT_IN_TEXT = re.compile("[\x00-\x08\x0e-\x19\x1c-\x1f\x7f\ufffd]")


def extract(data: bytes) -> Extraction:
    """Return the text, the encoding that it was in, and how sure that is."""
    raw, encoding, confidence = _decoded(data)
    if len(_NOT_IN_TEXT.findall(raw)) - _its_own_replacements(data, encoding) > len(raw) / 100:
        _refused()
    text = readable(raw)
    if not text.strip():
        raise NoTextError("The file has nothing but white space.")
    return Extraction(text=text, encoding=encoding, encoding_confidence=confidence)


def _decoded(data: bytes) -> _Decoded:
    for mark, marked in BYTE_ORDER_MARKS.items():
        if data.startswith(mark):
            return data.decode(marked, errors="replace"), marked.removesuffix("-sig"), 1.0
    if encoding := utf16_without_mark(data):
        return data.decode(encoding, errors="replace"), encoding, _BY_ZEROS
    return _as_utf8(data) or _guessed(data)


def _as_utf8(data: bytes) -> _Decoded | None:
    """Return the text unless the bytes above ASCII are mostly not UTF-8: logs have a few broken ones.

    What is left of a character that was cut off at the end is left out.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = decoder.decode(data)
    cut, _ = decoder.getstate()
    if len(cut) == 1 and text.isascii() and not _CUT_LETTER.search(data):
        # The last letter of a Latin-1 text looks the same.
        return None
    beyond_ascii = 0 if text.isascii() else len(text) - len(text.encode("ascii", errors="ignore"))
    broken = text.count("\ufffd") - _its_own_replacements(data, "utf-8")
    if beyond_ascii < 10 * broken:
        return None
    return text, "utf-8", round(1 - broken / (beyond_ascii or 1), 2)


def _its_own_replacements(data: bytes, encoding: str) -> int:
    """How often the file has U+FFFD itself: what made it lost characters, but these bytes are sound."""
    return data.count(_REPLACEMENT) if encoding == "utf-8" else 0


def _guessed(data: bytes) -> _Decoded:
    matches = from_bytes(data, cp_isolation=_LEGACY)
    best = matches.best()
    if best is None or not best.coherence:
        # No language recognised: there is too little to tell by, and Western European is by far the most common.
        western = _as_western(data)
        if western or best is None:
            return western or _refused()
    # The library breaks ties by the alphabet, which prefers Central European.
    ties = (match for match in matches if (match.chaos, match.coherence) == (best.chaos, best.coherence))
    match = next((match for match in ties if match.encoding == _WESTERN), best)
    return str(match), match.encoding, round((1 - match.chaos) * (1 if match.coherence else _UNSURE), 2)


def _as_western(data: bytes) -> _Decoded | None:
    """Return the text unless it has bytes that are no characters, mostly other letters, or signs inside of words."""
    beyond_ascii = sum(byte > 127 for byte in data)
    if beyond_ascii > 0.6 * len(b"".join(data.split())):
        return None
    with suppress(UnicodeDecodeError):
        text = data.decode(_WESTERN)
        return None if _SIGN_IN_WORD.search(text) else (text, _WESTERN, _UNSURE)
    return None


def _refused() -> NoReturn:
    raise CorruptError("The file looks like binary data, not like text.")
