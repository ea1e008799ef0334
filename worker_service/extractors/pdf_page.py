"""The text of one PDF page as its reader sees it: with what is typed into fields, without what is hidden."""

from __future__ import annotations

import re
from contextlib import suppress
from ctypes import c_void_p, cast
from dataclasses import dataclass

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from worker_service.extractors import readable
from worker_service.extractors.pdf_annotations import Shown, choose_states, shown_on
from worker_service.extractors.pdf_hidden import Survey, show_only

# PDFium puts one of these in place of a hyphen at the end of a line and of the line end after it.
_LINE_HYPHEN = re.compile("[\x02\ufffe]")
# Letters that start a word and go on in lower case: neither an address nor a word that had a hyphen before.
_WORD_START = re.compile(r"(?<![\w/.@-])[^\W\d_]+\Z")
_GOES_ON = re.compile(r"[^\W\d_A-Z]")
_MAX_WORD_CHARS = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    text: str
    hidden_chars: int = 0
    unread: bool = False
    damaged: bool = False


def read(pdf: pdfium.PdfDocument, index: int) -> Page | None:
    """Return the page's text, or None if PDFium cannot load the page."""
    with suppress(pdfium.PdfiumError):
        page = _with_annotations(pdf, index)
        address = cast(page.raw, c_void_p).value or 0
        survey = Survey(address, pdfium_c.FPDFPage_CountObjects(page), page.get_bbox())
        hidden_chars = 0
        if hidden := survey.hidden():
            show_only(hidden, survey.visible())
            hidden_chars = len(_text_of(page))
            show_only(survey.visible(), hidden)
        text = _text_of(page)
        page.close()
        return Page(text=text, hidden_chars=hidden_chars, unread=survey.drawn and not text.strip())
    return None


def _with_annotations(pdf: pdfium.PdfDocument, index: int) -> pdfium.PdfPage:
    """Load a page, its annotations drawn into it if they show text."""
    page = pdf[index]
    shown = shown_on(page)
    if shown is Shown.NOTHING:
        return page
    if shown is Shown.UNDRAWN and not pdf.formenv and pdf.get_formtype() != pdfium_c.FORMTYPE_NONE:
        # Only a page that is loaded after this has its values drawn.
        pdf.init_forms()
        page.close()
        page = pdf[index]
    choose_states(page)
    pdfium_c.FPDFPage_Flatten(page, pdfium_c.FLAT_NORMALDISPLAY)
    page.close()
    return pdf[index]


def _text_of(page: pdfium.PdfPage) -> str:
    textpage = page.get_textpage()
    # Not get_text_bounded: it takes ten times as long, and loses some of the spaces between words.
    raw = textpage.get_text_range()
    textpage.close()
    return clean(raw)


def clean(raw: str) -> str:
    """Return the text of a page with its lines tidied, and with the words whole that broke at a line end."""
    if "\x02" in raw or "\ufffe" in raw:
        raw = _mended(raw)
    return readable(raw).strip()


def _mended(raw: str) -> str:
    first, *others = _LINE_HYPHEN.split(raw)
    pieces, before = [first], first
    for piece in others:
        is_split_word = _WORD_START.search(before[-_MAX_WORD_CHARS:]) and _GOES_ON.match(piece)
        pieces += ["" if is_split_word else "-", piece]
        before = piece
    return "".join(pieces)
