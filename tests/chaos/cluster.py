"""Several API processes on one store, as behind a load balancer, that are killed and started again."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from docrelay.embedded.child import end, free_port
from docrelay.embedded.services import Api
from shared.settings import Settings
from tests.chaos.live.waiting import comes

CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(kw_only=True, slots=True)
class Cluster:
    """`ports`: where a balancer that has looked a moment ago would send a request."""

    processes: dict[int, Api]
    ports: list[int] = field(default_factory=list)
    kills: int = 0

    async def kill_one(self) -> None:
        """Kill a process without warning, and start it again."""
        port = random.choice(self.ports)
        self.processes[port].kill()
        self.kills += 1
        # Requests go there a little longer, and are refused.
        await asyncio.sleep(0.1)
        self.ports.remove(port)
        await asyncio.to_thread(self.processes[port].start)
        self.ports.append(port)

    async def kill_every(self, seconds: float, calm: asyncio.Event) -> None:
        while not await comes(calm, seconds=seconds):
            await self.kill_one()


@asynccontextmanager
async def cluster(settings: Settings, folder: Path, *, size: int) -> AsyncIterator[Cluster]:
    processes = {port: an_api(settings, folder, port) for port in (free_port() for _ in range(size))}
    running = Cluster(processes=processes)
    try:
        for port, process in processes.items():
            await asyncio.to_thread(process.start)
            running.ports.append(port)
        yield running
    finally:
        await asyncio.to_thread(end, *processes.values())


@asynccontextmanager
async def killing(running: Cluster, *, every_seconds: float) -> AsyncIterator[None]:
    calm = asyncio.Event()
    killer = asyncio.create_task(running.kill_every(every_seconds, calm))
    try:
        yield
    finally:
        calm.set()
        # Not cancelled: what is being started would be left, as its thread goes on.
        await killer


def an_api(settings: Settings, folder: Path, port: int, **changed: str) -> Api:
    return Api(port=port, environment=_environment(settings, port) | changed, log_path=folder / f"api-{port}.log")


def _environment(settings: Settings, port: int) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(CHECKOUT),
        "JWT_SECRET": settings.signing_key().decode(),
        "AWS_ENDPOINT_URL": settings.aws_endpoint_url or "",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "DOCRELAY_STORE": settings.store,
        "DOCRELAY_DATABASE_URL": settings.database_url.get_secret_value(),
        "DOCRELAY_TABLE": settings.table,
        "DOCRELAY_BUCKET": settings.bucket,
        "DOCRELAY_QUEUE_NAME": settings.queue_name,
        "DOCRELAY_PORT": str(port),
        "DOCRELAY_MAX_STREAMS_PER_USER": "5000",
    }
