"""Files that are nearly sound: small documents of every type and what becomes of them when pieces change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hypothesis import strategies as st

from shared.filetype import DOCX, PDF, TEXT
from tests.support import documents
from tests.support.documents import paragraph
from tests.support.hostile import pdf_showing
from tests.support.hostile_docx import parts_of
from tests.support.hostile_pdf import HELLO, form, many_fields, one_page, pages_of, stream

# What a parser takes a turn at, more often than chance would have it.
_TOKENS = [
    *(b"<<", b">>", b"[", b"]", b"(", b")", b"<", b">", b"obj", b"endobj", b"stream", b"endstream", b"6 0 R", b"/Kids"),
    *(b"/Encrypt 6 0 R", b"/Contents", b"/Length", b"/Filter /FlateDecode", b"xref", b"trailer", b"Tj", b"Do", b"BT"),
    *(b"-1", b"0", b"4294967296", b"99999999999", b"1e38", b"\x00", b"\xff", b"\xfe\xff", b"%PDF-", b"PK\x03\x04"),
    *(b"<w:p>", b"</w:p>", b"<w:tbl>", b"</w:tc>", b"<w:del>", b"&amp;", b"&x;", b"<!--", b"]]>", b"w:val=", b"xmlns:"),
]
_PLACES = st.integers(0, 2**20)


@dataclass(frozen=True, kw_only=True, slots=True)
class Seed:
    """A sound file. Its `inner` parts, if any, are what is unpacked before it is changed and packed again."""

    content_type: str
    data: bytes
    inner: tuple[str, ...] = ()


def _seeds() -> list[Seed]:
    stories = {"header1": paragraph("Header"), "footnotes": paragraph("Note")}
    body = paragraph("Some words") + documents.table([["a", "b"], ["c\nd", "e"]])
    word = documents.docx(body_xml=body, stories=stories)
    text = pdf_showing(HELLO + b"q 0.5 0 0 0.5 9 9 cm /X Do Q 3 Tr", form=HELLO)
    packed = documents.pdf(["Two words", "and a broken-\nhearted line"])
    made = [packed, text, pages_of(stream(HELLO), stream(b"")), one_page(HELLO, more=[form(b"")]), many_fields(3)]
    made += [
        documents.pdf_with_form_value("Name", "Ada"),
        documents.pdf_of_glyphs("𝜀 한"),
        documents.pdf_without_text(),
    ]
    made += [
        documents.encrypted_pdf("x", user_password=""),
        one_page(trailer=b"/Info << /Title (A) /CreationDate (D) >>"),
    ]
    # PDFium cannot open these, so that pypdf has to try.
    made += [data.replace(b"/Root 1 0 R", b"") for data in made[:4]]
    texts = ["Größe, 東京".encode(encoding) for encoding in ("utf-8", "utf-16", "utf-32")] + ["Größe".encode("cp1252")]
    return [
        *(Seed(content_type=PDF, data=data) for data in made),
        Seed(content_type=DOCX, data=word),
        *(Seed(content_type=DOCX, data=word, inner=(name,)) for name in parts_of(word)),
        *(Seed(content_type=TEXT, data=data * 20) for data in texts),
    ]


SEEDS = _seeds()
Change = Callable[[bytes], bytes]


def _inserted(piece: bytes, place: int) -> Change:
    return lambda data: data[: place % (len(data) + 1)] + piece + data[place % (len(data) + 1) :]


def _replaced(piece: bytes, place: int) -> Change:
    return lambda data: data[: place % (len(data) + 1)] + piece + data[place % (len(data) + 1) + len(piece) :]


def _moved(place: int, length: int, to: int) -> Change:
    def change(data: bytes) -> bytes:
        start = place % (len(data) + 1)
        return _inserted(data[start : start + length], to)(data)

    return change


def _cut(place: int, length: int) -> Change:
    return lambda data: data[: place % (len(data) + 1)] + data[place % (len(data) + 1) + length :]


_pieces = st.sampled_from(_TOKENS) | st.binary(min_size=1, max_size=8)
_lengths = st.integers(1, 200)
_changes = st.one_of(
    st.builds(_replaced, _pieces, _PLACES),
    st.builds(_inserted, _pieces, _PLACES),
    st.builds(_moved, _PLACES, _lengths, _PLACES),
    st.builds(_cut, _PLACES, _lengths),
)


def _mutated(seed: Seed, changes: list[Change]) -> tuple[str, bytes]:
    parts = parts_of(seed.data) if seed.inner else {"": seed.data}
    for name in seed.inner or [""]:
        for change in changes:
            parts[name] = change(parts[name])
    return seed.content_type, documents.zip_of(parts) if seed.inner else parts[""]


def mutated(seeds: list[Seed] = SEEDS) -> st.SearchStrategy[tuple[str, bytes]]:
    """Give content types and files in which up to eight pieces are replaced, added, copied elsewhere or gone."""
    return st.builds(_mutated, st.sampled_from(seeds), st.lists(_changes, min_size=1, max_size=8))
