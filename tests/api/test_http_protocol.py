"""How much of a body the server holds for an application that has yet to ask for it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from itertools import count

import httpx
import uvicorn
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from api_service.http_protocol import LimitedHttpProtocol
from tests.support.running import until

BODIES = [bytes([number]) * 3_000_000 for number in range(3)]
MOST_HELD_BYTES = 16_384


class Waiting:
    """An application that takes the first piece of each body, and the rest once it may go on."""

    def __init__(self) -> None:
        self.taken: list[int] = []
        self.go_on = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        if request.method == "GET":
            return await PlainTextResponse("ok")(scope, receive, send)
        pieces = request.stream()
        first = await anext(pieces)
        self.taken.append(len(first))
        await self.go_on.wait()
        whole = first + b"".join([piece async for piece in pieces])
        return await PlainTextResponse(sha256(whole).hexdigest())(scope, receive, send)


@asynccontextmanager
async def served(app: Waiting) -> AsyncIterator[tuple[uvicorn.Server, httpx.AsyncClient]]:
    server = uvicorn.Server(uvicorn.Config(app, http=LimitedHttpProtocol, lifespan="off", log_config=None))

    async def started() -> bool:
        return server.started

    with socket.create_server(("127.0.0.1", 0)) as listening:
        running = asyncio.create_task(server.serve(sockets=[listening]))
        await until(started)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{listening.getsockname()[1]}", timeout=30) as client:
            yield server, client
        server.should_exit = True
        await running


async def test_body_is_read_no_further_than_the_application_has_asked() -> None:
    app = Waiting()
    async with served(app) as (server, client):
        sending = [asyncio.create_task(client.post("/", content=body)) for body in BODIES]
        for number in count():
            # Each is some turns of the loop that the bodies' sockets share.
            await client.get("/")
            if len(app.taken) == len(BODIES) and number >= 20:
                break
        held = [one.body_bytes for one in server.server_state.connections if isinstance(one, LimitedHttpProtocol)]
        assert sorted(filter(None, held)) == sorted(app.taken)
        assert max(held) <= MOST_HELD_BYTES
        app.go_on.set()
        assert [(await one).text for one in sending] == [sha256(body).hexdigest() for body in BODIES]
