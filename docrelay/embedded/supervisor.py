"""Keeps the embedded stack's processes alive: starts them in order, starts again what dies, ends them in order."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from docrelay.embedded.child import TICK_SECONDS, Child, end
from docrelay.embedded.emulator import Emulator
from docrelay.embedded.home import Home
from docrelay.embedded.postgres import EmbeddedPostgres
from docrelay.embedded.services import Api, Worker
from shared import log
from shared.bootstrap import begin_anew, open_backends, provision, upgrade_database
from shared.clock import utc_now
from shared.errors import BackendUnavailableError, ConfigurationError
from shared.settings import Settings

_log = log.get(__name__)

# A child that lived this long has started well: its next death is not counted with the ones before.
_STABLE_SECONDS = 10.0
_WATCH_SECONDS = 0.2
_PAUSE_SECONDS_MAX = 5.0
_READY = object()

Say = Callable[[str], None]
_T = TypeVar("_T")


class Supervisor:
    """Runs one stack until `request_stop` is called. `settings` are those of the stack's own backends."""

    def __init__(
        self,
        *,
        home: Home,
        settings: Settings,
        emulator: Emulator,
        postgres: EmbeddedPostgres | None,
        api: Api,
        workers: Sequence[Worker],
        grace_seconds: float,
        say: Say,
    ) -> None:
        self._home = home
        self._settings = settings
        self._emulator = emulator
        self._backends: list[Child] = [emulator, *([postgres] if postgres else [])]
        self._services: list[Child] = [api, *workers]
        self._grace_seconds = grace_seconds
        self._say = say
        self._pids = {"supervisor": os.getpid()}
        self._stopping = False

    def request_stop(self, *_: object) -> None:
        """Also a signal handler; harmless when repeated."""
        self._stopping = True

    async def run(self, announce: Callable[[], None]) -> None:
        """Start everything, call `announce`, supervise. Raises ConfigurationError when something does not start."""
        stack = asyncio.create_task(self._run_stack(announce))
        try:
            while not self._stopping:
                done, _ = await asyncio.wait({stack}, timeout=TICK_SECONDS)
                for ended in done:
                    ended.result()
        finally:
            stack.cancel()
            await asyncio.wait({stack})
            self._end_all()

    async def _run_stack(self, announce: Callable[[], None]) -> None:
        self._say(f"Starting {', '.join(child.role for child in self._backends)} ...")
        await _together(*map(self._start, self._backends))
        self._say(f"Preparing bucket, queue and {self._settings.store} ...")
        await self._prepare()
        self._say(f"Starting {', '.join(child.role for child in self._services)} ...")
        await _together(*map(self._start, self._services))
        announce()
        await _together(*map(self._keep, (*self._backends, *self._services)))

    async def _prepare(self) -> None:
        try:
            await asyncio.to_thread(upgrade_database, self._settings)
            await provision(self._settings)
        except BackendUnavailableError as exc:
            raise ConfigurationError(f"The data in {self._home.path} cannot be used: {exc}") from exc

    async def _start(self, child: Child) -> None:
        steps = child.starting()
        while await _finished(asyncio.to_thread(next, steps, _READY)) is not _READY:
            self._note_pid(child)
            await asyncio.sleep(TICK_SECONDS)
        self._note_pid(child)

    def _note_pid(self, child: Child) -> None:
        if self._pids.get(child.role) != child.pid:
            self._pids[child.role] = child.pid
            self._home.write_pids(self._pids)

    async def _keep(self, child: Child) -> None:
        deaths = 0
        while True:
            while child.running:  # noqa: ASYNC110 - the death of a child sets no event
                await asyncio.sleep(_WATCH_SECONDS)
            deaths = 1 if time.monotonic() - child.spawned_at > _STABLE_SECONDS else deaths + 1
            self._say(f"{child.role} {child.ending}; starting it again ...")
            _log.warning("child.died", role=child.role, deaths=deaths)
            while not await self._revived(child, pause_seconds=_pause_seconds(deaths)):
                deaths += 1
            self._say(f"{child.role} is back.")
            if child is self._emulator and self._settings.store == "dynamodb":
                self._say("The emulator saves DynamoDB when it is stopped only: it has lost what came since its start.")

    async def _revived(self, child: Child, *, pause_seconds: float) -> bool:
        """Start a dead child again and make good what its death has lost; False when that failed."""
        await asyncio.sleep(pause_seconds)
        try:
            if isinstance(child, Worker):
                await self._release_leases(child)
            await self._start(child)
            if child is self._emulator:
                await provision(self._settings)
                if self._settings.store == "dynamodb":
                    await begin_anew(self._settings)
        except (BackendUnavailableError, ConfigurationError) as exc:
            self._say(f"{child.role} could not be started again: {exc}")
            child.kill()
            return False
        return True

    async def _release_leases(self, worker: Worker) -> None:
        async with open_backends(self._settings) as backends:
            await backends.documents.expire_leases(worker.instance_id, now=utc_now())

    def _end_all(self) -> None:
        """Services first, then the emulator, which saves its tables, then the database."""
        self._say("Stopping ...")
        end(*self._services, grace_seconds=self._grace_seconds)
        for backend in self._backends:
            end(backend)
        self._home.write_pids({})


def _pause_seconds(deaths: int) -> float:
    return min(0.25 * 2 ** min(deaths - 1, 10), _PAUSE_SECONDS_MAX) if deaths > 1 else 0.0


async def _finished(step: Coroutine[Any, Any, _T]) -> _T:
    """Await a step that a cancelled caller must not leave behind half done: it may have started a process."""
    task = asyncio.create_task(step)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


async def _together(*jobs: Coroutine[Any, Any, None]) -> None:
    """Run all at the same time; the first failure cancels the others and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            for job in jobs:
                group.create_task(job)
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
