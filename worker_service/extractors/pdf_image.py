"""The picture of a PDF page, for an OCR engine. Knows nothing of engines or processes."""

from __future__ import annotations

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from shared.errors import CorruptError

DOTS_PER_INCH = 300
_POINTS_PER_INCH = 72
# A little more than A4 or Letter at 300 dots per inch; larger pages are drawn more coarsely.
_MAX_PIXELS = 9_000_000


def picture_of(data: bytes, index: int) -> bytes:
    """Return the page in grey as a PGM file, or nothing for a page on which nothing is drawn."""
    try:
        with pdfium.PdfDocument(data) as pdf:
            page = pdf[index]
            return _drawn(page) if pdfium_c.FPDFPage_CountObjects(page) > 0 else b""
    except pdfium.PdfiumError as error:
        raise CorruptError from error


def _drawn(page: pdfium.PdfPage) -> bytes:
    width, height = page.get_size()
    scale = min(DOTS_PER_INCH / _POINTS_PER_INCH, (_MAX_PIXELS / max(1.0, width * height)) ** 0.5)
    bitmap = page.render(scale=scale, grayscale=True)
    rows = memoryview(bitmap.buffer).cast("B")
    starts = range(0, bitmap.stride * bitmap.height, bitmap.stride)
    pixels = b"".join(rows[start : start + bitmap.width] for start in starts)
    return b"P5 %d %d 255\n%s" % (bitmap.width, bitmap.height, pixels)
