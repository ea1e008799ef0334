"""The API and the worker as they run in production, inside the test's own process."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import uuid4

import httpx

from api_service.__main__ import Server, server_config
from api_service.app import create_app
from shared.accounts import Role, User
from shared.adapters.argon2 import Argon2Passwords
from shared.bootstrap import open_backends
from shared.clock import utc_now
from shared.settings import Settings
from worker_service.assembly import assemble

PASSWORD = "correct horse battery staple"
_GIVE_UP_SECONDS = 30


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[str]:
    """Serve the API on a free loopback port; yields its base URL."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        async with open_backends(settings) as backends:
            app = create_app(settings, backends)
            server = Server(server_config(app, settings), app.state.services)
            running = asyncio.create_task(server.serve(sockets=[listening]))
            await until(_started(server))
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
            app.state.services.hub.close()
            server.should_exit = True
            await running


@asynccontextmanager
async def working(settings: Settings) -> AsyncIterator[None]:
    """Run a worker."""
    stopping = asyncio.Event()
    async with open_backends(settings) as backends:
        worker = assemble(settings, backends)
        await worker.start()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(worker.reconciler.run(stopping, every_seconds=settings.sweep_seconds))
                tasks.create_task(worker.dead_letters.run(stopping, every_seconds=1))
                tasks.create_task(worker.consumer.run(stopping, grace_seconds=5))
                yield
                stopping.set()
        finally:
            await worker.aclose()


@asynccontextmanager
async def logged_in(base_url: str, settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A client logged in as a new user."""
    name = f"user-{uuid4().hex[:12]}"
    await add_user(settings, name)
    async with httpx.AsyncClient(base_url=f"{base_url}/api/v1", timeout=30) as client:
        answer = await client.post("/auth/login", json={"username": name, "password": PASSWORD})
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        yield client


async def add_user(settings: Settings, name: str, *, role: Role = Role.USER) -> User:
    user = User(
        id=uuid4(),
        name=name,
        password_hash=await Argon2Passwords().hash(PASSWORD),
        role=role,
        created_at=utc_now(),
    )
    async with open_backends(settings) as backends:
        await backends.accounts.add_user(user)
    return user


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until `condition` holds; fails after half a minute."""
    async with asyncio.timeout(_GIVE_UP_SECONDS):
        while not await condition():  # noqa: ASYNC110 - what is waited for is in another process
            await asyncio.sleep(0.02)


def _started(server: Server) -> Callable[[], Awaitable[bool]]:
    async def started() -> bool:
        return server.started

    return started
