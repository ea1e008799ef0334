from __future__ import annotations

import pytest

from shared.errors import UnsupportedTypeError
from shared.filetype import DOCX, PDF, TEXT, content_type_of, utf16_without_mark
from tests.support.documents import docx, pdf

OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512)
PROGRAM = b"MZ\x90\x00\x03\x00\x00\x00"
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"


@pytest.mark.parametrize(
    ("filename", "content", "expected"),
    [
        ("report.pdf", pdf(["Hello"]), PDF),
        ("REPORT.PDF", pdf(["Hello"]), PDF),
        ("letter.docx", docx(["Hello"]), DOCX),
        ("Letter.DocX", docx(["Hello"]), DOCX),
        ("notes.txt", b"Hello", TEXT),
        ("notes.Txt", b"Hello", TEXT),
        ("two.dots.pdf", pdf(["Hello"]), PDF),
        ("résumé.txt ", "schön".encode(), TEXT),
    ],
)
def test_name_and_content_that_agree_give_the_type(filename: str, content: bytes, expected: str) -> None:
    assert content_type_of(filename, content) == expected


def test_pdf_header_may_follow_up_to_a_kilobyte_of_junk() -> None:
    assert content_type_of("a.pdf", bytes(1019) + b"%PDF-1.7") == PDF


def test_pdf_header_after_the_first_kilobyte_is_too_late() -> None:
    with pytest.raises(UnsupportedTypeError):
        content_type_of("a.pdf", bytes(1020) + b"%PDF-1.7")


def test_office_container_named_docx_is_left_to_the_worker() -> None:
    assert content_type_of("secret.docx", OLE) == DOCX


@pytest.mark.parametrize("filename", ["a.exe", "a.doc", "pdf", "a.pdf.exe", "", "a."])
def test_other_extensions_are_refused(filename: str) -> None:
    with pytest.raises(UnsupportedTypeError, match=r"none of \.pdf, \.docx and \.txt"):
        content_type_of(filename, pdf(["Hello"]))


@pytest.mark.parametrize(
    ("filename", "content", "message"),
    [
        ("a.pdf", PROGRAM, "The name says PDF, but the content starts like a Windows program."),
        ("a.pdf", docx(["x"]), "The name says PDF, but the content starts like a zip archive."),
        ("a.pdf", b"<html>", "The name says PDF, but the content does not start like one."),
        ("a.docx", pdf(["x"]), "The name says DOCX, but the content starts like a PDF."),
        ("a.docx", b"plain", "The name says DOCX, but the content does not start like one."),
        ("a.txt", PNG, "The name says text, but the content starts like a PNG image."),
        ("a.txt", bytes(9), "The name says text, but the content has zero bytes, which text has not."),
        ("a.pdf", bytes(9), "The name says PDF, but the content does not start like one."),
    ],
)
def test_refusal_says_what_the_content_looks_like(filename: str, content: bytes, message: str) -> None:
    with pytest.raises(UnsupportedTypeError) as refusal:
        content_type_of(filename, content)
    assert str(refusal.value) == message


@pytest.mark.parametrize(
    "content",
    [
        pdf(["x"]),
        docx(["x"]),
        OLE,
        PROGRAM,
        PNG,
        b"\x7fELF\x02\x01\x01",
        b"\xcf\xfa\xed\xfe\x07",
        b"\xff\xd8\xff\xe0",
        b"GIF89a\x01",
        b"\x1f\x8b\x08",
        b"text with a \x00 zero byte",
    ],
)
def test_binary_content_named_txt_is_refused(content: bytes) -> None:
    with pytest.raises(UnsupportedTypeError):
        content_type_of("a.txt", content)


@pytest.mark.parametrize(
    "content",
    [
        "naïve text".encode(),
        "Größe".encode("cp1252"),
        b"MZ may open a sentence",
        "marked".encode("utf-16"),
        "marked".encode("utf-32"),
        "unmarked little-endian".encode("utf-16-le"),
        "unmarked big-endian".encode("utf-16-be"),
        b"",
    ],
)
def test_text_in_any_encoding_is_accepted(content: bytes) -> None:
    assert content_type_of("a.txt", content) == TEXT


def test_byte_order_is_seen_in_where_the_zero_bytes_lie() -> None:
    assert utf16_without_mark("Hello world".encode("utf-16-le")) == "utf-16-le"
    assert utf16_without_mark("Hello world".encode("utf-16-be")) == "utf-16-be"
    assert utf16_without_mark(b"Hello world") is None
    assert utf16_without_mark(bytes(100)) is None
