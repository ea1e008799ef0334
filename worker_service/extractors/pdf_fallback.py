"""What pypdf can read of a PDF that PDFium cannot open, or only in part. Slow, and imported only for such a file."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import cast

from pypdf import PageObject, PdfReader, errors
from pypdf.generic import ArrayObject, DictionaryObject, IndirectObject

from shared.errors import BombError, CorruptError, EncryptedError

# Damaged objects come up as whatever type pypdf expected in their place, or where it expected none. Some filters and
# ciphers need libraries that are not here, and a filter's abbreviation is an error of a type of its own.
_DAMAGE = (
    *(
        errors.PyPdfError,
        errors.DependencyError,
        errors.DeprecationError,
        ArithmeticError,
        AssertionError,
        AttributeError,
        EOFError,
        LookupError,
        OSError,
    ),
    *(RuntimeError, TypeError, ValueError, struct.error, zlib.error),
)


def read(data: bytes, stated: Iterable[str]) -> tuple[list[str], Mapping[str, str]]:
    """Return the text of every page, nothing for a damaged one, and these entries of the metadata.

    Raises ExtractionError.
    """
    try:
        reader = PdfReader(io.BytesIO(data))
        pages = [_text_of(page) for page in reader.pages]
        about = {name: str(reader.metadata.get(f"/{name}", "")) for name in stated} if reader.metadata else {}
    except (errors.FileNotDecryptedError, errors.WrongPasswordError) as error:
        raise EncryptedError from error
    except _DAMAGE as error:
        raise CorruptError from error
    if pages and all(page is None for page in pages):
        raise CorruptError
    return [page or "" for page in pages], about


def streams_of_pages(data: bytes) -> list[set[int]]:
    """Return the numbers of the objects with each page's content and forms; nothing for a damaged page or file."""
    try:
        return [_streams_of(page) for page in PdfReader(io.BytesIO(data)).pages]
    except _DAMAGE:
        return []


def _streams_of(page: PageObject) -> set[int]:
    found: list[object] = []
    with suppress(*_DAMAGE):
        contents = page.raw_get("/Contents")
        whole = contents.get_object()
        found += whole if isinstance(whole, ArrayObject) else [contents]
    with suppress(*_DAMAGE):
        forms = cast("DictionaryObject", page["/Resources"])["/XObject"].get_object()
        found += map(cast("DictionaryObject", forms).raw_get, cast("DictionaryObject", forms))
    return {each.idnum for each in found if isinstance(each, IndirectObject)}


def _text_of(page: PageObject) -> str | None:
    try:
        return page.extract_text()
    except errors.LimitReachedError as error:
        # Its other limits are about damage as well.
        if "decompressing" in str(error):
            raise BombError from error
    except _DAMAGE:
        pass
    return None
