"""Clients of the stream that count what they miss: over connections that break, and through Lambda's adapter."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Sequence
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import UUID

import httpx2
from mangum import Mangum

from api_service.app import PREFIX, create_app
from docrelay.client import Client, Event, Reset, Token
from shared.bootstrap import open_backends
from shared.settings import Settings

Fact = tuple[UUID, str, int]


@dataclass(kw_only=True, slots=True)
class Tally:
    """What one client saw of a feed of `total` events. `facts`: what the first client to see an event saw."""

    total: int
    facts: dict[int, Fact]
    cursor: str = "0"
    last: int = 0
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("repeated", "reordered", "differing"), 0))
    resets: int = 0
    _seen: set[int] = field(default_factory=set)

    @property
    def missed(self) -> int:
        return self.total - len(self._seen)

    def note(self, told: Event | Reset) -> None:
        self.cursor = told.cursor
        if isinstance(told, Reset):
            self.resets += 1
            return
        seq = int(told.cursor.partition(".")[2])
        fact = (told.document_id, told.status, told.version)
        self.counts["repeated"] += seq in self._seen
        self.counts["reordered"] += seq < self.last and seq not in self._seen
        self.counts["differing"] += self.facts.setdefault(seq, fact) != fact
        self._seen.add(seq)
        self.last = max(self.last, seq)


class Breaking(httpx2.AsyncBaseTransport):
    """Sends each request to one of the ports, and cuts its connection after a while, in the middle of anything."""

    def __init__(self, ports: Sequence[int], *, cut_seconds: tuple[float, float]) -> None:
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=0)
        self._inner = httpx2.AsyncHTTPTransport(limits=limits)
        self._ports = ports
        self._cut_seconds = cut_seconds
        self.connections = 0
        self.cuts = 0

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        request.url = request.url.copy_with(port=random.choice(self._ports))
        response = await self._inner.handle_async_request(request)
        self.connections += 1
        connection = response.extensions["network_stream"].get_extra_info("socket")
        asyncio.get_running_loop().call_later(random.uniform(*self._cut_seconds), self._cut, connection)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()

    def _cut(self, connection: socket.socket) -> None:
        # It may have ended by itself.
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
            self.cuts += 1


async def follow(client: Client, tally: Tally) -> None:
    """Read until the last event has come."""
    while tally.last < tally.total:
        # The client gives up only when its very first connection fails, which a killed process makes happen here.
        with suppress(httpx2.TransportError):
            async with aclosing(client.events(cursor=tally.cursor)) as events:
                async for told in events:
                    tally.note(told)
                    if tally.last >= tally.total:
                        break
        await asyncio.sleep(0)


class LambdaReader:
    """Reads a feed through Mangum, as API Gateway's HTTP APIs call it: each answer arrives when it has ended.

    Blocks, and has an event loop of its own: for a thread.
    """

    def __init__(self, settings: Settings, *, token: str, tally: Tally) -> None:
        bounds = {"stream_seconds": 20.0, "stream_linger_seconds": 0.0, "stream_max_bytes": 4_194_304}
        self._settings = settings.model_copy(update=bounds)
        self._headers = {"authorization": f"Bearer {token}"}
        self._tally = tally
        self.invocations = 0

    def run(self) -> None:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        stack = AsyncExitStack()
        try:
            backends = loop.run_until_complete(stack.enter_async_context(open_backends(self._settings)))
            app = create_app(self._settings, backends)
            loop.run_until_complete(stack.enter_async_context(app.router.lifespan_context(app)))
            handler = Mangum(app, lifespan="off")
            while self._tally.last < self._tally.total:
                self._read(handler(self._event(), cast("Any", None)))
                self.invocations += 1
        finally:
            loop.run_until_complete(stack.aclose())
            loop.close()

    def _read(self, answer: dict[str, Any]) -> None:
        assert answer["statusCode"] == 200, answer
        # httpx2's reader of the format, over an answer that is already complete.
        body = httpx2.Response(200, headers=answer["headers"], text=answer["body"], request=httpx2.Request("GET", "/"))
        for sent in httpx2.EventSource(body):
            if sent.event == "status":
                self._tally.note(Event.of(sent))

    def _event(self) -> dict[str, Any]:
        path = f"{PREFIX}/documents/stream"
        http = {"method": "GET", "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "storm"}
        return {
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": path,
            "rawQueryString": "",
            "headers": {**self._headers, "last-event-id": self._tally.cursor, "host": "storm"},
            "requestContext": {"http": http, "stage": "$default"},
            "isBase64Encoded": False,
        }


def client_of(token: str, transport: httpx2.AsyncHTTPTransport | Breaking) -> Client:
    # Without a log line for each of many thousand requests, and without certificates, which take time to load.
    http = httpx2.AsyncClient(transport=transport)
    return Client("http://127.0.0.1", auth=Token(token), http=http)
