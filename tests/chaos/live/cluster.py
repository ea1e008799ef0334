"""Real API and worker processes around real backends: started, killed, stopped, started again; each act is noted.

It knows nothing of what is uploaded, nor of what has to hold.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import AliasChoices, SecretStr

from docrelay.embedded.child import Child, ChildFailedError, free_port
from docrelay.embedded.services import Api, Worker
from shared.settings import Settings
from tests.chaos.history import Act
from tests.chaos.live.fault_proxy import FaultProxy, Faults
from tests.chaos.live.waiting import holds
from tests.support.openai_server import OpenAIServer

_CHECKOUT = Path(__file__).resolve().parents[3]
_FOREIGN = ("AWS_", "DOCRELAY_", "JWT_", "OPENAI_")
_WATCH_SECONDS = 0.1
_START_SECONDS = 60.0
_STOP_SECONDS = 60.0
_READY = object()


@dataclass(kw_only=True)
class Cluster:
    """The processes of one scenario. `settings` are the scenario's own: straight to the backends, without faults."""

    settings: Settings
    folder: Path
    proxy: FaultProxy
    model: OpenAIServer
    chance: random.Random
    apis: list[Api] = field(default_factory=list)
    workers: list[Worker] = field(default_factory=list)
    acts: list[Act] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)
    _keepers: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _held: set[str] = field(default_factory=set)
    _doomed: dict[str, Child] = field(default_factory=dict)
    _ending: bool = False

    def note(self, what: str, whom: str) -> None:
        self.acts.append(Act(at=time.time(), what=what, whom=whom))

    async def add_api(self, **changed: Any) -> None:
        name, port = f"api-{len(self.apis) + 1}", free_port()
        environment = await self._environment(name, port=port, **changed)
        api = Api(port=port, environment=environment, log_path=self.folder / f"{name}.log")
        api.role = name
        self.apis.append(api)
        await self._launch(api)
        self.urls.append(f"http://127.0.0.1:{port}")

    async def add_worker(self, **changed: Any) -> None:
        number = len(self.workers) + 1
        environment = await self._environment(f"worker-{number}", **changed)
        log_path = self.folder / f"worker-{number}.log"
        worker = Worker(number=number, environment=environment, log_path=log_path, quiet=False)
        self.workers.append(worker)
        await self._launch(worker)

    def kill(self, child: Child) -> bool:
        """kill -9 of the process alone, whatever it is doing. Its keeper starts it again."""
        if not child.running:
            return False
        self.note("kill", child.role)
        self.signal(child, signal.SIGKILL)
        return True

    def kill_after_next_effect(self, child: Child) -> None:
        """kill -9 of the process when its next change at the AWS emulator is made, before it hears of it."""
        self._doomed[child.role] = child

    def effect(self, role: str) -> None:
        if child := self._doomed.pop(role, None):
            self.kill(child)

    def signal(self, child: Child, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.kill(child.pid, number)

    def pause(self, child: Child) -> None:
        self.note("stop", child.role)
        self.signal(child, signal.SIGSTOP)

    def resume(self, child: Child) -> None:
        self.note("continue", child.role)
        self.signal(child, signal.SIGCONT)

    async def terminate(self, child: Child) -> float:
        """SIGTERM without a restart; returns the seconds until it has ended."""
        self.note("terminate", child.role)
        self._held.add(child.role)
        began = time.monotonic()
        self.signal(child, signal.SIGTERM)
        await holds(lambda: not child.running, seconds=_STOP_SECONDS)
        return time.monotonic() - began

    async def start_again(self, child: Child) -> None:
        await _started(child)
        self._held.discard(child.role)

    async def until_all_run(self) -> None:
        await holds(lambda: all(child.running for child in (*self.apis, *self.workers)), seconds=_START_SECONDS)

    async def _launch(self, child: Child) -> None:
        await _started(child)
        self._keepers[child.role] = asyncio.create_task(self._keep(child))

    async def _keep(self, child: Child) -> None:
        """Start the process again whenever it has ended, as an orchestrator does."""
        while not self._ending:
            await asyncio.sleep(_WATCH_SECONDS)
            if not child.running and child.role not in self._held:
                # Killed once more while starting, or its backends are away: it is tried again.
                with suppress(ChildFailedError):
                    await _started(child)

    async def _environment(self, name: str, *, port: int = 0, **changed: Any) -> dict[str, str]:
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(_FOREIGN)}
        settings = self.settings.model_copy(update={"port": port, **changed})
        return {
            **inherited,
            "PYTHONPATH": str(_CHECKOUT),
            **environment_of(settings),
            "AWS_ENDPOINT_URL": await self.proxy.door(name),
            "OPENAI_BASE_URL": self.model.base_url,
            "OPENAI_API_KEY": "sk-nobodys",
        }

    async def end(self) -> None:
        self._ending = True
        for child in (*self.apis, *self.workers):
            if child.running:
                self.signal(child, signal.SIGKILL)
        await asyncio.gather(*self._keepers.values())
        for child in (*self.apis, *self.workers):
            child.kill()


@asynccontextmanager
async def cluster_of(
    settings: Settings,
    folder: Path,
    *,
    apis: int = 1,
    workers: int = 1,
    faults: Faults | None = None,
    chance: random.Random | None = None,
) -> AsyncIterator[Cluster]:
    """Start the processes; `settings` are provisioned already. Ends everything that it has started."""
    chance = chance or random.Random()
    async with AsyncExitStack() as stack:
        model = stack.enter_context(OpenAIServer())
        assert settings.aws_endpoint_url is not None
        proxy = FaultProxy(upstream=settings.aws_endpoint_url, faults=faults or Faults(), chance=chance)
        await stack.enter_async_context(proxy.running())
        cluster = Cluster(settings=settings, folder=folder, proxy=proxy, model=model, chance=chance)
        proxy.after = cluster.effect
        stack.push_async_callback(cluster.end)
        async with asyncio.TaskGroup() as starting:
            for _ in range(apis):
                starting.create_task(cluster.add_api())
            for _ in range(workers):
                starting.create_task(cluster.add_worker())
        yield cluster


async def _started(child: Child) -> None:
    """Start a process without standing in the way of the proxy that it needs to get ready."""
    steps = child.starting()
    while await asyncio.to_thread(next, steps, _READY) is not _READY:  # noqa: ASYNC110 - no event tells
        await asyncio.sleep(0.05)


def environment_of(settings: Settings) -> Mapping[str, str]:
    """The settings as the variables that `Settings.load` reads them from."""
    found = {}
    for name, declared in type(settings).model_fields.items():
        value = getattr(settings, name)
        alias = declared.validation_alias
        variable = alias.choices[0] if isinstance(alias, AliasChoices) else alias
        if value is not None:
            found[str(variable or f"DOCRELAY_{name.upper()}")] = _text(value)
    return found


def _text(value: Any) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return json.dumps(value) if isinstance(value, dict) else str(value)
