"""A multipart body as a stream of parts, with at most one of them in memory. Knows no documents."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from io import BytesIO
from urllib.parse import unquote

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from api_service.chunks import CLOSE, again, next_chunk
from api_service.problems import ProblemError

_MAX_FIELD_BYTES = 8_192
_MAX_FIELDS = 20
# A client that sends slower than this, over all, holds a slot that others wait for.
_MIN_BYTES_PER_SECOND = 16_384
# What has to come of a body before it takes a slot. One that has come whole by then is small.
_BEGINNING_BYTES = 65_536
_EXTENDED_NAME = re.compile(rb";\s*filename\*=(utf-8|iso-8859-1)'[^']*'([^\s;]+)", re.IGNORECASE)
_FILE_FIELDS = frozenset({"file", "files"})


@dataclass(kw_only=True, slots=True)
class Part:
    """One part of the form. `size` and `sha256` cover all its bytes, `data` only those up to the limit."""

    name: str
    filename: str | None
    max_bytes: int
    size: int = 0
    data: BytesIO = field(default_factory=BytesIO)
    _digest: hashlib._Hash = field(default_factory=hashlib.sha256)

    @property
    def is_file(self) -> bool:
        return self.filename is not None or self.name in _FILE_FIELDS

    @property
    def too_large(self) -> bool:
        return self.size > self.max_bytes

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def beginning(self, max_bytes: int) -> bytes:
        return bytes(self.data.getbuffer()[:max_bytes])

    def feed(self, chunk: memoryview) -> None:
        self.size += len(chunk)
        self._digest.update(chunk)
        if self.too_large:
            self.data = BytesIO()
        else:
            self.data.write(chunk)


class _Assembler:
    """python-multipart's callbacks, collecting finished parts."""

    def __init__(self, *, max_file_bytes: int, max_files: int) -> None:
        self.finished: list[Part] = []
        self.complete = False
        self._max_file_bytes = max_file_bytes
        # One file too many is let through, for the caller to name.
        self._parts_left = max_files + 1 + _MAX_FIELDS
        self._part: Part | None = None
        self._headers: dict[bytes, bytes] = {}
        self._header_name = b""
        self._header_value = b""

    def on_part_begin(self) -> None:
        self._parts_left -= 1
        if self._parts_left < 0:
            raise FormParserError("it has too many parts")
        self._headers = {}

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def on_header_end(self) -> None:
        self._headers[self._header_name.lower()] = self._header_value
        self._header_name = self._header_value = b""

    def on_headers_finished(self) -> None:
        disposition = self._headers.get(b"content-disposition", b"")
        _, options = parse_options_header(disposition)
        name, plain = _text(options.get(b"name", b"")), options.get(b"filename")
        filename = _extended_name(disposition) or (None if plain is None else _plain_name(plain))
        part = Part(name=name, filename=filename, max_bytes=_MAX_FIELD_BYTES)
        if part.is_file:
            part.max_bytes = self._max_file_bytes
        self._part = part

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        assert self._part is not None
        self._part.feed(memoryview(data)[start:end])

    def on_part_end(self) -> None:
        assert self._part is not None
        self.finished.append(self._part)
        self._part = None

    def on_end(self) -> None:
        self.complete = True


async def read_parts(
    chunks: AsyncIterator[bytes],
    *,
    content_type: str,
    max_files: int,
    max_file_bytes: int,
    max_bytes: int,
    idle_seconds: float,
    between: Callable[[], Awaitable[None]],
) -> AsyncIterator[Part]:
    """Yield each part when its last byte is there; the body is read on only when the caller asks for the next.

    Raises ProblemError: 415 for another content type, 422 for a malformed body, 413 beyond `max_bytes` in all,
    408 when the client stalls or dawdles. Waiting for the caller, and `between` after each piece of the body, are not
    held against the client.
    """
    assembler = _Assembler(max_file_bytes=max_file_bytes, max_files=max_files)
    parser = _parser(content_type, assembler)
    clock = asyncio.get_running_loop().time
    size, waited = 0, 0.0
    while True:
        left_seconds = idle_seconds + size / _MIN_BYTES_PER_SECOND - waited
        began = clock()
        chunk = await next_chunk(chunks, min(idle_seconds, left_seconds))
        waited += clock() - began
        if chunk is None:
            break
        await between()
        size += len(chunk)
        if size > max_bytes:
            raise oversized(max_bytes)
        try:
            parser.write(chunk)
        except FormParserError as exc:
            raise _malformed(str(exc)) from exc
        while assembler.finished:
            part = assembler.finished.pop(0)
            if part.too_large and not part.is_file:
                raise _malformed(f"the field {part.name[:50]!r} is longer than {part.max_bytes} bytes")
            yield part
    if not assembler.complete:
        raise _malformed("it ends before its last boundary")


async def begun(chunks: AsyncIterator[bytes], *, idle_seconds: float) -> tuple[AsyncIterator[bytes], bool]:
    """The body, once its beginning has come, and whether that is all of it.

    One that hardly comes at all must not hold what others wait for. Raises ProblemError 408 when the beginning takes
    longer than `idle_seconds`.
    """
    clock = asyncio.get_running_loop().time
    beginning, ends_at = b"", clock() + idle_seconds
    while len(beginning) < _BEGINNING_BYTES:
        chunk = await next_chunk(chunks, max(0.0, ends_at - clock()))
        if chunk is None:
            return again(beginning, chunks), True
        beginning += chunk
    return again(beginning, chunks), False


def _plain_name(given: bytes) -> str:
    """The name as browsers and curl write it: of all characters, they escape those that would end it."""
    return _text(given).replace("%22", '"').replace("%0D", "\r").replace("%0A", "\n")


def _extended_name(disposition: bytes) -> str | None:
    """The name as RFC 5987 has it: .NET sends it beside one that it could not write."""
    found = _EXTENDED_NAME.search(disposition)
    return unquote(found[2].decode("latin-1"), encoding=found[1].decode()) if found else None


def _parser(content_type: str, assembler: _Assembler) -> MultipartParser:
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise ProblemError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "Send the files as multipart/form-data, in parts named file or files.",
            headers=CLOSE,
        )
    callbacks = {name: getattr(assembler, name) for name in dir(assembler) if name.startswith("on_")}
    try:
        return MultipartParser(options[b"boundary"], callbacks)  # type: ignore[arg-type]
    except FormParserError as exc:
        raise _malformed(str(exc)) from exc


def oversized(max_bytes: int) -> ProblemError:
    return ProblemError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "too_large",
        f"One request may carry at most {max_bytes} bytes.",
        headers=CLOSE,
    )


def _malformed(why: str) -> ProblemError:
    return ProblemError(
        HTTPStatus.UNPROCESSABLE_ENTITY, "malformed_body", f"The multipart body is malformed: {why}.", headers=CLOSE
    )


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")
