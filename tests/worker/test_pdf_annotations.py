"""What a reader sees of a page's annotations is text: filled fields, notes, stamps; an empty form adds nothing."""

from __future__ import annotations

from ctypes import memset

import pytest

from tests.support.hostile_pdf import CATALOG, FONTS, PAGE, form, one_page
from worker_service.extractors import pdf, pdf_annotations

SAYS = form(b"BT /F1 12 Tf 72 500 Td (Alice) Tj ET")
BOB = form(b"BT /F1 12 Tf 72 400 Td (Bob) Tj ET")
EMPTY = form(b"/Tx BMC EMC")
_FORM = b"/Fields [6 0 R] /NeedAppearances true /DA (/F1 12 Tf 0 g) /DR << /Font << /F1 3 0 R >> >>"
FIELDS = CATALOG[:-2] + b"/AcroForm << %s >> >>" % _FORM
FIELD = b"/Subtype /Widget /T (f) /DA (/F1 12 Tf 0 g) "


def text_with(
    annotation: bytes, drawing: bytes = SAYS, *, catalog: bytes = CATALOG, beside: bytes = b"/Subtype /Link"
) -> str:
    """Return the text of a page that says Hello and has these annotations; object 7 is `drawing`, object 9 says Bob."""
    first, second = (b"<< /Type /Annot /Rect [0 0 612 792] /F 4 %s >>" % one for one in (annotation, beside))
    page = (PAGE % FONTS)[:-2] + b"/Annots [6 0 R 8 0 R] >>"
    return pdf.extract(one_page(page=page, catalog=catalog, more=[first, drawing, second, BOB])).text


@pytest.mark.parametrize("kind", [b"/FreeText", b"/Stamp"])
def test_text_written_on_a_page_is_text(kind: bytes) -> None:
    assert text_with(b"/Subtype %s /AP << /N 7 0 R >>" % kind) == "Hello\nAlice"


def test_value_that_is_drawn_is_text() -> None:
    assert text_with(FIELD + b"/FT /Tx /V (Alice) /AP << /N 7 0 R >>", catalog=FIELDS) == "Hello\nAlice"


@pytest.mark.parametrize("drawing", [b"", b"/AP << /N 7 0 R >>"])
def test_value_that_nobody_has_drawn_is_text(drawing: bytes) -> None:
    assert "Alice" in text_with(FIELD + b"/FT /Tx /V (Alice) " + drawing, EMPTY, catalog=FIELDS)


@pytest.mark.parametrize(
    "annotation",
    [
        pytest.param(FIELD + b"/FT /Tx /AP << /N 7 0 R >>", id="empty-field"),
        pytest.param(FIELD + b"/FT /Btn /V /Off /AS /Off /AP << /N << /Off 7 0 R >> >>", id="unchecked-box"),
        pytest.param(b"/Subtype /Link /AP << /N 7 0 R >>", id="link"),
        pytest.param(b"/Subtype /Text /Contents (Alice)", id="comment"),
    ],
)
def test_nothing_else_is(annotation: bytes) -> None:
    assert text_with(annotation, EMPTY, catalog=FIELDS) == "Hello"


def test_caption_of_a_push_button_is_no_text() -> None:
    assert text_with(FIELD + b"/FT /Btn /Ff 65536 /AP << /N 7 0 R >>", catalog=FIELDS) == "Hello"


def test_checked_box_shows_its_mark() -> None:
    box = FIELD + b"/FT /Btn /V /Yes /AS /Yes /AP << /N << /Yes 7 0 R >> >>"
    assert text_with(box, catalog=FIELDS) == "Hello\nAlice"


def test_drawing_too_long_to_look_at_counts_as_text() -> None:
    # What an earlier test's annotation left there shows text.
    memset(pdf_annotations._address, 0, len(pdf_annotations._buffer))
    long = form(b"BT /F1 12 Tf 72 500 Td " + b"0 g " * 20_000 + b"(Alice) Tj ET")
    assert text_with(b"/Subtype /Stamp /AP << /N 7 0 R >>", long) == "Hello\nAlice"


@pytest.mark.parametrize("picture", [b"9 0 R", b"99 0 R"], ids=["there", "missing"])
def test_no_state_is_chosen_for_a_box_that_has_none(picture: bytes) -> None:
    box = FIELD + b"/FT /Btn /AP << /N << /Yes %s >> >>" % picture
    assert text_with(b"/Subtype /Stamp /AP << /N 7 0 R >>", catalog=FIELDS, beside=box) == "Hello\nAlice"
