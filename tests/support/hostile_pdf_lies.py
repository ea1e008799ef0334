"""PDF files whose dictionaries lie, contradict themselves, are damaged or point to the outside."""

from __future__ import annotations

import random
import zlib
from functools import partial

from tests.support import documents
from tests.support.hostile_file import BOMB, CORRUPT, ENCRYPTED, NO_TEXT, TEXT, UNSUPPORTED, Hostile, hostile
from tests.support.hostile_pdf import (
    HELLO,
    PAGE,
    calling_home,
    cut,
    encrypted_by,
    looping_xref,
    noise,
    one_page,
    packed,
    shuffled,
    stream,
    with_font,
    xref_stream,
)

_PAGE = b"<< /Type /Page /Parent 2 0 R /Contents 5 0 R %s >>"
_RESOURCES = b"/Resources << /Font << /F1 3 0 R >> >>"
_LINEARIZED = b"9 0 obj\n<< /Linearized 1 /L 99 /H [0 99999999] /O 9 /E 1 /N 2000000000 /T 1 >>\nendobj\n"
_PREDICTOR = b"/DecodeParms << /Predictor 15 /Columns 2147483647 /Colors 255 /BitsPerComponent 32 >>"
_AES = b"/V 5 /R 6 /CF << /StdCF << /CFM /AESV3 /Length 99999 >> >> /StmF /StdCF /StrF /StdCF /P -1 "
_PICTURE_CODECS = b"/Filter [/JBIG2Decode /JPXDecode /DCTDecode /CCITTFaxDecode]"
_CMAP = b"1 begincodespacerange <00> <FF> endcodespacerange " + b"1 beginbfrange <00> <FFFFFFFF> <41> endbfrange " * 999
_WIDGET = b"<< /Type /Annot /Subtype /Widget /Popup 6 0 R /AP << /N 6 0 R >> /Rect [0 0 9 9] >>"

_case = partial(hostile, "a.pdf")


def cases(url: bytes) -> list[Hostile]:
    wrong = [*_tables(), *_streams(), *_encryptions(), *_references(), *_shapes(), *_fonts()]
    return [*wrong, *_damages(), *_fallbacks(), *_calls(url)]


def _pages(entries: bytes, *ends: str, name: str) -> Hostile:
    return _case(name, partial(one_page, pages=b"<< /Type /Pages %s >>" % entries), *ends)


def _tables() -> list[Hostile]:
    return [
        _pages(b"/Kids [4 0 R] /Count 2000000000", TEXT, CORRUPT, BOMB, name="two-thousand-million-pages"),
        _pages(b"/Kids [4 0 R] /Count -1", TEXT, CORRUPT, name="minus-one-page"),
        _pages(b"/Kids [99 0 R] /Count 1", CORRUPT, NO_TEXT, name="no-such-page"),
        _case("size-of-xref", lambda: one_page(trailer=b"/Size 2147483647"), TEXT),
        _case("count-of-xref", lambda: one_page().replace(b"xref\n0 6", b"xref\n0 2147483647"), TEXT, CORRUPT),
        _case("offsets-of-xref", lambda: one_page().replace(b" 00000 n", b" 99999 n"), TEXT, CORRUPT),
        _case("startxref", lambda: one_page().replace(b"startxref\n", b"startxref\n9999999999"), TEXT, CORRUPT),
        _case("xref-before-itself", looping_xref, TEXT),
        _case("xref-stream", lambda: xref_stream(b"/Size 2147483647 /Index [0 2147483647]"), CORRUPT, NO_TEXT),
        _case("linearized", lambda: one_page().replace(b"-1.7\n", b"-1.7\n" + _LINEARIZED), TEXT, CORRUPT),
    ]


def _contents(contents: bytes, *ends: str, name: str) -> Hostile:
    return _case(name, partial(one_page, contents=contents), *ends)


def _streams() -> list[Hostile]:
    codes = random.Random(1).randbytes(9_000)
    predicted = stream(zlib.compress(HELLO), b"/Filter /FlateDecode " + _PREDICTOR)
    return [
        _contents(stream(HELLO, length=b"4294967296"), TEXT, NO_TEXT, name="long-length"),
        _contents(stream(HELLO, length=b"-9"), TEXT, NO_TEXT, name="negative-length"),
        _contents(stream(HELLO, length=b"1"), TEXT, NO_TEXT, name="short-length"),
        _contents(stream(HELLO, length=b"5 0 R"), TEXT, NO_TEXT, CORRUPT, name="length-is-the-stream"),
        _contents(stream(HELLO, b"/Filter /FlateDecode"), TEXT, NO_TEXT, name="not-packed"),
        _contents(stream(codes, _PICTURE_CODECS), NO_TEXT, name="picture-codecs"),
        _contents(predicted, TEXT, NO_TEXT, name="predictor"),
    ]


def _encryptions() -> list[Hostile]:
    hello = documents.encrypted_pdf
    return [
        _case("unknown-encryption", lambda: encrypted_by(b"/V 99 /R 99 /O (x) /U (x) /P -1"), ENCRYPTED, CORRUPT),
        _case("short-key", lambda: encrypted_by(b"/V 1 /R 2 /Length -40 /O () /U () /P -1"), ENCRYPTED, CORRUPT),
        _case("odd-crypt-filter", lambda: encrypted_by(_AES + b"/O (x) /U (x) /OE (x) /UE (x)"), ENCRYPTED, CORRUPT),
        _case("encryption-is-itself", _looping(trailer=b"/Encrypt 6 0 R"), TEXT, CORRUPT, ENCRYPTED),
        _case("locked", lambda: hello("secret", user_password="open sesame"), ENCRYPTED),
        _case("locked-and-cut", lambda: hello("secret", user_password="x")[:-300], ENCRYPTED, CORRUPT),
    ]


def _references() -> list[Hostile]:
    resources = b"<< /Font << /F1 3 0 R >> /XObject << /X 6 0 R >> /Resources 6 0 R >>"
    fields = b"<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields [6 0 R] >> >>"
    objects = stream(b"6 0 << >>", b"/Type /ObjStm /N 1000000000 /First 4 /Extends 6 0 R")
    return [
        _case("page-is-its-parent", _looping(page=b"<< /Type /Page /Parent 4 0 R /Contents 5 0 R >>"), NO_TEXT, TEXT),
        _case("fonts-are-themselves", _looping(page=PAGE % b"/Font 6 0 R"), TEXT, NO_TEXT),
        _case("contents-in-themselves", _looping(b"[6 0 R 6 0 R]", page=_PAGE % b"/Contents 6 0 R"), TEXT, NO_TEXT),
        _case("resources-in-themselves", _looping(resources, page=_PAGE % b"/Resources 6 0 R"), TEXT, NO_TEXT),
        _case("annotation-is-its-popup", _looping(_WIDGET, catalog=fields), TEXT),
        _case("object-stream-in-itself", _looping(objects), TEXT),
    ]


def _looping(sixth: bytes = b"6 0 R", **changed: bytes) -> partial[bytes]:
    return partial(one_page, more=[sixth], **changed)


def _shapes() -> list[Hostile]:
    vast = b"/MediaBox [-1e38 1e38 1e38 -1e38] /UserUnit 1e38 /Rotate 45 " + _RESOURCES
    huge = b"BT /F1 1e38 Tf 1e38 0 0 1e38 1e38 -1e38 Tm (Huge) Tj ET BT /F1 0 Tf (None) Tj ET"
    return [
        _case("sizes", partial(one_page, huge), TEXT, NO_TEXT),
        _case("page-size", partial(one_page, page=_PAGE % vast), TEXT, NO_TEXT),
        _case("no-page-size", partial(one_page, page=_PAGE % (b"/MediaBox [0 0 0 0] " + _RESOURCES)), TEXT, NO_TEXT),
    ]


def _fonts() -> list[Hostile]:
    wide = b"/FirstChar -2147483648 /LastChar 2147483647 /Widths [%s]" % (b"9 " * 300_000)
    described = b"/FontDescriptor << /Type /FontDescriptor /FontFile2 6 0 R >>"
    return [
        _case("font-widths", partial(with_font, wide), TEXT),
        _case("font-map", partial(with_font, b"/ToUnicode 6 0 R", stream(_CMAP)), TEXT, NO_TEXT),
        _case("font-program", partial(with_font, described, stream(random.Random(2).randbytes(9_000))), TEXT),
        _case("font-is-no-font", partial(one_page, font=b"[1 2 3]"), TEXT, NO_TEXT),
    ]


def _damages() -> list[Hostile]:
    cuts = {share: partial(cut, share / 100) for share in (5, 20, 40, 60, 80, 90, 99)}
    return [
        _case("magic-alone", lambda: b"%PDF-", CORRUPT),
        _case("zeros", lambda: b"%PDF-1.7\n" + bytes(5_000_000), CORRUPT),
        _case("also-a-zip", lambda: documents.pdf(["Hello"]) + documents.docx(["Other"]), TEXT),
        _case("after-a-zip", lambda: documents.docx(["Other"]) + documents.pdf(["Hello"]), UNSUPPORTED),
        _case("docx", lambda: documents.docx(["Hello"]), UNSUPPORTED),
        *(_case(f"cut-at-{share}-percent", make, CORRUPT, TEXT, NO_TEXT) for share, make in cuts.items()),
        *(_case(f"noise-{seed}", partial(noise, seed), CORRUPT) for seed in range(3)),
        *(_case(f"shuffled-{seed}", partial(shuffled, seed), CORRUPT, TEXT, NO_TEXT) for seed in range(5)),
    ]


def _rootless(name: str, data: bytes, *ends: str) -> Hostile:
    """A file that PDFium cannot open, so that pypdf has to try."""
    return _case(f"rootless-{name}", lambda: data.replace(b"/Root 1 0 R", b""), *ends)


def _fallbacks() -> list[Hostile]:
    encryption = b"<< /Filter /Other /V 0 >>"
    return [
        _rootless("filter", one_page(contents=stream(HELLO, b"/Filter /Flat")), CORRUPT),
        _rootless("encryption", one_page(trailer=b"/Encrypt 6 0 R", more=[encryption]), CORRUPT, ENCRYPTED),
        _rootless("font-map", with_font(b"/ToUnicode 6 0 R", stream(_CMAP.replace(b"00", b"00" * 99))), CORRUPT, TEXT),
        _rootless("bomb", one_page(contents=packed(b" ", 300_000_000)), BOMB),
    ]


def _calls(url: bytes) -> list[Hostile]:
    elsewhere = stream(b"", b"/F << /FS /URL /F (%s) >>" % url)
    return [
        _case("calls-home", partial(calling_home, url), TEXT),
        _case("contents-elsewhere", partial(one_page, contents=elsewhere), NO_TEXT),
    ]
