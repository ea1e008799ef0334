"""Finds the text of a PDF page that no reader sees: invisible, off the page or far too small. Knows no words.

What PDFium cannot tell stays: text in the colour of its ground, under an image, clipped away, in a layer that is off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from ctypes import addressof, c_float, c_int, c_uint, sizeof
from itertools import repeat
from math import dist, hypot
from struct import Struct

from pypdfium2.raw import (
    FPDF_PAGEOBJ_FORM,
    FPDF_PAGEOBJ_IMAGE,
    FPDF_PAGEOBJ_PATH,
    FPDF_TEXTRENDERMODE_INVISIBLE,
    FPDF_TEXTRENDERMODE_UNKNOWN,
)

from worker_service.extractors import pdf_calls

_Handle = int
_Point = tuple[float, float]
_Matrix = tuple[float, float, float, float, float, float]
_Box = tuple[float, float, float, float]

_TINY_POINTS = 2.0
# On smaller pages the limit shrinks with the page: some producers measure in inches.
_USUAL_PAGE_POINTS = 792.0
_SCAN_COVERS = 0.5
_AT_ONCE = 4_096

# Reused for every object: making them would take longer than what is asked.
_quad, _six, _one = (c_float * 8)(), (c_float * 6)(), (c_float * 1)()
_QUAD, _SIX, _ONE = addressof(_quad), addressof(_six), addressof(_one)
_mode, _color = (c_int * 2)(), (c_uint * 4)()
_MODE, _COLORS = addressof(_mode), [addressof(_color) + sizeof(c_uint) * index for index in range(4)]
# Iterating over them makes an object for each float and takes four times as long.
_FLOATS = Struct("6f")


class Survey:
    """The text objects of one page, those in its forms included, by how they are seen.

    `drawn` is whether there is anything else to be seen: a picture, a line, a letter that is drawn as a shape.
    """

    def __init__(self, page: _Handle, count: int, box: _Box) -> None:
        self._visible: list[_Handle] = []
        self._invisible: list[_Handle] = []
        self._elsewhere: list[_Handle] = []
        self._left, self._bottom, self._right, self._top = box
        width, height = self._right - self._left, self._top - self._bottom
        self._page_area = width * height
        self._tiny = _TINY_POINTS * min(1.0, max(width, height) / _USUAL_PAGE_POINTS)
        self.drawn = False
        self._images: list[tuple[_Handle, _Matrix | None]] = []
        self._walk(page, count, pdf_calls.page_object, None)

    def hidden(self) -> list[_Handle]:
        """Return the texts that no reader sees.

        Invisible text on a page that is mostly images is the text layer of a scan, and stays: it is what the reader
        sees.
        """
        return self._elsewhere if self._is_scan() else self._elsewhere + self._invisible

    def visible(self) -> list[_Handle]:
        """Return the other texts."""
        return self._visible + self._invisible if self._is_scan() else self._visible

    def _is_scan(self) -> bool:
        """Whether images fill at least half of the page, and at least half of its texts are invisible."""
        if not self._invisible or len(self._invisible) < len(self._visible):
            return False
        covered = sum(self._area_on_page(_corners(handle, container)) for handle, container in self._images)
        return covered >= _SCAN_COVERS * self._page_area

    def _walk(
        self, holder: _Handle, count: int, get: Callable[[_Handle, int], _Handle], container: _Matrix | None
    ) -> None:
        for start in range(0, count, _AT_ONCE):
            handles = list(map(get, repeat(holder), range(start, min(start + _AT_ONCE, count))))
            for handle, mode in zip(handles, map(pdf_calls.render_mode, handles), strict=True):
                if mode == FPDF_TEXTRENDERMODE_UNKNOWN:
                    self._look_inside(handle, container)
                elif mode == FPDF_TEXTRENDERMODE_INVISIBLE:
                    self._invisible.append(handle)
                elif self._is_elsewhere(handle, container):
                    self._elsewhere.append(handle)
                else:
                    self._visible.append(handle)

    def _look_inside(self, handle: _Handle, container: _Matrix | None) -> None:
        kind = pdf_calls.kind_of(handle)
        if kind == FPDF_PAGEOBJ_IMAGE:
            self._images.append((handle, container))
        if kind == FPDF_PAGEOBJ_FORM:
            if (count := pdf_calls.count_in_form(handle)) > 0:
                self._walk(handle, count, pdf_calls.form_object, _matrix_of(handle, container))
        elif not self.drawn:
            self.drawn = kind != FPDF_PAGEOBJ_PATH or not _is_paper(handle)

    def _is_elsewhere(self, handle: _Handle, container: _Matrix | None) -> bool:
        """Whether a text is off the page or tiny. Its origin and font size settle it for nearly every one."""
        a, b, c, d, x, y = _matrix_of(handle, container)
        pdf_calls.font_size(handle, _ONE)
        # Nearly all text stands upright, where a root is not needed.
        scale = abs(a) if b == c == 0 and abs(a) <= abs(d) else min(hypot(a, b), hypot(c, d))
        if scale * abs(_one[0]) < self._tiny and _thickness(_corners(handle, container)) < self._tiny:
            return True
        on_page = self._left <= x <= self._right and self._bottom <= y <= self._top
        return not on_page and not self._area_on_page(_corners(handle, container))

    def _area_on_page(self, corners: list[_Point]) -> float:
        """The part of the corners' upright box that lies on the page, in square points."""
        across, up = zip(*corners, strict=True)
        width: float = min(max(across), self._right) - max(min(across), self._left)
        height: float = min(max(up), self._top) - max(min(up), self._bottom)
        return max(width, 0.0) * max(height, 0.0)


def show_only(shown: Iterable[_Handle], others: Iterable[_Handle]) -> None:
    """Have the text pages that are loaded from now on hold the texts in `shown`, but not the others."""
    for handle in shown:
        pdf_calls.set_active(handle, 1)
    for handle in others:
        pdf_calls.set_active(handle, 0)


def _matrix_of(handle: _Handle, container: _Matrix | None) -> _Matrix:
    pdf_calls.matrix(handle, _SIX)
    a, b, c, d, e, f = own = _FLOATS.unpack_from(_six)
    if container is None:
        return own
    p, q, r, s, t, u = container
    return a * p + b * r, a * q + b * s, c * p + d * r, c * q + d * s, e * p + f * r + t, e * q + f * s + u


def _corners(handle: _Handle, container: _Matrix | None) -> list[_Point]:
    """Where on the page the corners of a text or an image are, in the order of its outline."""
    pdf_calls.rotated_bounds(handle, _QUAD)
    corners = list(zip(_quad[::2], _quad[1::2], strict=True))
    if container is None:
        return corners
    a, b, c, d, e, f = container
    return [(a * x + c * y + e, b * x + d * y + f) for x, y in corners]


def _is_paper(path: _Handle) -> bool:
    """Whether a path is no more than a white area: some producers begin each page with one."""
    is_told = pdf_calls.draw_mode(path, _MODE, _MODE + sizeof(c_int)) and pdf_calls.fill_color(path, *_COLORS)
    return bool(is_told) and not _mode[1] and _color[:3] == [255, 255, 255]


def _thickness(corners: list[_Point]) -> float:
    return min(dist(corners[0], corners[1]), dist(corners[1], corners[2]))
