"""The text of a PDF, page by page: PDFium first, pypdf for what PDFium cannot open. Knows nothing of processes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from shared.errors import BombError, CorruptError, EncryptedError
from worker_service.extractors import Extraction, NoTextOnPagesError, readable
from worker_service.extractors.metadata import label, pdf_date
from worker_service.extractors.pdf_hidden import conceal

_LOCKED = {
    pdfium_c.FPDF_ERR_PASSWORD: None,
    pdfium_c.FPDF_ERR_SECURITY: "The document is encrypted in a way that is not supported.",
}
_MAX_PAGES = 50_000
_ABOUT = ("Title", "Author", "CreationDate")

# PDFium puts one of these in place of a hyphen at the end of a line and of the line end after it.
_LINE_HYPHENS = ("\x02", "\ufffe")
_LINE_HYPHEN = re.compile("[\x02\ufffe]")
# Letters that start a word and go on in lower case: neither an address nor a word that had a hyphen before.
_SPLIT_WORD = re.compile(r"(?<![\w/.@-])([^\W\d_]+)[\x02\ufffe](?=[^\W\d_A-Z])")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Page:
    text: str
    hidden_chars: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class _Contents:
    pages: list[_Page]
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
    raise NoTextOnPagesError(_why_no_text(pages=len(contents.pages), hidden_chars=found.hidden_chars), found=nothing)


def _extraction_of(contents: _Contents) -> Extraction:
    return Extraction(
        text="\n\n".join(page.text for page in contents.pages if page.text),
        page_chars=tuple(len(page.text) for page in contents.pages),
        title=label(contents.about.get("Title")),
        author=label(contents.about.get("Author")),
        created=pdf_date(contents.about.get("CreationDate")),
        hidden_chars=sum(page.hidden_chars for page in contents.pages),
    )


def _why_no_text(*, pages: int, hidden_chars: int) -> str:
    if hidden_chars:
        return f"The PDF has pages ({pages}), but all of its text ({hidden_chars} characters) is hidden."
    return (
        f"The PDF has pages ({pages}) but no text. Scanned pages need OCR: install Tesseract "
        "(apt-get install tesseract-ocr) where documents are processed."
    )


def _read_with_pdfium(data: bytes) -> _Contents:
    pdf = pdfium.PdfDocument(data)
    try:
        if len(pdf) > _MAX_PAGES:
            raise BombError(f"The PDF has {len(pdf)} pages; {_MAX_PAGES} is the limit.")
        if pdf.get_formtype() != pdfium_c.FORMTYPE_NONE:
            pdf.init_forms()
        pages = [_read_page(pdf, index) for index in range(len(pdf))]
        about = {key: _metadata(pdf, key) for key in _ABOUT}
    finally:
        pdf.close()
    if pages and all(page is None for page in pages):
        raise pdfium.PdfiumError("No page could be loaded.")
    return _Contents(pages=[page or _Page(text="") for page in pages], about=about)


def _metadata(pdf: pdfium.PdfDocument, key: str) -> str:
    with suppress(UnicodeDecodeError):
        value: str = pdf.get_metadata_value(key)
        return value
    return ""


def _read_page(pdf: pdfium.PdfDocument, index: int) -> _Page | None:
    """Return the page's text, or None if PDFium cannot load the page."""
    with suppress(pdfium.PdfiumError):
        page = pdf[index]
        if pdf.formenv and pdfium_c.FPDFPage_GetAnnotCount(page):
            page = _with_form_values(pdf, page, index)
        everything = _text_of(page)
        visible = _text_of(page) if conceal(page) else everything
        page.close()
        return _Page(text=visible, hidden_chars=max(0, len(everything) - len(visible)))
    return None


def _with_form_values(pdf: pdfium.PdfDocument, page: pdfium.PdfPage, index: int) -> pdfium.PdfPage:
    with suppress(pdfium.PdfiumError):
        page.flatten()
    page.close()
    return pdf[index]


def _text_of(page: pdfium.PdfPage) -> str:
    textpage = page.get_textpage()
    # Not get_text_bounded: it takes ten times as long, and loses some of the spaces between words.
    raw = textpage.get_text_range()
    textpage.close()
    return _clean(raw)


def _clean(raw: str) -> str:
    if any(hyphen in raw for hyphen in _LINE_HYPHENS):
        raw = _LINE_HYPHEN.sub("-", _SPLIT_WORD.sub(r"\1", raw))
    return readable(raw).strip()


def _read_with_pypdf(data: bytes) -> _Contents:
    from worker_service.extractors import pdf_fallback  # noqa: PLC0415  # 90 ms that nearly no document needs

    texts, about = pdf_fallback.read(data, _ABOUT)
    return _Contents(pages=[_Page(text=_clean(text)) for text in texts], about=about)
