"""PDFium's functions that are called for every object of every page, on plain addresses. Knows no document.

pypdfium2's own make an object for each handle and give up the interpreter's lock for each call, which takes twice as
long; a parser process has no other thread.
"""

from __future__ import annotations

from ctypes import PYFUNCTYPE, c_char_p, c_int, c_ulong, c_void_p, cast
from typing import Any

import pypdfium2.raw as pdfium_c


def _call(name: str, returns: type | None, *takes: type) -> Any:
    return PYFUNCTYPE(returns, *takes)(cast(getattr(pdfium_c, name), c_void_p).value or 0)


page_object = _call("FPDFPage_GetObject", c_void_p, c_void_p, c_int)
form_object = _call("FPDFFormObj_GetObject", c_void_p, c_void_p, c_ulong)
count_in_form = _call("FPDFFormObj_CountObjects", c_int, c_void_p)
kind_of = _call("FPDFPageObj_GetType", c_int, c_void_p)
render_mode = _call("FPDFTextObj_GetTextRenderMode", c_int, c_void_p)
font_size = _call("FPDFTextObj_GetFontSize", c_int, c_void_p, c_void_p)
matrix = _call("FPDFPageObj_GetMatrix", c_int, c_void_p, c_void_p)
rotated_bounds = _call("FPDFPageObj_GetRotatedBounds", c_int, c_void_p, c_void_p)
set_active = _call("FPDFPageObj_SetIsActive", c_int, c_void_p, c_int)
draw_mode = _call("FPDFPath_GetDrawMode", c_int, c_void_p, c_void_p, c_void_p)
fill_color = _call("FPDFPageObj_GetFillColor", c_int, c_void_p, c_void_p, c_void_p, c_void_p, c_void_p)

count_annotations = _call("FPDFPage_GetAnnotCount", c_int, c_void_p)
annotation = _call("FPDFPage_GetAnnot", c_void_p, c_void_p, c_int)
close_annotation = _call("FPDFPage_CloseAnnot", None, c_void_p)
kind_of_annotation = _call("FPDFAnnot_GetSubtype", c_int, c_void_p)
annotation_entry = _call("FPDFAnnot_GetStringValue", c_ulong, c_void_p, c_char_p, c_void_p, c_ulong)
set_annotation_entry = _call("FPDFAnnot_SetStringValue", c_int, c_void_p, c_char_p, c_char_p)
appearance = _call("FPDFAnnot_GetAP", c_ulong, c_void_p, c_int, c_void_p, c_ulong)
