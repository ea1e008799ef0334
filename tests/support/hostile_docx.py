"""Makes DOCX files that are wrong in one respect. Each says Hello, but for what is asked."""

from __future__ import annotations

import io
import random
import struct
import zipfile
from collections.abc import Mapping

from tests.support import documents
from tests.support.documents import paragraph

_MAIN = "word/document.xml"
_LINKS = "word/_rels/document.xml.rels"
HELLO = paragraph("Hello")


def parts_of(data: bytes) -> dict[str, bytes]:
    """Return the parts of a DOCX by name."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def with_parts(parts: Mapping[str, bytes], body: str = HELLO) -> bytes:
    """Return a DOCX that says Hello, with these parts added or replaced."""
    return documents.zip_of({**parts_of(documents.docx(body_xml=body)), **parts})


def with_main(prolog: str, body: str = HELLO, *, encoding: str = "utf-8") -> bytes:
    """Return a DOCX whose main part starts with this prolog."""
    xml = parts_of(documents.docx(body_xml=body))[_MAIN].decode().partition("?>")[2]
    return with_parts({_MAIN: (prolog + xml).encode(encoding)})


def linked(kind: str, target: str, *, count: int = 1, mode: str = "Internal") -> bytes:
    """Return a DOCX whose main part has a relationship to the target, `count` times."""
    link = f'<Relationship Id="r" Type="http://x/{kind}" Target="{target}" TargetMode="{mode}"/>'
    space = "http://schemas.openxmlformats.org/package/2006/relationships"
    return with_parts({_LINKS: f'<Relationships xmlns="{space}">{link * count}</Relationships>'.encode()})


def thousand_headers() -> bytes:
    """Return a DOCX with a thousand links to a long header."""
    header = documents.docx(body_xml=HELLO * 20_000)
    links = parts_of(linked("header", "header1.xml", count=1_000))[_LINKS]
    return with_parts({_LINKS: links, "word/header1.xml": parts_of(header)[_MAIN]})


def with_declaration(declaration: str) -> bytes:
    """Return a DOCX whose package relationships start with a document type declaration."""
    links = parts_of(documents.docx(["Hello"]))["_rels/.rels"].partition(b"?>")[2]
    return with_parts({"_rels/.rels": declaration.encode() + links})


def entity_bomb() -> bytes:
    levels = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
    return with_main(f'<!DOCTYPE d [<!ENTITY e0 "ha">{levels}]>', "<w:p><w:r><w:t>&e11;</w:t></w:r></w:p>")


def long_entity() -> bytes:
    uses = "&e;" * 50_000
    return with_main(f'<!DOCTYPE d [<!ENTITY e "{"ha" * 50_000}">]>', f"<w:p><w:r><w:t>{uses}</w:t></w:r></w:p>")


def directory_of(entries: int, *, declared: int | None = None) -> bytes:
    """Return a zip whose directory lists one empty part many times, or says so."""
    local = struct.pack("<4s5H3I2H", b"PK\x03\x04", 20, 0, 0, 0, 0, 0, 0, 0, 1, 0) + b"a"
    entry = struct.pack("<4s6H3I5H2I", b"PK\x01\x02", 20, 20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
    size = len(entry) * entries
    count = min(declared or entries, 65_535)
    return local + entry * entries + struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, count, count, size, len(local), 0)


def lying_about_size(data: bytes, *, declared: int) -> bytes:
    """Return the zip with another size of its main part declared in both places."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        real = archive.getinfo(_MAIN).file_size
    return data.replace(struct.pack("<I", real), struct.pack("<I", declared))


def overlapping() -> bytes:
    """Return a zip in which two thousand parts share the same packed bytes."""
    data = documents.docx(body_xml=paragraph("word " * 20_000))
    start = data.index(b"PK\x01\x02")
    end = data.index(b"PK\x05\x06")
    directory = data[start:end] * 600
    tail = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 2_400, 2_400, len(directory), start, 0)
    return data[:start] + directory + tail


def packed_by(method: int) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, content in parts_of(documents.docx(["word"] * 20_000)).items():
            archive.writestr(name, content)
    return target.getvalue()


def with_byte(magic: bytes, offset: int, value: int) -> bytes:
    """Return a DOCX with one byte changed in the first record that starts with this magic."""
    data = bytearray(documents.docx(["Hello"]))
    data[data.index(magic) + offset] = value
    return bytes(data)


def nested(levels: int) -> bytes:
    data = documents.docx(["Hello"])
    for _ in range(levels):
        data = with_parts({f"word/embeddings/{name}.docx": data for name in ("a", "b", "c")})
    return data


def damaged(seed: int) -> bytes:
    randomness = random.Random(seed)
    data = bytearray(documents.docx(["Some words"] * 50))
    for _ in range(12):
        data[randomness.randrange(4, len(data))] = randomness.randrange(256)
    return bytes(data)


def cut(share: float) -> bytes:
    data = documents.docx(["Some words"] * 50)
    return data[: int(len(data) * share)]


def wrapped(open_tag: str, close_tag: str, count: int) -> bytes:
    return documents.docx(body_xml=open_tag * count + HELLO + close_tag * count)
