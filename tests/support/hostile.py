"""Every hostile file there is, and PDF pages that show what a test wants."""

from __future__ import annotations

from tests.support import hostile_docx_cases, hostile_pdf_bombs, hostile_pdf_lies
from tests.support.hostile_file import Hostile
from tests.support.hostile_pdf import file_of, stream

_RESOURCES = b"<< /Font << /F1 3 0 R >> /XObject << /X 6 0 R /I 7 0 R >> >>"
_FORM = b"/Type /XObject /Subtype /Form /BBox [-9000 -9000 9000 9000] /Resources %s" % _RESOURCES
_IMAGE = b"/Type /XObject /Subtype /Image /Width 1 /Height 1 /BitsPerComponent 8 /ColorSpace /DeviceGray"


def hostile_files(url: str) -> list[Hostile]:
    """Return every hostile file; those that call home call `url`."""
    return [*hostile_pdf_bombs.cases(), *hostile_pdf_lies.cases(url.encode()), *hostile_docx_cases.cases(url)]


def pdf_showing(content: bytes, *, form: bytes = b"", page: bytes = b"") -> bytes:
    """Return a PDF of one Letter page with this content. In it, F1 is Helvetica, X is `form` and I is an image.

    `page` is put into the page's dictionary, where it comes before the size.
    """
    return file_of(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [4 0 R] /Count 1 /MediaBox [0 0 612 792] >>",
            b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
            b"<< /Type /Page /Parent 2 0 R /Resources %s /Contents 5 0 R %s >>" % (_RESOURCES, page),
            stream(content),
            stream(form, _FORM),
            stream(b"\x80", _IMAGE),
        ]
    )
