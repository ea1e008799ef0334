"""Makes PDF files that are wrong in one respect. Each is a page that says Hello, but for what is asked."""

from __future__ import annotations

import random
import zlib
from collections.abc import Sequence

from tests.support import documents

CATALOG = b"<< /Type /Catalog /Pages 2 0 R >>"
PAGES = b"<< /Type /Pages /Kids [4 0 R] /Count 1 >>"
FONT = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
PAGE = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources << %s >> /Contents 5 0 R >>"
HELLO = b"BT /F1 12 Tf 72 700 Td (Hello) Tj ET "
FONTS = b"/Font << /F1 3 0 R >>"


def stream(content: bytes, entries: bytes = b"", *, length: bytes | None = None) -> bytes:
    """Return a stream object with nothing packed; `length` may lie."""
    return b"<< %s /Length %s >>\nstream\n%s\nendstream" % (entries, length or b"%d" % len(content), content)


def file_of(objects: Sequence[bytes], *, trailer: bytes = b"", size: int | None = None) -> bytes:
    """Return a PDF of these objects, numbered from 1; the first is the catalog."""
    body = bytearray(b"%PDF-1.7\n")
    rows = [b"0000000000 65535 f \n"]
    for number, content in enumerate(objects, 1):
        rows.append(b"%010d 00000 n \n" % len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"xref\n0 %d\n%s" % (len(rows), b"".join(rows))
    end = b"trailer\n<< /Size %d /Root 1 0 R %s >>\nstartxref\n%d\n%%%%EOF\n" % (size or len(rows), trailer, len(body))
    return bytes(body) + table + end


def one_page(
    content: bytes = HELLO,
    *,
    catalog: bytes = CATALOG,
    pages: bytes = PAGES,
    font: bytes = FONT,
    page: bytes = PAGE % FONTS,
    contents: bytes = b"",
    more: Sequence[bytes] = (),
    trailer: bytes = b"",
) -> bytes:
    """Return a PDF of one page that says Hello, but for what is given. `more` are objects 6 and up."""
    return file_of([catalog, pages, font, page, contents or stream(content), *more], trailer=trailer)


def pages_of(*contents: bytes) -> bytes:
    """Return a PDF with a page for each of these content streams."""
    first = 4 + len(contents)
    pages = [(PAGE % FONTS).replace(b"5 0 R", b"%d 0 R" % number) for number in range(first, first + len(contents))]
    kids = b" ".join(b"%d 0 R" % number for number in range(4, first))
    tree = b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, len(contents))
    return file_of([CATALOG, tree, FONT, *pages, *contents])


def with_form(form: bytes, *more: bytes, content: bytes = b"/X Do") -> bytes:
    """Return a PDF whose page draws form `X`, object 6."""
    return one_page(content, page=PAGE % (FONTS + b" /XObject << /X 6 0 R >>"), more=(form, *more))


def form(content: bytes, resources: bytes = b"") -> bytes:
    head = b"/Type /XObject /Subtype /Form /BBox [0 0 612 792] /Resources << /Font << /F1 3 0 R >> %s >>"
    return stream(content, head % resources)


def packed(unit: bytes, count: int, *, levels: int = 2) -> bytes:
    """Return an object whose content unpacks, in that many steps, to `count` units."""
    # The same flushed block again and again, for packing all of it would take seconds. The checksum is wrong.
    packer = zlib.compressobj(wbits=-15)
    block = packer.compress(unit * (1_000_000 // len(unit))) + packer.flush(zlib.Z_FULL_FLUSH)
    data = b"\x78\x9c" + block * (count * len(unit) // 1_000_000) + b"\x03\x00" + bytes(4)
    for _ in range(levels - 1):
        data = zlib.compress(data, 9)
    return stream(data, b"/Filter [%s]" % (b"/FlateDecode " * levels))


def with_font(more: bytes, *objects: bytes) -> bytes:
    font = b"<< /Type /Font /Subtype /TrueType /BaseFont /Odd %s >>" % more
    return one_page(font=font, more=objects)


def type3_that_draws_itself() -> bytes:
    font = (
        b"<< /Type /Font /Subtype /Type3 /FontBBox [0 0 1 1] /FontMatrix [1 0 0 1 0 0] /FirstChar 72 /LastChar 72 "
        b"/Widths [1] /Encoding << /Differences [72 /H] >> /CharProcs << /H 6 0 R >> "
        b"/Resources << /Font << /F1 3 0 R >> >> >>"
    )
    return one_page(b"BT /F1 12 Tf (HHH) Tj ET", font=font, more=[stream(b"BT /F1 1 Tf (HH) Tj ET")])


def deep_page_tree(levels: int) -> bytes:
    nodes = [
        b"<< /Type /Pages /Parent %d 0 R /Kids [%d 0 R] /Count 1 >>" % (number - 1, number + 1)
        for number in range(3, 3 + levels)
    ]
    leaf = b"<< /Type /Page /Parent %d 0 R /MediaBox [0 0 9 9] >>" % (2 + levels)
    return file_of([CATALOG, b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>", *nodes, leaf])


def looping_xref() -> bytes:
    data = one_page()
    start = data.rindex(b"startxref\n")
    offset = data[start:].split(b"\n")[1]
    return data.replace(b"/Root 1 0 R", b"/Root 1 0 R /Prev " + offset)


def xref_stream(entries: bytes) -> bytes:
    body = b"%PDF-1.7\n1 0 obj\n" + CATALOG + b"\nendobj\n"
    table = stream(b"\x01\x00\x09\x00" * 8, b"/Type /XRef /Root 1 0 R /W [1 2 1] " + entries)
    return body + b"2 0 obj\n" + table + b"\nendobj\nstartxref\n%d\n%%%%EOF\n" % len(body)


def encrypted_by(entries: bytes) -> bytes:
    return one_page(trailer=b"/Encrypt 6 0 R /ID [<00> <00>]", more=[b"<< /Filter /Standard %s >>" % entries])


def locked() -> bytes:
    return documents.encrypted_pdf("secret", user_password="open sesame")


def many_fields(count: int) -> bytes:
    fields = [b"<< /FT /Tx /T (f) /Parent 6 0 R /Kids [6 0 R] >>"] * count
    catalog = b"<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields [%s] >> >>" % (b"6 0 R " * count)
    return one_page(catalog=catalog, more=fields)


def calling_home(url: bytes) -> bytes:
    """Return a PDF that asks its reader, in every way that the format has, to fetch something."""
    action = b"<< /S %s /URI (%s) /F << /FS /URL /F (%s) >> /JS (this.submitForm\\('%s'\\)) >>"
    actions = [action % (kind, url, url, url) for kind in (b"/JavaScript", b"/SubmitForm", b"/ImportData", b"/GoToR")]
    catalog = (
        b"<< /Type /Catalog /Pages 2 0 R /OpenAction %s /AA << /WC %s /DP %s >> /URI << /Base (%s) >> "
        b"/AcroForm << /Fields [] /XFA 7 0 R >> >>" % (*actions[:3], url)
    )
    page = (PAGE % (FONTS + b" /XObject << /X 6 0 R >>"))[:-2] + b"/AA << /O %s >> >>" % actions[3]
    outside = b"/Type /XObject /Subtype /Image /Width 1 /Height 1 /F << /FS /URL /F (%s) >>" % url
    xfa = b'<?xml version="1.0"?><!DOCTYPE x SYSTEM "%s" [<!ENTITY e SYSTEM "%s">]><x>&e;</x>' % (url, url)
    return one_page(HELLO + b"/X Do", catalog=catalog, page=page, more=[stream(b"", outside), stream(xfa)])


def cut(share: float) -> bytes:
    data = documents.pdf(["Some words on a page", "and more of them"])
    return data[: int(len(data) * share)]


def noise(seed: int) -> bytes:
    return b"%PDF-1.7\n" + random.Random(seed).randbytes(20_000)


def shuffled(seed: int) -> bytes:
    """Return a sound PDF in which one byte in fifty is another one."""
    randomness = random.Random(seed)
    data = bytearray(documents.pdf(["Some words on a page"] * 20))
    for _ in range(len(data) // 50):
        data[randomness.randrange(9, len(data))] = randomness.randrange(256)
    return bytes(data)
