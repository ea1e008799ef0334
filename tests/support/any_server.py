"""An HTTP server that is not Docrelay: it says what it was told to say, whatever it is asked."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    status: str = "200 OK"
    kind: str = "application/json"
    body: str = "{}"
    headers: tuple[str, ...] = ()

    @property
    def sent(self) -> bytes:
        fixed = (f"Content-Type: {self.kind}", f"Content-Length: {len(self.body)}", "Connection: close")
        return "\r\n".join([f"HTTP/1.1 {self.status}", *fixed, *self.headers, "", self.body]).encode()


@asynccontextmanager
async def saying(*answers: Said) -> AsyncIterator[str]:
    """Give the answers one after another, the last again and again; yields the base URL."""
    left = list(answers)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        await reader.readexactly(int(length[1]) if length else 0)
        writer.write((left.pop(0) if len(left) > 1 else left[0]).sent)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
