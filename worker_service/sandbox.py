"""Runs the parsers in child processes under hard limits. This process never imports a parser.

    extract() ──socket──> child.py: RLIMIT_AS, CPU, FSIZE, NOFILE; no environment; a session of its own
        └─ wall clock or cancellation: SIGKILL to the whole session

A child serves many documents, one at a time: a fork for each costs more than the median document. It is an
interpreter of its own, not one of multiprocessing's, whose children run the parent's main script again and inherit
its environment.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import signal
import socket
import sys
import sysconfig
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, ValidationError

from shared.errors import (
    BackendUnavailableError,
    BombError,
    CorruptError,
    EncryptedError,
    ExtractionCrashedError,
    ExtractionError,
    ExtractionTimeoutError,
    NoTextError,
)
from worker_service.extractors import Extraction, NoTextOnPagesError

_PROGRAM = (
    "import json, sys; given = json.loads(sys.argv[1]); sys.path[:] = given.pop('path'); "
    "from worker_service.extractors.child import serve; serve(**given)"
)
# Nothing of ours. A shared libpython, AWS Lambda's for one, is found through the first only. The others have glibc keep
# the memory of one document for the next: to map it anew takes as long as reading a small one.
_ENVIRONMENT = {
    "LD_LIBRARY_PATH": sysconfig.get_config_var("LIBDIR") or "",
    "MALLOC_MMAP_THRESHOLD_": str(2**24),
    "MALLOC_TRIM_THRESHOLD_": str(2**25),
}
_CAUSES = {cause.code: cause for cause in (EncryptedError, CorruptError, BombError, NoTextError)}


class _Reply(BaseModel):
    model_config = ConfigDict(val_json_bytes="base64")

    extraction: Extraction | None = None
    picture: bytes = b""
    code: str = ""
    message: str = ""
    last: bool


class Sandbox:
    """Extracts text from untrusted files, `size` of them at a time; further calls wait."""

    def __init__(
        self,
        *,
        timeout_seconds: float,
        memory_bytes: int,
        reply_bytes: int = 64_000_000,
        size: int = 1,
        recycle_after: int = 500,
    ) -> None:
        self._timeout_seconds = timeout_seconds
        self._memory_bytes = memory_bytes
        self._reply_bytes = reply_bytes
        self._size = size
        self._recycle_after = recycle_after
        self._slots = asyncio.Semaphore(size)
        self._idle: list[_Child] = []

    async def start(self) -> None:
        """Have every child ready before the first document."""
        async with AsyncExitStack() as children:
            for _ in range(self._size):
                await children.enter_async_context(self._child())

    async def close(self) -> None:
        """End the idle children. One that is busy ends with its `extract`, which the caller cancels first."""
        while self._idle:
            await self._idle.pop().end()

    async def extract(self, data: bytes, content_type: str) -> Extraction:
        """Return the text of a file whose type `content_type_of` has found.

        Raises an ExtractionError that names the cause, NoTextOnPagesError where OCR may help, or
        BackendUnavailableError if no child can be started.
        """
        reply = await self._ask(content_type, data)
        if reply.extraction is None:
            raise ExtractionCrashedError("The parser process answered nonsense.")
        return reply.extraction

    async def picture_of_page(self, data: bytes, index: int) -> bytes:
        """Return a PDF's page as a PGM file, or nothing if the page is blank. Raises as `extract` does."""
        return (await self._ask(str(index), data)).picture

    async def _ask(self, wanted: str, data: bytes) -> _Reply:
        async with self._slots, self._child() as child:
            try:
                async with asyncio.timeout(self._timeout_seconds):
                    reply = await child.ask(data, wanted, reply_bytes=self._reply_bytes)
            except TimeoutError:
                raise self._timeout() from None
            except (asyncio.IncompleteReadError, ConnectionError):
                raise self._cause_of_death(await child.end()) from None
            if reply.last:
                await child.end()
        if reply.code == NoTextError.code and reply.extraction:
            raise NoTextOnPagesError(reply.message, found=reply.extraction)
        if reply.code:
            raise _CAUSES.get(reply.code, ExtractionCrashedError)(reply.message)
        return reply

    @asynccontextmanager
    async def _child(self) -> AsyncIterator[_Child]:
        child = self._idle.pop() if self._idle else None
        if child and not child.alive:
            await child.end()
            child = None
        try:
            child = child or await _Child.start(self._limits())
        except (OSError, asyncio.IncompleteReadError) as error:
            raise BackendUnavailableError("No parser process could be started.") from error
        try:
            yield child
        except BaseException:
            await child.end()
            raise
        self._idle.append(child)

    def _limits(self) -> dict[str, int]:
        return {
            "memory_bytes": self._memory_bytes,
            "cpu_seconds": math.ceil(self._timeout_seconds) + 1,
            "documents": self._recycle_after,
        }

    def _timeout(self) -> ExtractionTimeoutError:
        return ExtractionTimeoutError(f"Extraction took longer than {self._timeout_seconds:g} seconds.")

    def _cause_of_death(self, exit_code: int) -> ExtractionError:
        if exit_code == -signal.SIGABRT:
            return BombError(f"The document needed more than {self._memory_bytes // 2**20} MB of memory.")
        if exit_code == -signal.SIGXCPU:
            return self._timeout()
        return ExtractionCrashedError()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Child:
    process: asyncio.subprocess.Process
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def start(cls, limits: dict[str, int]) -> _Child:
        ours, theirs = socket.socketpair()
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-c", _PROGRAM, json.dumps({"path": sys.path, **limits})),
                stdin=theirs.fileno(),
                stdout=asyncio.subprocess.DEVNULL,
                env=_ENVIRONMENT,
                start_new_session=True,
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        child = cls(process=process, reader=reader, writer=writer)
        try:
            await reader.readexactly(1)
        except BaseException:
            await child.end()
            raise
        return child

    @property
    def alive(self) -> bool:
        return self.process.returncode is None and not self.reader.at_eof()

    async def ask(self, data: bytes, wanted: str, *, reply_bytes: int) -> _Reply:
        # In one piece: a child that wakes up for the line alone goes back to sleep.
        self.writer.write(b"%s %d\n%s" % (wanted.encode(), len(data), data))
        await self.writer.drain()
        length = int.from_bytes(await self.reader.readexactly(4))
        if length > reply_bytes:
            raise BombError("The document holds too much text.")
        try:
            return _Reply.model_validate_json(await self.reader.readexactly(length))
        except ValidationError as error:
            raise ExtractionCrashedError("The parser process answered nonsense.") from error

    async def end(self) -> int:
        """Kill the child and whatever it started; return its exit code, which a crash has set before."""
        self.writer.transport.abort()
        if self.process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        return await self.process.wait()
