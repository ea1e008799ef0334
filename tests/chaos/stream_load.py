"""What many connects, and the end of a process with many open streams, cost one API process."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import httpx2
import psutil

from api_service.app import PREFIX
from docrelay.embedded.child import free_port
from shared.bootstrap import open_backends
from shared.settings import Settings
from tests.chaos.cluster import an_api
from tests.support.callers import add_user, tokens_of

_AT_A_TIME = 50
_WARM = 1000
_LET_GO_SECONDS = 30


@dataclass(frozen=True, kw_only=True, slots=True)
class Use:
    descriptors: int
    megabytes: float

    @classmethod
    def of(cls, process: psutil.Process) -> Use:
        return cls(descriptors=process.num_fds(), megabytes=process.memory_info().rss / 1e6)


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    connects: int
    warm: Use
    after: Use
    open_streams: int
    stop_seconds: float
    farewells: int

    def show(self) -> None:
        opened = f"{self.warm.descriptors} after {_WARM}, {self.after.descriptors} at the end"
        print(f"  {self.connects} connects: descriptors {opened}")
        print(f"  memory {self.warm.megabytes:.0f} MB after {_WARM}, {self.after.megabytes:.0f} MB at the end")
        print(
            f"  SIGTERM with {self.open_streams} open streams: {self.farewells} said bye,"
            f" the process was gone after {self.stop_seconds:.2f} s"
        )


async def load(settings: Settings, folder: Path, *, connects: int, open_streams: int) -> Load:
    async with open_backends(settings) as backends:
        token = tokens_of(settings).access(await add_user(backends), uuid4())
    api = an_api(settings, folder, port := free_port())
    await asyncio.to_thread(api.start)
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=0)
    client = httpx2.AsyncClient(
        transport=httpx2.AsyncHTTPTransport(limits=limits),
        base_url=f"http://127.0.0.1:{port}{PREFIX}",
        headers={"Authorization": f"Bearer {token}"},
        timeout=60,
    )
    process = psutil.Process(api.pid)
    try:
        async with client:
            idle = Use.of(process).descriptors
            await connect(client, _WARM)
            warm = await settled(process, idle)
            await connect(client, connects - _WARM)
            after = await settled(process, idle)
            stop_seconds, farewells = await stop(client, process, open_streams)
    finally:
        api.kill()
    return Load(
        connects=connects,
        warm=warm,
        after=after,
        open_streams=open_streams,
        stop_seconds=stop_seconds,
        farewells=farewells,
    )


async def connect(client: httpx2.AsyncClient, times: int) -> None:
    """Open a stream, read its greeting and hang up."""
    turn = asyncio.Semaphore(_AT_A_TIME)

    async def once() -> None:
        async with turn, client.stream("GET", "/documents/stream") as answer:
            assert (await anext(answer.aiter_bytes())).startswith(b": connected")

    async with asyncio.TaskGroup() as tasks:
        for _ in range(times):
            tasks.create_task(once())


async def settled(process: psutil.Process, idle: int) -> Use:
    """When the process has seen the last client leave, or after a while when it holds on to something."""
    until = time.monotonic() + _LET_GO_SECONDS
    while process.num_fds() > idle and time.monotonic() < until:  # noqa: ASYNC110 - it is in another process
        await asyncio.sleep(0.1)
    return Use.of(process)


async def stop(client: httpx2.AsyncClient, process: psutil.Process, open_streams: int) -> tuple[float, int]:
    """How long the process took to end, and how many streams were told so."""
    async with AsyncExitStack() as stack:
        opening = (client.stream("GET", "/documents/stream") for _ in range(open_streams))
        answers = [await stack.enter_async_context(stream) for stream in opening]
        readers = [asyncio.create_task(answer.aread()) for answer in answers]
        ended = asyncio.create_task(asyncio.to_thread(end, process))
        bodies = await asyncio.gather(*readers)
        return await ended, sum(b"event: bye" in body for body in bodies)


def end(process: psutil.Process) -> float:
    """Stop the process; in a thread, because thousands of clients that go keep their event loop busy for longer."""
    began = time.monotonic()
    process.terminate()
    process.wait(60)
    return time.monotonic() - began
