"""Reads the pages of a PDF that have no text from their pictures, by Tesseract, a program that may be installed.

The sandbox draws each page; Tesseract reads it under limits of its own. Knows no parser.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

from shared.errors import ExtractionError, NoTextError
from shared.filetype import PDF
from worker_service.extractors import Extraction, readable
from worker_service.sandbox import Sandbox

_MEMORY_BYTES = 1_073_741_824
_MAX_TEXT_BYTES = 1_000_000
# Between fork and exec of a program with threads only little is safe, so an interpreter sets the limits.
_CONFINED = """
import json, os, resource, sys
for name, limit in json.loads(sys.argv[1]).items():
    resource.setrlimit(getattr(resource, name), (limit, limit))
os.execv(sys.argv[2], sys.argv[2:])
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tesseract:
    """The program at `path`, with the languages of its `-l` option. It gets one processor and no environment."""

    path: str
    languages: str = "eng"
    page_seconds: int = 20

    async def text_of(self, picture: bytes) -> str | None:
        """Return the text of a PGM file; None if the engine fails or reaches a limit."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", "-c", _CONFINED, json.dumps(self._limits())),
            *(self.path, "stdin", "stdout", "-l", self.languages, "--dpi", "300"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={"OMP_THREAD_LIMIT": "1"},
            start_new_session=True,
        )
        try:
            return await _exchange(process, picture)
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            await process.communicate()

    def _limits(self) -> dict[str, int]:
        limits = {"RLIMIT_CORE": 0, "RLIMIT_FSIZE": 0, "RLIMIT_NOFILE": 32, "RLIMIT_CPU": self.page_seconds}
        # macOS does not enforce it, and may refuse to set it.
        return limits | {"RLIMIT_AS": _MEMORY_BYTES} if sys.platform == "linux" else limits


async def _exchange(process: asyncio.subprocess.Process, picture: bytes) -> str | None:
    assert process.stdin
    assert process.stdout
    # Nobody waits for it to be taken: an engine that talks first would wait for us in turn.
    process.stdin.write(picture)
    process.stdin.close()
    try:
        await process.stdout.readexactly(_MAX_TEXT_BYTES)
    except asyncio.IncompleteReadError as end:
        return readable(end.partial.decode(errors="replace")).strip() if await process.wait() == 0 else None
    return None


def page_reader(
    sandbox: Sandbox, *, program: str | None, max_pages: int = 20, languages: str = "eng"
) -> PageReader | None:
    """Return a reader that uses the program, if there is one and it is to read any pages."""
    if program is None or not max_pages:
        return None
    return PageReader(sandbox=sandbox, engine=Tesseract(path=program, languages=languages), max_pages=max_pages)


class PageReader:
    """Reads what the sandbox has found no text on: at most `max_pages` of a document."""

    def __init__(self, *, sandbox: Sandbox, engine: Tesseract, max_pages: int) -> None:
        self._sandbox = sandbox
        self._engine = engine
        self._max_pages = max_pages

    async def fill(self, found: Extraction, data: bytes, content_type: str, *, seconds: float) -> Extraction:
        """Return the extraction with what its pages without text say. Raises NoTextError when there is still none."""
        if content_type != PDF or not found.page_chars:
            return found
        deadline = asyncio.get_running_loop().time() + seconds
        read = await self._read_blank_pages(data, found, deadline=deadline)
        if not found.text and not any(read.values()):
            raise NoTextError(f"The PDF has pages ({found.pages}) but no text, and OCR found none.")
        return _with_pages(found, read)

    async def _read_blank_pages(self, data: bytes, found: Extraction, *, deadline: float) -> dict[int, str]:
        """Return what OCR finds, by page index, and be it nothing; less if the time is over."""
        blank = [index for index, chars in enumerate(found.page_chars or ()) if not chars]
        read = {}
        with suppress(TimeoutError):
            async with asyncio.timeout_at(deadline):
                for index in blank[: self._max_pages]:
                    text = await self._text_of_page(data, index)
                    if text is not None:
                        read[index] = text
        return read

    async def _text_of_page(self, data: bytes, index: int) -> str | None:
        try:
            picture = await self._sandbox.picture_of_page(data, index)
        except ExtractionError:
            # A page that cannot be drawn takes nothing from the text of the others.
            return None
        text = await self._engine.text_of(picture) if picture else ""
        return "" if text and not any(char.isalnum() for char in text) else text


def _with_pages(found: Extraction, read: dict[int, str]) -> Extraction:
    if not read:
        return found
    pages = [read.get(index, text) for index, text in enumerate(_pages_of(found))]
    return replace(
        found,
        text="\n\n".join(page for page in pages if page),
        page_chars=tuple(map(len, pages)),
        ocr_pages=tuple(index + 1 for index in sorted(read) if read[index]),
        # The picture of a damaged page shows no more of it than its text did.
        unread_pages=tuple(
            number for number in found.unread_pages if number - 1 not in read or number in found.damaged_pages
        ),
    )


def _pages_of(found: Extraction) -> Iterator[str]:
    """Take the text apart again: the pages that have any are joined by a blank line."""
    start = 0
    for chars in found.page_chars or ():
        yield found.text[start : start + chars]
        start += chars + len("\n\n") if chars else 0
