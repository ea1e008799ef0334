"""The text of a DOCX: opens the zip under limits and reads its stories in order. Knows nothing of processes."""

from __future__ import annotations

import io
import posixpath
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from lxml import etree

from shared.errors import BombError, CorruptError, EncryptedError, NoTextError
from shared.filetype import OLE_MAGIC
from worker_service.extractors import Extraction, readable
from worker_service.extractors.metadata import iso_date, label
from worker_service.extractors.wordml import lines_of

_MAX_ENTRIES = 2_000
_MAX_BYTES = 100_000_000
_MAX_RATIO = 100
_RATIO_MATTERS_ABOVE_BYTES = 10_000_000
_ENCRYPTED_FLAG = 0x1
_DAMAGE = (zipfile.BadZipFile, zlib.error, etree.XMLSyntaxError, EOFError, NotImplementedError, ValueError)

_MAX_PROPERTIES_BYTES = 1_000_000
_LONG_BYTES = 1_000_000

_MAIN = "officeDocument"
_PROPERTIES = "core-properties"
_HEADER, _FOOTER = "header", "footer"
_CHUNK = "aFChunk"
_READING_ORDER = (_HEADER, _MAIN, "footnotes", "endnotes", _FOOTER)
_TITLE = "{http://purl.org/dc/elements/1.1/}title"
_AUTHOR = "{http://purl.org/dc/elements/1.1/}creator"
_CREATED = "{http://purl.org/dc/terms/}created"
_ODD = re.compile(r"\\|//|(^|/)\.")
_RELATIONSHIP = "{http://schemas.openxmlformats.org/package/2006/relationships}Relationship"


@dataclass(frozen=True, kw_only=True, slots=True)
class Story:
    """One of the texts that a document is made of. Its body has notes, which headers and footers are not part of."""

    kind: str
    text: str
    hidden_chars: int

    @property
    def is_body(self) -> bool:
        return self.kind not in {_HEADER, _FOOTER}


def extract(data: bytes) -> Extraction:
    """Return headers, body, notes and footers in this order, separated by blank lines."""
    with _opened(data) as package:
        stories = list(package.stories())
        about = package.properties()
        has_chunks = package.has_chunks
    # First, even and default headers are often the same.
    text = readable("\n\n".join(dict.fromkeys(story.text for story in stories)))
    hidden_chars = sum(story.hidden_chars for story in stories)
    if not text.strip():
        raise NoTextError(_why_no_text(hidden_chars=hidden_chars, has_chunks=has_chunks))
    return Extraction(
        text=text,
        title=label(about.get(_TITLE)),
        author=label(about.get(_AUTHOR)),
        created=iso_date(about.get(_CREATED)),
        hidden_chars=hidden_chars,
        lines_are_whole=True,
    )


def stories_of(data: bytes) -> list[Story]:
    """Return what `extract` puts together."""
    with _opened(data) as package:
        return list(package.stories())


@contextmanager
def _opened(data: bytes) -> Iterator[_Package]:
    if data.startswith(OLE_MAGIC):
        raise _why_ole(data)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _check_limits(archive.infolist(), packed_bytes=len(data))
            yield _Package(archive)
    except _DAMAGE as error:
        raise CorruptError from error


def _why_no_text(*, hidden_chars: int, has_chunks: bool) -> str | None:
    if hidden_chars:
        return f"All text of the document ({hidden_chars} characters) is hidden."
    if has_chunks:
        return "The document's text is a web page that only Word unpacks. Open it in Word, save it and upload it again."
    return None


def _why_ole(data: bytes) -> EncryptedError | CorruptError:
    if "EncryptedPackage".encode("utf-16-le") in data:
        return EncryptedError()
    return CorruptError("The file is not a DOCX but an old Office file (.doc?). Save it as .docx and upload it again.")


def _check_limits(entries: list[zipfile.ZipInfo], *, packed_bytes: int) -> None:
    """Refuse bombs by what the zip declares; if it lies, zipfile stops at the declared size and finds the CRC wrong."""
    if any(entry.flag_bits & _ENCRYPTED_FLAG for entry in entries):
        raise EncryptedError
    if len(entries) > _MAX_ENTRIES:
        raise BombError(f"The DOCX has {len(entries)} parts; {_MAX_ENTRIES} is the limit.")
    unpacked_bytes = sum(entry.file_size for entry in entries)
    steep = unpacked_bytes > _RATIO_MATTERS_ABOVE_BYTES and unpacked_bytes > _MAX_RATIO * packed_bytes
    if steep or unpacked_bytes > _MAX_BYTES:
        raise BombError(f"The DOCX unpacks to {unpacked_bytes // 1_000_000} MB, far more than a document needs.")


class _Package:
    """The parts of the zip and the relationships between them. Part names ignore case."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._parts = {_canonical(entry.filename): entry for entry in archive.infolist()}
        self._roots = list(self._related(""))
        main = next((name for kind, name in self._roots if kind == _MAIN and name in self._parts), None)
        if main is None:
            raise CorruptError("The file is a zip archive, but not a Word document.")
        # Each once: a thousand links to one header are no thousand headers.
        self._links = list(dict.fromkeys([(_MAIN, main), *self._related(main)]))
        self.has_chunks = any(kind == _CHUNK for kind, _ in self._links)

    def properties(self) -> dict[str, str | None]:
        """Return what the document says about itself, by qualified name; a damaged part says nothing."""
        name = next((name for kind, name in self._roots if kind == _PROPERTIES), "")
        entry = self._parts.get(name)
        if entry is None or entry.file_size > _MAX_PROPERTIES_BYTES:
            return {}
        with suppress(*_DAMAGE):
            return {str(element.tag): element.text for element in self._parsed(entry)}
        return {}

    def stories(self) -> Iterator[Story]:
        """Yield each story in reading order."""
        for wanted in _READING_ORDER:
            for kind, name in self._links:
                if kind == wanted and name in self._parts:
                    yield self._story(kind, self._parts[name])

    def _story(self, kind: str, entry: zipfile.ZipInfo) -> Story:
        with self._archive.open(entry) as part:
            lines, hidden_chars = lines_of(part, is_long=entry.file_size > _LONG_BYTES)
        return Story(kind=kind, text="\n".join(lines), hidden_chars=hidden_chars)

    def _related(self, source: str) -> Iterator[tuple[str, str]]:
        """Yield the kind and name of each part that `source`, or with "" the package itself, points to."""
        folder, name = posixpath.split(source)
        relationships = self._parts.get(posixpath.join(folder, "_rels", f"{name}.rels"))
        if relationships is None:
            return
        for relationship in self._parsed(relationships).iter(_RELATIONSHIP):
            kind = relationship.get("Type", "").rpartition("/")[2]
            yield kind, _canonical(posixpath.join("/", folder, relationship.get("Target", "")))

    def _parsed(self, entry: zipfile.ZipInfo) -> etree._Element:
        return etree.fromstring(self._archive.read(entry), etree.XMLParser(resolve_entities=False, no_network=True))


def _canonical(name: str) -> str:
    if _ODD.search(name) is None:
        return name.lstrip("/").lower()
    return posixpath.normpath(name.replace("\\", "/")).lstrip("/").lower()
