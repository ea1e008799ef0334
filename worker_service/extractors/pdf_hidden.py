"""Finds the text of a PDF page that no reader sees: invisible, off the page or far too small. Knows no words.

What PDFium cannot tell stays: text in the colour of its ground, under an image, clipped away, in a layer that is off.
"""

from __future__ import annotations

from collections.abc import Callable
from ctypes import c_float
from math import dist, hypot
from typing import Any

import pypdfium2 as pdfium

# By name, because these are called for every object of every page.
from pypdfium2.raw import (
    FPDF_PAGEOBJ_FORM,
    FPDF_PAGEOBJ_IMAGE,
    FPDF_TEXTRENDERMODE_INVISIBLE,
    FPDF_TEXTRENDERMODE_UNKNOWN,
    FS_MATRIX,
    FS_QUADPOINTSF,
    FPDFFormObj_CountObjects,
    FPDFFormObj_GetObject,
    FPDFPage_CountObjects,
    FPDFPage_GetObject,
    FPDFPageObj_GetMatrix,
    FPDFPageObj_GetRotatedBounds,
    FPDFPageObj_GetType,
    FPDFPageObj_SetIsActive,
    FPDFTextObj_GetFontSize,
    FPDFTextObj_GetTextRenderMode,
)

_Handle = Any
_Point = tuple[float, float]

_TINY_POINTS = 2.0
# On smaller pages the limit shrinks with the page: some producers measure in inches.
_USUAL_PAGE_POINTS = 792.0
_SCAN_COVERS = 0.5


def conceal(page: pdfium.PdfPage) -> bool:
    """Take hidden text out of what text pages loaded from now on will hold; return whether there was any.

    Invisible text on a page that is mostly images is the text layer of a scan, and stays: it is what the reader sees.
    """
    survey = _Survey(page)
    hidden = survey.elsewhere if survey.is_scan() else survey.elsewhere + survey.invisible
    for handle in hidden:
        FPDFPageObj_SetIsActive(handle, False)
    return bool(hidden)


class _Survey:
    """The text objects of one page, those in its forms included, by how they are seen."""

    def __init__(self, page: pdfium.PdfPage) -> None:
        self.visible = 0
        self.invisible: list[_Handle] = []
        self.elsewhere: list[_Handle] = []
        self._left, self._bottom, self._right, self._top = map(float, page.get_bbox())
        width, height = self._right - self._left, self._top - self._bottom
        self._page_area = width * height
        self._tiny = _TINY_POINTS * min(1.0, max(width, height) / _USUAL_PAGE_POINTS)
        self._images: list[tuple[_Handle, pdfium.PdfMatrix | None]] = []
        # Reused for every object: making them would take longer than what is asked.
        self._size, self._matrix = c_float(), FS_MATRIX()
        self._walk(page.raw, FPDFPage_CountObjects, FPDFPage_GetObject, None)

    def is_scan(self) -> bool:
        """Whether images fill at least half of the page, and at least half of its texts are invisible."""
        if not self.invisible or len(self.invisible) < self.visible:
            return False
        covered = sum(self._area_on_page(_corners(handle, container)) for handle, container in self._images)
        return covered >= _SCAN_COVERS * self._page_area

    def _walk(
        self,
        holder: _Handle,
        count: Callable[[_Handle], int],
        get: Callable[[_Handle, int], _Handle],
        container: pdfium.PdfMatrix | None,
    ) -> None:
        for index in range(count(holder)):
            handle = get(holder, index)
            mode = FPDFTextObj_GetTextRenderMode(handle)
            if mode == FPDF_TEXTRENDERMODE_UNKNOWN:
                self._look_inside(handle, container)
            elif mode == FPDF_TEXTRENDERMODE_INVISIBLE:
                self.invisible.append(handle)
            elif self._is_elsewhere(handle, container):
                self.elsewhere.append(handle)
            else:
                self.visible += 1

    def _look_inside(self, handle: _Handle, container: pdfium.PdfMatrix | None) -> None:
        kind = FPDFPageObj_GetType(handle)
        if kind == FPDF_PAGEOBJ_IMAGE:
            self._images.append((handle, container))
        # The flattened fields of a form that nobody has filled in are forms by the hundred, all empty.
        elif kind == FPDF_PAGEOBJ_FORM and FPDFFormObj_CountObjects(handle) > 0:
            FPDFPageObj_GetMatrix(handle, self._matrix)
            own = pdfium.PdfMatrix.from_raw(self._matrix)
            inner = own.multiply(container) if container else own
            self._walk(handle, FPDFFormObj_CountObjects, FPDFFormObj_GetObject, inner)

    def _is_elsewhere(self, handle: _Handle, container: pdfium.PdfMatrix | None) -> bool:
        """Whether a text is off the page or tiny. Its origin and font size settle it for nearly every one."""
        matrix = self._matrix
        FPDFTextObj_GetFontSize(handle, self._size)
        FPDFPageObj_GetMatrix(handle, matrix)
        if container:
            matrix = pdfium.PdfMatrix.from_raw(matrix).multiply(container)
        scale = min(hypot(matrix.a, matrix.b), hypot(matrix.c, matrix.d))
        if scale * abs(self._size.value) < self._tiny and _thickness(_corners(handle, container)) < self._tiny:
            return True
        on_page = self._left <= matrix.e <= self._right and self._bottom <= matrix.f <= self._top
        return not on_page and not self._area_on_page(_corners(handle, container))

    def _area_on_page(self, corners: list[_Point]) -> float:
        """The part of the corners' upright box that lies on the page, in square points."""
        across, up = zip(*corners, strict=True)
        width: float = min(max(across), self._right) - max(min(across), self._left)
        height: float = min(max(up), self._top) - max(min(up), self._bottom)
        return max(width, 0.0) * max(height, 0.0)


def _corners(handle: _Handle, container: pdfium.PdfMatrix | None) -> list[_Point]:
    """Where on the page the corners of a text or an image are, in the order of its outline."""
    quad = FS_QUADPOINTSF()
    FPDFPageObj_GetRotatedBounds(handle, quad)
    corners = [(quad.x1, quad.y1), (quad.x2, quad.y2), (quad.x3, quad.y3), (quad.x4, quad.y4)]
    return [container.on_point(*corner) for corner in corners] if container else corners


def _thickness(corners: list[_Point]) -> float:
    return min(dist(corners[0], corners[1]), dist(corners[1], corners[2]))
