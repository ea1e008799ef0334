"""PDF files that are small and become large, endless or deep when they are read."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tests.support import documents
from tests.support.hostile_file import BOMB, CORRUPT, NO_TEXT, TEXT, Hostile, hostile
from tests.support.hostile_pdf import (
    CATALOG,
    FONTS,
    HELLO,
    PAGE,
    deep_page_tree,
    file_of,
    form,
    many_fields,
    one_page,
    packed,
    stream,
    type3_that_draws_itself,
    with_form,
)

_PAGES = b"<< /Type /Pages /Kids [%s] /Count %d >>"
_IMAGE = b"/Type /XObject /Subtype /Image /Width 100000 /Height 100000 /BitsPerComponent 8 /ColorSpace /DeviceRGB"
_NESTED = b"/XObject << /X %d 0 R >>"

_case = partial(hostile, "a.pdf")


def cases() -> list[Hostile]:
    return [*_bombs(), *_millions(), *_depths(), *_loops()]


def _bombs() -> list[Hostile]:
    return [
        _case("flate-twice", _unpacking_to(b" ", 300_000_000), BOMB, NO_TEXT),
        _case("flate-once", _unpacking_to(b" ", 300_000_000, levels=1), BOMB, NO_TEXT),
        _case("flate-ten-times", _unpacking_to(b" ", 20_000_000, levels=10), NO_TEXT),
        _case("texts", _unpacking_to(b"(A) Tj ", 30_000_000), BOMB, spins=True),
        _case("states", _unpacking_to(b"q ", 100_000_000), BOMB, NO_TEXT, spins=True),
        _case("paths", _unpacking_to(b"0 0 m 1 1 l ", 20_000_000), BOMB, spins=True),
        _case("run-length", _showing(lambda: stream(b"\x81 " * 1_000_000, b"/Filter /RunLengthDecode")), NO_TEXT, BOMB),
        _case("form-tree", documents.form_tree_pdf, BOMB, spins=True),
        _case("busy-pages", documents.endless_pdf, BOMB, spins=True),
        _case("huge-image", lambda: with_form(stream(b"x", _IMAGE), content=HELLO + b"/X Do"), TEXT),
    ]


def _unpacking_to(unit: bytes, count: int, *, levels: int = 2) -> Callable[[], bytes]:
    return _showing(lambda: packed(unit, count, levels=levels))


def _showing(contents: Callable[[], bytes]) -> Callable[[], bytes]:
    return lambda: one_page(contents=contents())


def _millions() -> list[Hostile]:
    return [
        _case("million-pages", lambda: one_page(pages=_PAGES % (b"4 0 R " * 1_000_000, 1_000_000)), BOMB),
        _case("million-contents", _page_with(lambda: b"[%s]" % (b"5 0 R " * 1_000_000)), TEXT, BOMB, spins=True),
        _case("many-objects", lambda: one_page(more=[b"null"] * 300_000), TEXT, spins=True),
        _case("many-fields", lambda: many_fields(20_000), TEXT, spins=True),
        _case(
            "title",
            lambda: one_page(more=[b"<< /Title (%s) >>" % (b"long " * 1_000_000)], trailer=b"/Info 6 0 R"),
            TEXT,
        ),
        _case("name", lambda: one_page(b"/" + b"A" * 5_000_000 + b" gs " + HELLO), TEXT, NO_TEXT),
        _case("number", lambda: one_page(b"9" * 5_000_000 + b" w " + HELLO), TEXT, NO_TEXT),
    ]


def _page_with(contents: Callable[[], bytes]) -> Callable[[], bytes]:
    return lambda: one_page(page=(PAGE % FONTS).replace(b"5 0 R", contents()))


def _depths() -> list[Hostile]:
    return [
        _case("arrays", lambda: one_page(catalog=CATALOG[:-2] + b"/X " + b"[" * 1_000_000), CORRUPT, TEXT, spins=True),
        _case("dictionaries", lambda: one_page(catalog=CATALOG[:-2] + b"/A << " * 500_000), CORRUPT, TEXT, spins=True),
        _case("operands", lambda: one_page(b"[" * 1_000_000 + HELLO), TEXT, NO_TEXT),
        _case("parentheses", lambda: one_page(b"BT /F1 12 Tf " + b"(" * 1_000_000 + b" Tj ET"), NO_TEXT, TEXT),
        _case("marks", lambda: one_page(b"/P BMC " * 300_000 + HELLO), TEXT, BOMB),
        _case("saved-states", lambda: one_page(b"q " * 1_000_000 + HELLO), TEXT),
        _case("page-tree", lambda: deep_page_tree(50_000), CORRUPT, BOMB),
    ]


def _loops() -> list[Hostile]:
    in_itself = form(b"/X Do /X Do", _NESTED % 6)
    in_each_other = form(b"/X Do", _NESTED % 7), form(b"/X Do", _NESTED % 6)
    trees = [CATALOG, _PAGES % (b"3 0 R", 9), _PAGES % (b"2 0 R", 9)]
    return [
        _case("page-tree-in-itself", documents.pdf_with_page_tree_loop, CORRUPT),
        _case("page-trees-in-each-other", lambda: file_of(trees), CORRUPT),
        _case("form-in-itself", lambda: with_form(in_itself), BOMB, NO_TEXT, spins=True),
        _case("forms-in-each-other", lambda: with_form(*in_each_other), NO_TEXT, BOMB, spins=True),
        _case("glyph-draws-itself", type3_that_draws_itself, TEXT),
    ]
