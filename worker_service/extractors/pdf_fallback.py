"""What pypdf can read of a PDF that PDFium cannot open. Slow, and imported only for such a file."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterable, Mapping

from pypdf import PageObject, PdfReader, errors

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
