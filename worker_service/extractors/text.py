"""The text of a plain-text file in whatever encoding it is. Knows nothing of processes."""

from __future__ import annotations

import re

from charset_normalizer import from_bytes

from shared.errors import CorruptError, NoTextError
from shared.filetype import BYTE_ORDER_MARKS, utf16_without_mark
from worker_service.extractors import Extraction, readable

# Left to itself the library also finds EBCDIC and Macintosh encodings, mostly in French text.
_LEGACY = [f"cp{page}" for page in (1252, 1250, 1251, 1253, 1254, 1255, 1256, 1257, 437, 850, 866, 874, 932, 949)]
_LEGACY += ["koi8_r", "euc_jp", "gb18030", "big5"]
_NOT_IN_TEXT = re.compile("[\x00-\x08\x0e-\x19\x1c-\x1f\x7f\ufffd]")


def extract(data: bytes) -> Extraction:
    raw = _decoded(data)
    if len(_NOT_IN_TEXT.findall(raw)) > len(raw) / 100:
        raise CorruptError("The file looks like binary data, not like text.")
    text = readable(raw)
    if not text.strip():
        raise NoTextError("The file has nothing but white space.")
    return Extraction(text=text)


def _decoded(data: bytes) -> str:
    marked = (encoding for mark, encoding in BYTE_ORDER_MARKS.items() if data.startswith(mark))
    encoding = next(marked, None) or utf16_without_mark(data)
    if encoding:
        return data.decode(encoding, errors="replace")
    return _as_utf8(data) or _guessed(data)


def _as_utf8(data: bytes) -> str | None:
    """Return the text unless the bytes above ASCII are mostly not UTF-8: logs and cut files have a few broken ones."""
    text = data.decode(errors="replace")
    beyond_ascii = len(text) - len(text.encode("ascii", errors="ignore"))
    return text if beyond_ascii >= 10 * text.count("\ufffd") else None


def _guessed(data: bytes) -> str:
    matches = from_bytes(data, cp_isolation=_LEGACY)
    best = matches.best()
    if best is None:
        raise CorruptError("The file looks like binary data, not like text.")
    # The library breaks ties by the alphabet, which prefers Central European to the far more common Western European.
    ties = (match for match in matches if (match.chaos, match.coherence) == (best.chaos, best.coherence))
    return str(next((match for match in ties if match.encoding == "cp1252"), best))
