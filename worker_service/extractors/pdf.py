"""The text of a PDF, page by page: PDFium first, pypdf for what PDFium cannot open. Knows nothing of processes."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from shared.errors import BombError, CorruptError, EncryptedError, NoTextError
from worker_service.extractors import Extraction, NoTextOnPagesError
from worker_service.extractors.metadata import label, pdf_date
from worker_service.extractors.pdf_damage import damaged_pages
from worker_service.extractors.pdf_page import Page, clean, read

_LOCKED = {
    pdfium_c.FPDF_ERR_PASSWORD: None,
    pdfium_c.FPDF_ERR_SECURITY: "The document is encrypted in a way that is not supported.",
}
_DYNAMIC_FORM = (
    "The PDF is a dynamic form (XFA), whose content only Adobe's programs show. "
    "Print it to a PDF there and upload that."
)
_MAX_PAGES = 50_000
_ABOUT = ("Title", "Author", "CreationDate")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Contents:
    pages: list[Page]
    about: Mapping[str, str | None] = field(default_factory=dict)


def extract(data: bytes) -> Extraction:
    """Return the text of every page, empty pages left out of `text`, joined by a blank line."""
    try:
        contents = _read_with_pdfium(data)
    except pdfium.PdfiumError as error:
        # The code alone proves nothing: PDFium sets none for a PDF without pages, and the last document's remains.
        if error.err_code in _LOCKED and b"/Encrypt" in data:
            raise EncryptedError(_LOCKED[error.err_code]) from error
        contents = _read_with_pypdf(data)
    if not contents.pages:
        raise CorruptError("The PDF has no pages.")
    found = _extraction_of(contents)
    if any(character.isalnum() for character in found.text):
        return found
    nothing = replace(found, text="", page_chars=(0,) * len(contents.pages))
    raise NoTextOnPagesError(_why_no_text(found), found=nothing)


def _extraction_of(contents: _Contents) -> Extraction:
    return Extraction(
        text="\n\n".join(page.text for page in contents.pages if page.text),
        page_chars=tuple(len(page.text) for page in contents.pages),
        title=label(contents.about.get("Title")),
        author=label(contents.about.get("Author")),
        created=pdf_date(contents.about.get("CreationDate")),
        hidden_chars=sum(page.hidden_chars for page in contents.pages),
        unread_pages=tuple(number for number, page in enumerate(contents.pages, 1) if page.unread or page.damaged),
        damaged_pages=tuple(number for number, page in enumerate(contents.pages, 1) if page.damaged),
    )


def _why_no_text(found: Extraction) -> str:
    if found.hidden_chars:
        return f"The PDF has pages ({found.pages}), but all of its text ({found.hidden_chars} characters) is hidden."
    if found.unread_pages == found.damaged_pages:
        return f"The PDF has pages ({found.pages}), but there is nothing to read on them: they are blank, or damaged."
    return (
        f"The PDF has pages ({found.pages}) but no text. Scanned pages need OCR: install Tesseract "
        "(apt-get install tesseract-ocr) where documents are processed."
    )


def _read_with_pdfium(data: bytes) -> _Contents:
    pdf = pdfium.PdfDocument(data)
    try:
        if len(pdf) > _MAX_PAGES:
            raise BombError(f"The PDF has {len(pdf)} pages; {_MAX_PAGES} is the limit.")
        if pdf.get_formtype() == pdfium_c.FORMTYPE_XFA_FULL:
            # Its pages say no more than that the reader is not Adobe's.
            raise NoTextError(_DYNAMIC_FORM)
        pages = [read(pdf, index) for index in range(len(pdf))]
        about = {key: _metadata(pdf, key) for key in _ABOUT}
    finally:
        pdf.close()
    if pages and all(page is None for page in pages):
        raise pdfium.PdfiumError("No page could be loaded.")
    damaged = damaged_pages(data)
    read_or_not = (page or Page(text="", unread=True) for page in pages)
    return _Contents(
        pages=[replace(page, damaged=number in damaged) for number, page in enumerate(read_or_not, 1)], about=about
    )


def _metadata(pdf: pdfium.PdfDocument, key: str) -> str:
    with suppress(UnicodeDecodeError):
        value: str = pdf.get_metadata_value(key)
        return value
    return ""


def _read_with_pypdf(data: bytes) -> _Contents:
    from worker_service.extractors import pdf_fallback  # noqa: PLC0415  # 90 ms that nearly no document needs

    texts, about = pdf_fallback.read(data, _ABOUT)
    # What is on a page without text it does not tell.
    cleaned = map(clean, texts)
    return _Contents(pages=[Page(text=text, unread=not text) for text in cleaned], about=about)
