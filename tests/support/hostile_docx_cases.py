"""DOCX and text files that attack their reader: bombs, lies, entities, depth and references to the outside."""

from __future__ import annotations

import random
import zipfile
from functools import partial

from shared.filetype import OLE_MAGIC
from tests.support import documents
from tests.support.hostile_docx import (
    HELLO,
    cut,
    damaged,
    directory_of,
    entity_bomb,
    linked,
    long_entity,
    lying_about_size,
    nested,
    overlapping,
    packed_by,
    thousand_headers,
    with_byte,
    with_declaration,
    with_main,
    with_parts,
    wrapped,
)
from tests.support.hostile_file import BOMB, CORRUPT, ENCRYPTED, TEXT, UNSUPPORTED, Hostile, hostile

_LOCAL, _CENTRAL = b"PK\x03\x04", b"PK\x01\x02"
_CLIMBING = {"../../../etc/passwd": b"x", "/etc/passwd": b"x", "a\x00b": b"x", "..\\a": b"x"}
_LEAK = "<w:p><w:r><w:t>&e;</w:t></w:r></w:p>"
_SYMBOLS = '<w:p><w:r><w:sym w:char="-9"/><w:sym w:char="zz"/><w:sym w:char="110000"/></w:r></w:p>'
_WITH_PASSWORD = "EncryptedPackage".encode("utf-16-le")

_case = partial(hostile, "a.docx")
_text = partial(hostile, "a.txt")


def cases(url: str) -> list[Hostile]:
    return [*_bombs(), *_archives(), *_links(url), *_entities(url), *_structures(), *_damages(), *_texts(), *_names()]


def _bombs() -> list[Hostile]:
    noise = {"a": random.Random(1).randbytes(300_000)}
    return [
        _case("one-text", documents.zip_bomb_docx, BOMB),
        _case("paragraphs", lambda: documents.docx(body_xml=HELLO * 500_000), BOMB),
        _case("just-below-the-ratio", lambda: with_parts(noise, HELLO * 150_000), TEXT),
        _case("two-thousand-parts", lambda: with_parts({f"{number}": b"" for number in range(2_000)}), BOMB),
        _case("many-parts", partial(directory_of, 200_000), BOMB, spins=True),
        _case("million-parts", partial(directory_of, 1_000_000), BOMB, spins=True),
        _case("overlapping-parts", overlapping, BOMB),
        _case("million-relationships", partial(linked, "header", "x.xml", count=700_000), BOMB),
        _case("thousand-times-one-header", thousand_headers, TEXT),
        _case("properties", lambda: with_parts({"docProps/core.xml": b"<a>" + b" " * 9_000_000 + b"</a>"}), TEXT),
        _case("nested-documents", partial(nested, 4), TEXT),
        _case("bzip2", partial(packed_by, zipfile.ZIP_BZIP2), TEXT),
        _case("lzma", partial(packed_by, zipfile.ZIP_LZMA), TEXT),
    ]


def _archives() -> list[Hostile]:
    return [
        _case("small-size-declared", lambda: lying_about_size(documents.zip_bomb_docx(), declared=1_000), CORRUPT),
        _case("large-size-declared", lambda: lying_about_size(documents.docx(["Hello"]), declared=2**31), BOMB),
        _case("entries-declared", partial(directory_of, 1, declared=60_000), CORRUPT),
        _case("unknown-method", partial(with_byte, _CENTRAL, 10, 99), CORRUPT),
        _case("encrypted-part", partial(with_byte, _CENTRAL, 8, 1), ENCRYPTED),
        _case("other-local-header", partial(with_byte, _LOCAL, 30, 0), CORRUPT),
        _case("names-that-climb", lambda: with_parts(_CLIMBING), TEXT),
        _case("two-archives", lambda: documents.docx(["Other"]) + documents.docx(["Hello"]), TEXT),
    ]


def _links(url: str) -> list[Hostile]:
    return [
        _case("header-is-the-body", partial(linked, "header", "document.xml"), TEXT),
        _case("footnotes-are-relationships", partial(linked, "footnotes", "_rels/document.xml.rels"), CORRUPT),
        _case("part-that-climbs", partial(linked, "header", "../../../../etc/passwd"), TEXT),
        _case("header-from-the-network", partial(linked, "header", url, mode="External"), TEXT),
        _case("template-from-the-network", partial(linked, "attachedTemplate", url, mode="External"), TEXT),
    ]


def _entities(url: str) -> list[Hostile]:
    include = f'<i:include xmlns:i="http://www.w3.org/2001/XInclude" href="{url}"/>'
    schema = f'<x xmlns:s="http://www.w3.org/2001/XMLSchema-instance" s:schemaLocation="a {url}"/>'
    declared = f'<!DOCTYPE d SYSTEM "{url}" [<!ENTITY e SYSTEM "{url}">]>'
    return [
        _case("entities-in-entities", entity_bomb, CORRUPT),
        _case("long-entity", long_entity, CORRUPT),
        _case("entity-from-a-file", partial(with_main, declared.replace(url, "file:///etc/passwd"), _LEAK), CORRUPT),
        _case("entity-from-the-network", partial(with_main, declared, _LEAK), CORRUPT),
        _case("parameter-entity", partial(with_main, f'<!DOCTYPE d [<!ENTITY % p SYSTEM "{url}"> %p;]>'), CORRUPT),
        _case("type-declaration", partial(with_main, f'<!DOCTYPE d SYSTEM "{url}">'), CORRUPT),
        _case("entity-in-relationships", partial(with_declaration, declared), TEXT, CORRUPT),
        _case("style-sheet", partial(with_main, f'<?xml-stylesheet type="text/xsl" href="{url}"?>'), TEXT),
        _case("inclusion", partial(documents.docx, body_xml=include + HELLO), TEXT),
        _case("schema", partial(documents.docx, body_xml=schema + HELLO), TEXT),
    ]


def _body(name: str, xml: str, *ends: str) -> Hostile:
    return _case(name, partial(documents.docx, body_xml=xml + HELLO), *ends)


def _structures() -> list[Hostile]:
    attributes = " ".join(f'a{number}="1"' for number in range(50_000))
    return [
        _case("deep-tables", partial(wrapped, "<w:tbl><w:tr><w:tc>", "</w:tc></w:tr></w:tbl>", 60), TEXT),
        _case("deeper-tables", partial(wrapped, "<w:tbl>", "</w:tbl>", 100_000), CORRUPT),
        _case("deep-unknown", partial(wrapped, "<x>", "</x>", 100_000), CORRUPT),
        _body("never-closed", "<w:p>" * 200, CORRUPT),
        _body("attributes", f"<w:p {attributes}/>", TEXT, CORRUPT),
        _body("long-attribute", f'<w:p a="{"x" * 9_000_000}"/>', TEXT, CORRUPT),
        _body("odd-symbols", _SYMBOLS, TEXT),
        _case("unknown-encoding", partial(with_main, '<?xml version="1.0" encoding="utf-7"?>'), CORRUPT, TEXT),
        _case("other-encoding", partial(with_main, '<?xml version="1.0"?>', encoding="utf-16"), CORRUPT, TEXT),
    ]


def _damages() -> list[Hostile]:
    return [
        _case("encrypted-by-office", lambda: OLE_MAGIC + bytes(5_000) + _WITH_PASSWORD, ENCRYPTED),
        _case("old-office", lambda: OLE_MAGIC + bytes(5_000), CORRUPT),
        _case("spreadsheet", lambda: documents.zip_of({"xl/workbook.xml": b"<workbook/>"}), CORRUPT),
        _case("magic-alone", lambda: _LOCAL, CORRUPT),
        _case("noise", lambda: _LOCAL + random.Random(3).randbytes(50_000), CORRUPT),
        *(_case(f"cut-at-{share}-percent", partial(cut, share / 100), CORRUPT) for share in (10, 50, 90, 99)),
        *(_case(f"damaged-{seed}", partial(damaged, seed), CORRUPT, TEXT, BOMB, ENCRYPTED) for seed in range(6)),
    ]


def _texts() -> list[Hostile]:
    noise = random.Random(4)
    return [
        _text("zeros", lambda: bytes(1_000_000), UNSUPPORTED),
        _text("noise", lambda: noise.randbytes(1_000_000), UNSUPPORTED),
        _text("high-noise", lambda: bytes(noise.choices(range(128, 256), k=300_000)), CORRUPT),
        _text("late-zeros", lambda: b"word " * 1_000 + bytes(5_000_000), CORRUPT, UNSUPPORTED),
        _text("spaces", lambda: b"a" + b" " * 10_000_000 + b"b", TEXT),
        _text("line-ends", lambda: b"a" + b"\n \n" * 3_000_000 + b"b", TEXT, BOMB),
        _text("one-word", lambda: b"a" * 10_000_000, TEXT),
        _text("half-pairs", lambda: b"\xff\xfe" + b"a\x00" * 99 + b"\x00\xd8" * 200_000, CORRUPT),
        _text("impossible", lambda: b"\xff\xfe\x00\x00" + b"\xff\xff\xff\x7f" * 200_000, CORRUPT),
    ]


def _names() -> list[Hostile]:
    return [
        _text("program", lambda: b"\x7fELF" + bytes(9_000), UNSUPPORTED),
        _text("picture", lambda: b"\x89PNG\r\n\x1a\n" + bytes(9_000), UNSUPPORTED),
        _text("docx", lambda: documents.docx(["Hello"]), UNSUPPORTED),
        _text("pdf", lambda: documents.pdf(["Hello"]), UNSUPPORTED),
        _case("text", lambda: b"Hello", UNSUPPORTED),
        _case("pdf", lambda: documents.pdf(["Hello"]), UNSUPPORTED),
    ]
