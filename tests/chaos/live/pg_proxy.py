"""A TCP proxy before PostgreSQL that loses replies to commits: the transaction is durable, and nobody hears of it.

It knows where the server's messages begin and end, and which of them say that something was committed.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

_COMPLETE, _READY = b"C", b"Z"
_WRITES = (b"INSERT", b"UPDATE", b"DELETE")


@dataclass(kw_only=True)
class PostgresProxy:
    """`lose_reply` is the share of commits whose reply is lost, together with its connection."""

    url: str
    chance: random.Random
    lose_reply: float = 0.0
    lost: int = 0
    _relays: set[asyncio.Task[None]] = field(default_factory=set)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """Yields the URL to connect to instead. There is no TLS, or nothing could be read."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        database = urlsplit(self.url).path
        try:
            yield f"postgresql://postgres@127.0.0.1:{port}{database}?sslmode=disable&gssencmode=disable"
        finally:
            server.close()
            for relay in self._relays:
                relay.cancel()

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        folder = parse_qs(urlsplit(self.url).query)["host"][0]
        server, to_server = await asyncio.open_unix_connection(f"{folder}/.s.PGSQL.5432")
        tasks = [
            asyncio.create_task(_copy(client, to_server)),
            asyncio.create_task(self._answer(server, to_client)),
        ]
        self._relays.update(tasks)
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
            self._relays.discard(task)
        for writer in (to_client, to_server):
            writer.transport.abort()

    async def _answer(self, server: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        """Pass on message by message; of a commit, the rest of the reply together, or not at all."""
        held, committed, in_transaction = b"", False, False
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                kind, size = await server.readexactly(1), await server.readexactly(4)
                body = await server.readexactly(int.from_bytes(size) - 4)
                held += kind + size + body
                if kind == _COMPLETE:
                    committed |= body.startswith(b"COMMIT") or (not in_transaction and _wrote(body))
                if committed and kind != _READY:
                    continue
                if committed and self.chance.random() < self.lose_reply:
                    self.lost += 1
                    return
                if kind == _READY:
                    in_transaction = body == b"T"
                to_client.write(held)
                await to_client.drain()
                held, committed = b"", False


def _wrote(tag: bytes) -> bool:
    """Whether a statement outside of a transaction, by its tag such as `UPDATE 1`, has changed anything."""
    return tag.startswith(_WRITES) and not tag.endswith(b" 0\x00")


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
