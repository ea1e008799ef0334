"""Finds the pages of a PDF whose content ends in damage: PDFium takes what came before it for all, and tells nobody."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator

_PACKED = re.compile(rb"/Filter\s*(?:/FlateDecode|\[\s*/FlateDecode\s*\])")
_NUMBER = re.compile(rb"(\d{1,10})\s+\d{1,5}\s+\Z")
# Pictures, fonts, colours and the file's own tables: most of a file, and none of its text.
_NO_CONTENT = re.compile(rb"/(?:Image|Length1|Type1C|CIDFontType|OpenType|ObjStm|XRef|XML|Alternate|FunctionType)")
_HEAD_BYTES = 2_000
_PIECE_BYTES = 16_384
# What unpacks to more than this is not looked at any further.
_MOST_BYTES = 200_000_000


def damaged_pages(data: bytes) -> frozenset[int]:
    """Return the numbers, from 1, of pages that have a stream in their content, or a form, which does not unpack."""
    # What is encrypted unpacks for its readers only.
    if b"/Encrypt" in data:
        return frozenset()
    # Of two with one number, the later one took the other's place.
    broken = {number for number, is_broken in dict(_looked_at(data)).items() if is_broken}
    if not broken:
        return frozenset()
    from worker_service.extractors import pdf_fallback  # noqa: PLC0415  # 90 ms that nearly no document needs

    pages = enumerate(pdf_fallback.streams_of_pages(data), 1)
    return frozenset(number for number, streams in pages if not broken.isdisjoint(streams))


def _looked_at(data: bytes) -> Iterator[tuple[int, bool]]:
    """Yield the number of each object with a packed stream, and whether that is broken."""
    view, left = memoryview(data), _MOST_BYTES
    for start, end in _streams(data):
        named = data.rfind(b"obj", max(0, start - _HEAD_BYTES), start)
        head, number = data[named:start], _NUMBER.search(data[max(0, named - 20) : named])
        if number is None or _NO_CONTENT.search(head) or not _PACKED.search(head):
            continue
        # The content of a blank page may be nothing, said to be packed.
        is_broken, unpacked_bytes = _unpacked(view[start:end], left) if end - start > 2 else (False, 0)
        left -= unpacked_bytes
        if left <= 0:
            return
        yield int(number[1]), is_broken


def _streams(data: bytes) -> Iterator[tuple[int, int]]:
    # Not by an expression, which takes as long as reading a small PDF.
    end = 0
    while (keyword := data.find(b"stream", end)) >= 0:
        start = keyword + len(b"stream\r\n" if data.startswith(b"\r\n", keyword + 6) else b"stream\n")
        end = data.find(b"endstream", start)
        if end < 0:
            return
        yield start, end
        end += len(b"endstream")


def _unpacked(packed: memoryview, most_bytes: int) -> tuple[bool, int]:
    """Tell whether packed bytes are broken, and how many there are unpacked.

    A check sum that is wrong or missing is no damage: such files are written, and everybody reads them.
    """
    unpacker, unpacked_bytes = zlib.decompressobj(wbits=-zlib.MAX_WBITS), 0
    is_headed = len(packed) > 1 and packed[0] & 0x0F == zlib.DEFLATED and (packed[0] << 8 | packed[1]) % 31 == 0
    try:
        # A piece gives a thousand times its size at most.
        for start in range(2, len(packed) if is_headed else 0, _PIECE_BYTES):
            unpacked_bytes += len(unpacker.decompress(packed[start : start + _PIECE_BYTES]))
            if unpacker.eof or unpacked_bytes >= most_bytes:
                break
    except zlib.error:
        pass
    return not unpacker.eof, unpacked_bytes
