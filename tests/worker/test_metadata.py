"""Titles, authors and dates are what files state, cleaned, or left out."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from shared.filetype import PDF
from tests.support import documents
from tests.support.hostile_docx import parts_of
from tests.support.hostile_pdf import one_page
from worker_service.extractors import Extraction, docx, pdf
from worker_service.extractors.metadata import iso_date, label, pdf_date
from worker_service.sandbox import Sandbox

PROPERTIES = (
    '<cp:coreProperties xmlns:cp="http://schemas.openxmlformats.org/package/2006/metadata/core-properties" '
    'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:dcterms="http://purl.org/dc/terms/">{}</cp:coreProperties>'
)
STATED = PROPERTIES.format(
    "<dc:title>A plan</dc:title><dc:creator>Ada Lovelace</dc:creator>"
    "<dcterms:created>2026-01-31T11:00:00Z</dcterms:created>"
)


def pdf_stating(**stated: str | bytes) -> bytes:
    """Return a PDF with this information; strings are put down as UTF-16, bytes as they are."""
    entries = [b"/%s <%s>" % (name.encode(), pdf_string(value).hex().encode()) for name, value in stated.items()]
    return one_page(more=[b"<< %s >>" % b" ".join(entries)], trailer=b"/Info 6 0 R")


def pdf_string(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else b"\xfe\xff" + value.encode("utf-16-be", "surrogatepass")


def docx_stating(properties: str) -> bytes:
    kind = "http://schemas.openxmlformats.org/package/2006/relationships/metadata/core-properties"
    parts = parts_of(documents.docx(["Hello"]))
    link = f'<Relationship Id="p" Type="{kind}" Target="docProps/core.xml"/></Relationships>'.encode()
    parts["_rels/.rels"] = parts["_rels/.rels"].replace(b"</Relationships>", link)
    return documents.zip_of({**parts, "docProps/core.xml": properties.encode()})


def facts(extraction: Extraction) -> tuple[str | None, str | None, datetime | None]:
    return extraction.title, extraction.author, extraction.created


def test_pdf_states_title_author_and_date() -> None:
    data = pdf_stating(Title="A plan", Author="Ada Lovelace", CreationDate=b"D:20260131120000+01'00'")
    assert facts(pdf.extract(data)) == ("A plan", "Ada Lovelace", datetime(2026, 1, 31, 11, tzinfo=UTC))


def test_pdf_that_only_pypdf_can_open_states_them_too() -> None:
    data = pdf_stating(Title="A plan", CreationDate=b"D:2026").replace(b"/Root 1 0 R", b"")
    assert facts(pdf.extract(data)) == ("A plan", None, datetime(2026, 1, 1, tzinfo=UTC))


def test_docx_states_title_author_and_date() -> None:
    stated = facts(docx.extract(docx_stating(STATED)))
    assert stated == ("A plan", "Ada Lovelace", datetime(2026, 1, 31, 11, tzinfo=UTC))


async def test_all_of_it_comes_back_from_the_child() -> None:
    sandbox = Sandbox(timeout_seconds=60, memory_bytes=256 * 2**20)
    data = pdf_stating(Title="A plan", Author="Ada Lovelace", CreationDate=b"D:20260131120000+01'00'")
    assert await sandbox.extract(data, PDF) == pdf.extract(data)
    await sandbox.close()


@pytest.mark.parametrize("data", [documents.pdf(["Hello"]), pdf_stating(Title="", Author=" ", CreationDate=b"soon")])
def test_pdf_may_state_nothing(data: bytes) -> None:
    assert facts(pdf.extract(data)) == (None, None, None)


def test_title_of_half_characters_is_left_out() -> None:
    assert facts(pdf.extract(pdf_stating(Title="\ud800"))) == (None, None, None)


@pytest.mark.parametrize(
    "properties",
    [
        PROPERTIES.format(""),
        PROPERTIES.format("<dc:title/><dcterms:created>yesterday</dcterms:created>"),
        "",
        "<open>",
        f"<a>{'x' * 1_000_000}</a>",
        '<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/hostname">]>' + PROPERTIES.format("<dc:title>&e;</dc:title>"),
    ],
)
def test_damaged_properties_do_not_spoil_a_document(properties: str) -> None:
    extraction = docx.extract(docx_stating(properties))
    assert extraction.text == "Hello"
    assert facts(extraction) == (None, None, None)


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        (None, None),
        (" \x00\ufeff\n", None),
        ("A\r\n plan \x1b[31m", "A plan [31m"),
        ("x" * 1_000_000, "x" * 500),
        ("\x00" * 1_000 + "Late", "Late"),
    ],
)
def test_title_is_one_readable_line_of_at_most_500_characters(raw: str | None, cleaned: str | None) -> None:
    assert label(raw) == cleaned


@pytest.mark.parametrize(
    ("raw", "date"),
    [
        ("D:20260131120000Z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("D:20260131120000-05'30'", datetime(2026, 1, 31, 17, 30, tzinfo=UTC)),
        ("20260131120000+0100", datetime(2026, 1, 31, 11, tzinfo=UTC)),
        ("D:202601", datetime(2026, 1, 1, tzinfo=UTC)),
        ("D:20261331", None),
        ("D:00010101000000+14'00'", None),
        ("D:99991231235959-23'00'", None),
        ("D:20260131120000+99'99'", None),
        ("1" * 1_000_000, None),
        ("Sat Jan 31 2026", None),
        ("", None),
    ],
)
def test_pdf_date_is_utc_or_left_out(raw: str, date: datetime | None) -> None:
    assert pdf_date(raw) == date


@pytest.mark.parametrize(
    ("raw", "date"),
    [
        ("2026-01-31T12:00:00Z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ("2026-01-31T12:00:00.5+01:00", datetime(2026, 1, 31, 11, 0, 0, 500_000, tzinfo=UTC)),
        ("0001-01-01T00:00:00+14:00", None),
        ("1601-01-01T00:00:00Z", None),
        (None, None),
    ],
)
def test_iso_date_is_utc_or_left_out(raw: str | None, date: datetime | None) -> None:
    assert iso_date(raw) == date


@pytest.mark.parametrize(
    ("text", "words"),
    [("", 0), ("Two  words\n", 2), ("word " * 50_000, 50_000), ("x" * 65_535 + " y", 2), ("x" * 200_000, 1)],
)
def test_words_are_counted_across_the_pieces_of_a_long_text(text: str, words: int) -> None:
    assert Extraction(text=text).words == words
