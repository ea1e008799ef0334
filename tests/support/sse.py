"""Reads a stream of server-sent events over httpx, block by block. Knows the format, not our events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx

_GIVE_UP_SECONDS = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """What stands between two empty lines: an event, or comments alone (then `event` is None)."""

    raw: str
    id: str | None = None
    event: str | None = None
    data: dict[str, Any] = field(default_factory=dict)
    retry: int | None = None
    comments: tuple[str, ...] = ()


class EventReader:
    """One open stream. What waits for more than a block gives up after a minute: heartbeats never end."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self._chunks = answer.aiter_bytes()
        self._buffer = b""

    async def block(self) -> Block | None:
        """The next block, whatever it is; None at the end of the stream."""
        # Not aiter_lines(): to httpx a line also ends where JSON text may hold U+2028.
        while b"\n\n" not in self._buffer:
            chunk = await anext(self._chunks, None)
            if chunk is None:
                assert not self._buffer, "the stream ended in the middle of a block"
                return None
            self._buffer += chunk
        raw, _, self._buffer = self._buffer.partition(b"\n\n")
        return _block(raw.decode())

    async def events(self, count: int) -> list[Block]:
        """The next `count` events, without comments."""
        found: list[Block] = []
        async with asyncio.timeout(_GIVE_UP_SECONDS):
            while len(found) < count:
                block = await self.block()
                assert block is not None, f"the stream ended after {len(found)} of {count} events"
                found += [block] if block.event else []
        return found

    async def rest(self) -> list[Block]:
        """Every block until the server ends the stream."""
        blocks = []
        async with asyncio.timeout(_GIVE_UP_SECONDS):
            while block := await self.block():
                blocks.append(block)
        return blocks

    async def until_cut(self) -> list[Block]:
        """Every block until the connection is cut; half a block counts for nothing, as in a browser."""
        blocks = []
        with suppress(httpx.RemoteProtocolError):
            async with asyncio.timeout(_GIVE_UP_SECONDS):
                while block := await self.block():
                    blocks.append(block)
        return blocks


@asynccontextmanager
async def listening(
    client: httpx.AsyncClient, *, last_event_id: str | None = None, **query: str
) -> AsyncIterator[EventReader]:
    """Open the stream; when this returns, the server has registered the listener."""
    headers = {b"Last-Event-ID": last_event_id.encode()} if last_event_id is not None else {}
    async with client.stream("GET", "/documents/stream", params=query, headers=headers) as answer:
        assert answer.status_code == 200, await answer.aread()
        yield EventReader(answer)


async def answer_of(client: httpx.AsyncClient, **request: Any) -> httpx.Response:
    """What the stream's address answers: a refusal is read, a stream is not."""
    async with client.stream("GET", "/documents/stream", **request) as answer:
        if answer.status_code != 200:
            await answer.aread()
        return answer


def _block(raw: str) -> Block:
    lines = raw.split("\n")
    fields = dict(line.partition(": ")[::2] for line in lines if not line.startswith(":"))
    return Block(
        raw=raw,
        id=fields.get("id"),
        event=fields.get("event"),
        data=json.loads(fields.get("data", "{}")),
        retry=int(fields["retry"]) if "retry" in fields else None,
        comments=tuple(line.removeprefix(":").strip() for line in lines if line.startswith(":")),
    )
