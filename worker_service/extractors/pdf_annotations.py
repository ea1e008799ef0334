"""Whether a PDF page's annotations show text: values typed into fields, notes, stamps. Knows no text of the page."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from ctypes import addressof, c_void_p, cast, create_string_buffer
from enum import IntEnum

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from worker_service.extractors import pdf_calls

_Annotation = int

_WITHOUT_TEXT = {pdfium_c.FPDF_ANNOT_LINK, pdfium_c.FPDF_ANNOT_POPUP}
_UPRIGHT = pdfium_c.FPDF_ANNOT_APPEARANCEMODE_NORMAL
# The operators that show text, or another object that may.
_SHOWS = re.compile(r"\bT[jJ]\b|\bDo\b|['\"]")
_NOT_CHECKED = {"", "Off"}
_OFF = "Off\0".encode("utf-16-le")

_buffer = create_string_buffer(32_768)
_address, _view = addressof(_buffer), memoryview(_buffer)


class Shown(IntEnum):
    """Where the text of a page's annotations is: nowhere, in their pictures, or in values that nobody has drawn yet."""

    NOTHING = 0
    DRAWN = 1
    UNDRAWN = 2


def shown_on(page: pdfium.PdfPage) -> Shown:
    """Look at every annotation: drawing those of an empty form into the page would take longer than reading it."""
    return max(map(_shown_by, _annotations(page)), default=Shown.NOTHING)


def choose_states(page: pdfium.PdfPage) -> None:
    """Give every annotation a state that has none: drawing it, PDFium would take the first one of its pictures.

    That may be the tick of an unchecked box, or an object that the file does not have, at which PDFium crashes. Whoever
    has one picture has it in every state.
    """
    for annotation in _annotations(page):
        if not _entry(annotation, b"AS"):
            pdf_calls.set_annotation_entry(annotation, b"AS", _OFF)


def _annotations(page: pdfium.PdfPage) -> Iterator[_Annotation]:
    address = cast(page.raw, c_void_p).value
    for index in range(pdf_calls.count_annotations(address)):
        if annotation := pdf_calls.annotation(address, index):
            yield annotation
            pdf_calls.close_annotation(annotation)


def _shown_by(annotation: _Annotation) -> Shown:
    kind = pdf_calls.kind_of_annotation(annotation)
    if kind in _WITHOUT_TEXT:
        return Shown.NOTHING
    if kind != pdfium_c.FPDF_ANNOT_WIDGET:
        return Shown.DRAWN if _draws_text(annotation) else Shown.NOTHING
    field = _entry(annotation, b"FT")
    if field == "Btn":
        # A push button, whose caption is no content, has no state.
        return Shown.NOTHING if _entry(annotation, b"AS") in _NOT_CHECKED else Shown.DRAWN
    is_filled = _entry(annotation, b"V") != ""
    # Without a type of its own it may have its value from its parent, which is not asked.
    if (is_filled or not field) and _draws_text(annotation):
        return Shown.DRAWN
    return Shown.UNDRAWN if is_filled else Shown.NOTHING


def _draws_text(annotation: _Annotation) -> bool:
    drawing = _string(pdf_calls.appearance, annotation, _UPRIGHT)
    return drawing is None or bool(_SHOWS.search(drawing))


def _entry(annotation: _Annotation, key: bytes) -> str | None:
    return _string(pdf_calls.annotation_entry, annotation, key)


def _string(get: Callable[..., int], annotation: _Annotation, wanted: bytes | int) -> str | None:
    """Return a string; None if it is long. It is unpacked for each call, so there is no asking for its length first."""
    length = get(annotation, wanted, _address, len(_buffer))
    if length > len(_buffer):
        return None
    # The last two bytes are its end.
    return str(_view[: max(0, length - 2)], "utf-16-le", "replace")
