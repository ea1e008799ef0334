"""Many open streams in one process, as cheap as can be: sockets that note when each event arrives."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

_EVENT = re.compile(rb"^id: [0-9a-f]+\.(\d+)", re.MULTILINE)
_CONNECTING = 50


@dataclass(kw_only=True, slots=True)
class Arrivals:
    """When which event (by `seq`) arrived, for all listeners together, on the monotonic clock."""

    times: list[tuple[int, float]] = field(default_factory=list)
    open: int = 0

    def latencies(self, committed: Mapping[int, float]) -> list[float]:
        return [at - committed[seq] for seq, at in self.times]


class _Listening(asyncio.Protocol):
    def __init__(self, request: bytes, arrivals: Arrivals) -> None:
        self._request = request
        self._arrivals = arrivals
        self.opened = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        if not self.opened.done():
            assert data.startswith(b"HTTP/1.1 200"), data
            self.opened.set_result(None)
        # Frames are small and written at once: none comes in two pieces over loopback.
        self._arrivals.times += [(int(seq), now) for seq in _EVENT.findall(data)]


@asynccontextmanager
async def listeners(port: int, *targets: tuple[str, str]) -> AsyncIterator[Arrivals]:
    """A stream for each target, which is a path and a token; open when this returns, closed afterwards."""
    arrivals, turn, transports = Arrivals(), asyncio.Semaphore(_CONNECTING), []
    loop = asyncio.get_running_loop()

    async def listen(path: str, token: str) -> None:
        request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        async with turn:
            transport, protocol = await loop.create_connection(lambda: _Listening(request, arrivals), "127.0.0.1", port)
            transports.append(transport)
            await protocol.opened

    try:
        await asyncio.gather(*(listen(path, token) for path, token in targets))
        yield arrivals
    finally:
        for transport in transports:
            transport.close()
