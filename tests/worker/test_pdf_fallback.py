"""A PDF that PDFium cannot open is read by pypdf, page by page."""

from __future__ import annotations

import pytest

from shared.errors import BombError, CorruptError, EncryptedError
from tests.support.hostile_pdf import HELLO, one_page, packed, pages_of, stream
from worker_service.extractors import pdf

UNKNOWN = stream(HELLO, b"/Filter /Flat")


def rootless(data: bytes) -> bytes:
    return data.replace(b"/Root 1 0 R", b"")


def test_damaged_page_takes_nothing_from_the_others() -> None:
    extraction = pdf.extract(rootless(pages_of(stream(HELLO), UNKNOWN, stream(HELLO))))
    assert (extraction.text, extraction.page_chars) == ("Hello\n\nHello", (5, 0, 5))


def test_what_pypdf_did_not_expect_is_damage() -> None:
    # A reference, where it asserts that a content stream has none.
    extraction = pdf.extract(rootless(pages_of(stream(b"6 0 R0 0 1 Tm " + HELLO), stream(HELLO))))
    assert extraction.text.endswith("Hello")


def test_page_that_needs_a_missing_library_takes_nothing_from_the_others() -> None:
    extraction = pdf.extract(rootless(pages_of(stream(HELLO, b"/Filter /BrotliDecode"), stream(HELLO))))
    assert extraction.page_chars == (0, 5)


def test_page_with_an_abbreviated_filter_takes_nothing_from_the_others() -> None:
    extraction = pdf.extract(rootless(pages_of(stream(HELLO, b"/Filter /Fl"), stream(HELLO))))
    assert extraction.page_chars == (0, 5)


def test_document_of_damaged_pages_is_corrupt() -> None:
    with pytest.raises(CorruptError):
        pdf.extract(rootless(pages_of(UNKNOWN)))


def test_bomb_is_named() -> None:
    with pytest.raises(BombError):
        pdf.extract(rootless(one_page(contents=packed(b" ", 300_000_000))))


def test_encryption_that_pypdf_does_not_know_is_no_crash() -> None:
    data = one_page(trailer=b"/Encr#79pt 6 0 R", more=[b"<< /Filter /Other /V 0 >>"])
    with pytest.raises(CorruptError):
        pdf.extract(rootless(data))


def test_encryption_that_pdfium_does_not_know_is_told_from_a_password() -> None:
    data = one_page(trailer=b"/Encrypt 6 0 R", more=[b"<< /Filter /Other /V 0 >>"])
    with pytest.raises(EncryptedError, match="not supported"):
        pdf.extract(data)
