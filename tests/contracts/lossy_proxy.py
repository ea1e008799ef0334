"""An HTTP proxy before the AWS emulator that loses replies, when the request has its effect and nobody hears of it, or
brings late ones, as an index does that is only eventually consistent."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_OPERATION = re.compile(rb"\r\nx-amz-target: *\w+\.(\w+)", re.IGNORECASE)


class LossyProxy:
    """`seen` counts the requests by operation; `lose` says how many of the next replies to one are lost, and `late` how
    many are what came last."""

    def __init__(self, upstream: str) -> None:
        self._host, self._port = urlsplit(upstream).hostname, urlsplit(upstream).port
        self.url = ""
        self.seen: Counter[str] = Counter()
        self.lose: Counter[str] = Counter()
        self.late: Counter[str] = Counter()
        self._last: dict[str, bytes] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[LossyProxy]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server:
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request a connection: the client opens another after each reply."""
        try:
            operation, request = await _request(reader)
            self.seen[operation] += 1
            if self.late[operation] > 0:
                self.late[operation] -= 1
            else:
                self._last[operation] = await self._forward(request)
            reply = self._last[operation]
            if self.lose[operation] > 0:
                self.lose[operation] -= 1
            else:
                writer.write(reply)
                await writer.drain()
        finally:
            writer.close()

    async def _forward(self, request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(self._host, self._port)
        writer.write(request)
        reply = await reader.read()
        writer.close()
        return reply


async def _request(reader: asyncio.StreamReader) -> tuple[str, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length, operation = _LENGTH.search(head), _OPERATION.search(head)
    body = await reader.readexactly(int(length[1])) if length else b""
    request = re.sub(rb"\r\nconnection:[^\r]*", b"", head, flags=re.IGNORECASE)
    return operation[1].decode() if operation else "", request.replace(b"\r\n", b"\r\nConnection: close\r\n", 1) + body
