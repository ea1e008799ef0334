"""The text of a PDF, page by page: PDFium first, pypdf for what PDFium cannot open. Knows nothing of processes."""

from __future__ import annotations

import io
import re
from contextlib import suppress

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from shared.errors import BombError, CorruptError, EncryptedError, NoTextError
from worker_service.extractors import Extraction, readable

_LOCKED = {pdfium_c.FPDF_ERR_PASSWORD, pdfium_c.FPDF_ERR_SECURITY}

# PDFium puts one of these in place of a hyphen at the end of a line and of the line end after it.
_LINE_HYPHEN = re.compile("[\x02\ufffe]")
# Letters that start a word and go on in lower case: neither an address nor a word that had a hyphen before.
_SPLIT_WORD = re.compile(r"(?<![\w/.@-])([^\W\d_]+)[\x02\ufffe](?=[^\W\d_A-Z])")


def extract(data: bytes) -> Extraction:
    """Return the text of every page, empty pages left out of `text`, joined by a blank line."""
    try:
        raw_pages = _read_with_pdfium(data)
    except pdfium.PdfiumError as error:
        # The code alone proves nothing: PDFium sets none for a PDF without pages, and the last document's remains.
        if error.err_code in _LOCKED and b"/Encrypt" in data:
            raise EncryptedError from error
        raw_pages = _read_with_pypdf(data)
    if not raw_pages:
        raise CorruptError("The PDF has no pages.")
    pages = [readable(_join_words(raw)).strip() for raw in raw_pages]
    text = "\n\n".join(page for page in pages if page)
    if not any(character.isalnum() for character in text):
        raise NoTextError(
            f"The PDF has pages ({len(pages)}) but no text. Scanned pages need OCR, which is not built yet."
        )
    return Extraction(text=text, page_chars=tuple(map(len, pages)))


def _read_with_pdfium(data: bytes) -> list[str]:
    pdf = pdfium.PdfDocument(data)
    try:
        if pdf.get_formtype() != pdfium_c.FORMTYPE_NONE:
            pdf.init_forms()
        pages = [_read_page(pdf, index) for index in range(len(pdf))]
    finally:
        pdf.close()
    if pages and all(page is None for page in pages):
        raise pdfium.PdfiumError("No page could be loaded.")
    return [page or "" for page in pages]


def _read_page(pdf: pdfium.PdfDocument, index: int) -> str | None:
    """Return the page's text, or None if PDFium cannot load the page."""
    with suppress(pdfium.PdfiumError):
        page = pdf[index]
        if pdf.formenv:
            page = _with_form_values(pdf, page, index)
        textpage = page.get_textpage()
        # Not get_text_bounded: it takes ten times as long, and loses some of the spaces between words.
        text: str = textpage.get_text_range()
        textpage.close()
        page.close()
        return text
    return None


def _with_form_values(pdf: pdfium.PdfDocument, page: pdfium.PdfPage, index: int) -> pdfium.PdfPage:
    with suppress(pdfium.PdfiumError):
        page.flatten()
    page.close()
    return pdf[index]


def _read_with_pypdf(data: bytes) -> list[str]:
    from pypdf import PdfReader, errors  # noqa: PLC0415  # 90 ms that nearly no document needs

    try:
        return [page.extract_text() for page in PdfReader(io.BytesIO(data)).pages]
    except (errors.FileNotDecryptedError, errors.WrongPasswordError) as error:
        raise EncryptedError from error
    except errors.LimitReachedError as error:
        raise BombError from error
    # Damaged objects come up as whatever type pypdf expected in their place.
    except (
        errors.PyPdfError,
        ArithmeticError,
        AttributeError,
        LookupError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        raise CorruptError from error


def _join_words(raw: str) -> str:
    return _LINE_HYPHEN.sub("-", _SPLIT_WORD.sub(r"\1", raw))
