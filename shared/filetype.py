"""Decides from a file's name and first bytes whether it is a PDF, DOCX or text file. Knows no parser."""

from __future__ import annotations

from shared.errors import UnsupportedTypeError

PDF = "application/pdf"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
TEXT = "text/plain"

ZIP_MAGIC = b"PK\x03\x04"
# Old Office files, and also new ones with a password: Office wraps those in an OLE compound file.
OLE_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"

# UTF-32 stands first: its little-endian mark starts with UTF-16's.
BYTE_ORDER_MARKS = {
    b"\xff\xfe\x00\x00": "utf-32",
    b"\x00\x00\xfe\xff": "utf-32",
    b"\xef\xbb\xbf": "utf-8-sig",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}

# How much of a file is looked at, where more of it is there.
SNIFFED_BYTES = 65_536
_TYPES = {".pdf": (PDF, "PDF"), ".docx": (DOCX, "DOCX"), ".txt": (TEXT, "text")}
_BINARY_MAGICS = {
    ZIP_MAGIC: "a zip archive",
    b"PK\x05\x06": "an empty zip archive",
    OLE_MAGIC: "an old Office file",
    b"\x7fELF": "a Linux program",
    b"\xfe\xed\xfa\xce": "a macOS program",
    b"\xfe\xed\xfa\xcf": "a macOS program",
    b"\xce\xfa\xed\xfe": "a macOS program",
    b"\xcf\xfa\xed\xfe": "a macOS program",
    b"\xca\xfe\xba\xbe": "a macOS program or a Java class",
    b"\x89PNG\r\n\x1a\n": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF87a": "a GIF image",
    b"GIF89a": "a GIF image",
    b"II*\x00": "a TIFF image",
    b"MM\x00*": "a TIFF image",
    b"\x1f\x8b": "gzip data",
    b"BZh9": "bzip2 data",
    b"\xfd7zXZ\x00": "xz data",
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive",
    b"Rar!\x1a\x07": "a RAR archive",
    b"SQLite format 3\x00": "an SQLite database",
}


def content_type_named(filename: str) -> str:
    """Return the content type that the name's extension says. Raises UnsupportedTypeError."""
    return _named(filename)[0]


def content_type_of(filename: str, head: bytes) -> str:
    """Return the content type on which the name's extension and the content agree.

    `head` is the whole file, or at least its first kilobyte. Raises UnsupportedTypeError, which says what was seen.
    """
    content_type, kind = _named(filename)
    if not _agrees(content_type, head):
        raise UnsupportedTypeError(f"The name says {kind}, but the content {_seen(head, content_type)}.")
    return content_type


def utf16_without_mark(data: bytes) -> str | None:
    """Return `utf-16-le` or `utf-16-be` if the zero bytes lie as in UTF-16 text of mostly Latin letters."""
    sample = data[:65_536]
    units = len(sample) // 2
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    if odd > 0.3 * units and even < 0.02 * units:
        return "utf-16-le"
    if even > 0.3 * units and odd < 0.02 * units:
        return "utf-16-be"
    return None


def _named(filename: str) -> tuple[str, str]:
    name = filename.strip().lower()
    for end, found in _TYPES.items():
        if name.endswith(end):
            return found
    raise UnsupportedTypeError("The name ends in none of .pdf, .docx and .txt.")


def _agrees(content_type: str, head: bytes) -> bool:
    if content_type == PDF:
        return _is_pdf(head)
    if content_type == DOCX:
        return head.startswith((ZIP_MAGIC, OLE_MAGIC))
    return head.startswith(tuple(BYTE_ORDER_MARKS)) or not (_is_binary(head) or _is_pdf(head))


def _is_pdf(head: bytes) -> bool:
    # Readers accept junk before the header, and real files have it.
    return b"%PDF-" in head[:1024]


def _is_binary(head: bytes) -> bool:
    if head.startswith(tuple(_BINARY_MAGICS)):
        return True
    return b"\x00" in head and utf16_without_mark(head) is None


def _seen(head: bytes, content_type: str) -> str:
    for magic, thing in _BINARY_MAGICS.items():
        if head.startswith(magic):
            return f"starts like {thing}"
    if _is_pdf(head):
        return "starts like a PDF"
    # Two letters may open a text as well; a program has zero bytes.
    if head.startswith(b"MZ") and b"\x00" in head:
        return "starts like a Windows program"
    if content_type == TEXT and b"\x00" in head:
        return "has zero bytes, which text has not"
    return "does not start like one"
