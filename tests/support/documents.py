"""Makes small documents for tests: ordinary, damaged and hostile ones."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

_WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_NAMESPACES = (
    f'xmlns:w="{_WORD}" xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006" '
    'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math" '
    'xmlns:wps="http://schemas.microsoft.com/office/word/2010/wordprocessingShape"'
)
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_FONT = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"


def pdf(pages: Sequence[str]) -> bytes:
    """Return a PDF with these pages in Helvetica, one text line for each line; Windows-1252 characters only."""
    objects = [b"", b"", _FONT]
    for page in pages:
        objects += [_page(contents=len(objects) + 2), _stream(_shown(page))]
    kids = b" ".join(b"%d 0 R" % number for number in range(4, len(objects) + 1, 2))
    objects[0] = b"<< /Type /Catalog /Pages 2 0 R >>"
    objects[1] = b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, len(pages))
    return _pdf_file(objects)


def pdf_of_glyphs(text: str) -> bytes:
    """Return a PDF of one line, of any characters, whose font says what each of its glyphs means."""
    meanings = b" ".join(b"<%02x> <%s>" % (n, c.encode("utf-16-be").hex().encode()) for n, c in enumerate(text, 1))
    cmap = b"1 begincodespacerange <00> <FF> endcodespacerange %d beginbfchar %s endbfchar" % (len(text), meanings)
    shown = b"BT /F1 12 Tf 72 720 Td <%s> Tj ET" % bytes(range(1, len(text) + 1)).hex().encode()
    return _pdf_file(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [4 0 R] /Count 1 >>",
            _FONT[:-2] + b" /ToUnicode 6 0 R >>",
            _page(contents=5),
            _stream(shown),
            _stream(cmap),
        ]
    )


def pdf_without_text(pages: int = 1) -> bytes:
    """Return a PDF whose pages show a grey rectangle, as a scanned page would."""
    return _one_page_pdf(_stream(b"0.5 g 100 100 300 500 re f"), count=pages)


def pdf_with_form_value(label: str, value: str) -> bytes:
    """Return a PDF with a filled text field, whose value is no part of the page's own content."""
    look = _stream(
        _shown(value), b"/Type /XObject /Subtype /Form /BBox [0 0 600 800] /Resources << /Font << /F1 3 0 R >> >> "
    )
    field = b"<< /Type /Annot /Subtype /Widget /FT /Tx /T (f) /V (%s) /F 4 /Rect [0 0 600 800] /AP << /N 6 0 R >> >>"
    return _pdf_file(
        [
            b"<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields [7 0 R] >> >>",
            b"<< /Type /Pages /Kids [4 0 R] /Count 1 >>",
            _FONT,
            _page(contents=5, more=b"/Annots [7 0 R]"),
            _stream(_shown(label)),
            look,
            field % value.encode("cp1252"),
        ]
    )


def encrypted_pdf(text: str, *, user_password: str) -> bytes:
    """Return an encrypted PDF. With an empty password anybody can open it."""
    from pypdf import PdfWriter  # noqa: PLC0415  # not every user of this module needs it

    writer = PdfWriter(clone_from=io.BytesIO(pdf([text])))
    writer.encrypt(user_password=user_password, owner_password="owner", algorithm="RC4-128")
    target = io.BytesIO()
    writer.write(target)
    return target.getvalue()


def flate_bomb_pdf(unpacked_bytes: int = 400_000_000) -> bytes:
    """Return a PDF of a few kilobytes whose one content stream unpacks, in two steps, to that many spaces."""
    packer = zlib.compressobj()
    block = b" " * 1_000_000
    once = b"".join(packer.compress(block) for _ in range(unpacked_bytes // len(block))) + packer.flush()
    return _one_page_pdf(_raw_stream(zlib.compress(once, 9), b"/Filter [/FlateDecode /FlateDecode]"))


def endless_pdf(pages: int = 20_000) -> bytes:
    """Return a small PDF that takes minutes to read in little memory: one busy page, many times over."""
    return _one_page_pdf(_stream(_shown("busy " * 10) * 500), count=pages)


def pdf_with_page_tree_loop() -> bytes:
    """Return a PDF whose page tree contains itself."""
    return _pdf_file([b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [2 0 R 2 0 R] /Count 2 >>"])


def form_tree_pdf(depth: int = 30) -> bytes:
    """Return a PDF that draws forms which draw forms, 2 to the power of `depth` of them in all."""
    head = b"/Type /XObject /Subtype /Form /BBox [0 0 600 800] "
    forms = [
        _stream(b"/X Do /X Do", head + b"/Resources << /XObject << /X %d 0 R >> >> " % (number + 1))
        for number in range(6, 6 + depth)
    ]
    leaf = _stream(_shown("leaf"), head + b"/Resources << /Font << /F1 3 0 R >> >> ")
    return _pdf_file(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [4 0 R] /Count 1 >>",
            _FONT,
            _page(contents=5, resources=b"/XObject << /X 6 0 R >>"),
            _stream(b"/X Do"),
            *forms,
            leaf,
        ]
    )


def _one_page_pdf(contents: bytes, *, count: int = 1) -> bytes:
    return _pdf_file(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [%s] /Count %d >>" % (b"4 0 R " * count, count),
            _FONT,
            _page(contents=5),
            contents,
        ]
    )


def _page(*, contents: int, resources: bytes = b"/Font << /F1 3 0 R >>", more: bytes = b"") -> bytes:
    head = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources << %s >> /Contents %d 0 R %s >>"
    return head % (resources, contents, more)


def _shown(text: str) -> bytes:
    lines = text.encode("cp1252").replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)").split(b"\n")
    return b"BT /F1 12 Tf 14 TL 72 720 Td " + b" ".join(b"(%s) Tj T*" % line for line in lines) + b" ET "


def _stream(content: bytes, entries: bytes = b"") -> bytes:
    return _raw_stream(zlib.compress(content), entries + b"/Filter /FlateDecode")


def _raw_stream(packed: bytes, entries: bytes) -> bytes:
    return b"<< %s /Length %d >>\nstream\n%s\nendstream" % (entries, len(packed), packed)


def _pdf_file(objects: Sequence[bytes]) -> bytes:
    body = bytearray(b"%PDF-1.7\n")
    table = b"0000000000 65535 f \n"
    for number, content in enumerate(objects, 1):
        table += b"%010d 00000 n \n" % len(body)
        body += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    size = len(objects) + 1
    trailer = b"xref\n0 %d\n%strailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n"
    return bytes(body) + trailer % (size, table, size, len(body))


def docx(
    paragraphs: Sequence[str] = (),
    *,
    tables: Sequence[Sequence[Sequence[str]]] = (),
    body_xml: str = "",
    stories: Mapping[str, str] | None = None,
    main_part: str = "word/document.xml",
) -> bytes:
    """Return a DOCX of paragraphs, then tables (rows of cells), then raw XML.

    `stories` maps part names such as `header1` or `footnotes` to raw XML; the name without digits is the kind.
    """
    body = "".join(map(paragraph, paragraphs)) + "".join(map(table, tables)) + body_xml
    folder, _, name = main_part.rpartition("/")
    parts = {main_part: f"<w:document {_NAMESPACES}><w:body>{body}</w:body></w:document>"}
    relationships = []
    for story, xml in (stories or {}).items():
        kind = story.rstrip("0123456789")
        root = {"header": "hdr", "footer": "ftr"}.get(kind, kind)
        parts[f"{folder}/{story}.xml"] = f"<w:{root} {_NAMESPACES}>{xml}</w:{root}>"
        relationships.append((kind, f"{story}.xml"))
    parts["_rels/.rels"] = _relationships([("officeDocument", main_part)])
    parts[f"{folder}/_rels/{name}.rels"] = _relationships(relationships)
    parts["[Content_Types].xml"] = _content_types(main_part)
    return zip_of({part: f'<?xml version="1.0" encoding="UTF-8"?>{xml}'.encode() for part, xml in parts.items()})


def paragraph(text: str) -> str:
    """Return the XML of one paragraph."""
    return f'<w:p><w:r><w:t xml:space="preserve">{escape(text)}</w:t></w:r></w:p>'


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return the XML of a table; line ends in a cell separate its paragraphs."""
    cells = ["".join(f"<w:tc>{''.join(map(paragraph, cell.split(chr(10))))}</w:tc>" for cell in row) for row in rows]
    return f"<w:tbl>{''.join(f'<w:tr>{row}</w:tr>' for row in cells)}</w:tbl>"


def zip_bomb_docx(unpacked_bytes: int = 20_000_000) -> bytes:
    """Return a DOCX whose body is one endless run of spaces."""
    return docx(body_xml=paragraph(" " * unpacked_bytes))


def zip_of(parts: Mapping[str, bytes]) -> bytes:
    """Return a zip archive with these parts."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return target.getvalue()


def _relationships(targets: Sequence[tuple[str, str]]) -> str:
    links = "".join(
        f'<Relationship Id="r{number}" Type="{_OFFICE}/{kind}" Target="{target}"/>'
        for number, (kind, target) in enumerate(targets)
    )
    return f'<Relationships xmlns="{_PACKAGE}/relationships">{links}</Relationships>'


def _content_types(main_part: str) -> str:
    kind = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
    return (
        f'<Types xmlns="{_PACKAGE}/content-types"><Default Extension="xml" ContentType="application/xml"/>'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/{main_part}" ContentType="{kind}"/></Types>'
    )
