"""What a scenario plays on: opened backends, running processes behind the fault proxy, users, and a recorder."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any
from uuid import UUID

from shared.bootstrap import Backends, open_backends
from shared.settings import Settings
from tests.chaos.history import History
from tests.chaos.live.clients import Caller, callers
from tests.chaos.live.cluster import Cluster, cluster_of
from tests.chaos.live.fault_proxy import Faults
from tests.chaos.live.ground import Ground
from tests.chaos.live.recorder import Recorder, billed_by
from tests.chaos.live.waiting import comes


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    settings: Settings
    backends: Backends
    cluster: Cluster
    users: Sequence[Caller]
    recorder: Recorder
    chance: random.Random

    def promised(self) -> set[UUID]:
        """Every document that somebody was told of."""
        return {one.document_id for user in self.users for one in user.answers if one.document_id is not None}

    async def until_ended(self, *, seconds: float) -> None:
        await self.recorder.until_ended(self.promised(), seconds=seconds)

    def model_takes(self, low: float, high: float, *, calls: int) -> None:
        """Script how many seconds the next calls of the model take."""
        self.cluster.model.script([f"slow:{self.chance.uniform(low, high):.3f}" for _ in range(calls)])

    async def history(self, *, quiet_seconds: float, listeners: int = 0, **facts: Any) -> History:
        """Let the faults stop and everything come to rest; then write down what happened."""
        self.cluster.proxy.calm()
        await self.cluster.until_all_run()
        left = await self.recorder.until_quiet(seconds=quiet_seconds)
        seen = {user.id: await self.recorder.all_seen(user) for user in self.users[:listeners]}
        cluster = self.cluster
        done = {"acts": tuple(cluster.acts), "billed": billed_by(cluster.model), "faults": dict(cluster.proxy.done)}
        answers = [answer for user in self.users for answer in user.answers]
        return await self.recorder.history(answers, left=left, seen=seen, **done, **facts)

    @asynccontextmanager
    async def listening(self, listeners: int) -> AsyncIterator[None]:
        """Some users follow their streams meanwhile."""
        tasks = [asyncio.create_task(user.listen()) for user in self.users[:listeners]]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    @asynccontextmanager
    async def killing(
        self, every_seconds: float, *, apis: float = 0.0, at_most: int | None = None
    ) -> AsyncIterator[None]:
        """Kill a worker at once, and somebody every so often, half of the times when a request had its effect.

        `apis` is the share of kills that hit an API process; 0 seconds kills nobody. Where processes start slowly, only
        a number that is bounded leaves time for work.
        """
        calm = asyncio.Event()
        task = asyncio.create_task(self._kill(every_seconds, apis, calm, at_most)) if every_seconds else None
        try:
            yield
        finally:
            calm.set()
            if task is not None:
                await task

    async def _kill(self, every_seconds: float, apis: float, calm: asyncio.Event, at_most: int | None) -> None:
        cluster, chance = self.cluster, self.chance
        cluster.kill(chance.choice(cluster.workers))
        left = count() if at_most is None else range(at_most - 1)
        for _ in left:
            if await comes(calm, seconds=every_seconds):
                return
            victim = chance.choice(cluster.apis if chance.random() < apis else cluster.workers)
            if chance.random() < 0.5:
                cluster.kill(victim)
            else:
                cluster.kill_after_next_effect(victim)


@asynccontextmanager
async def stage(
    ground: Ground,
    chance: random.Random,
    *,
    apis: int,
    workers: int,
    owners: int,
    faults: Faults | None = None,
    processes: Mapping[str, Any] | None = None,
    **changed: Any,
) -> AsyncIterator[Stage]:
    """`changed` are settings, `processes` settings that only the processes have. Faults begin when all have started."""
    settings = ground.settings.model_copy(update=changed)
    theirs = settings.model_copy(update=dict(processes or {}))
    async with (
        open_backends(settings) as backends,
        cluster_of(theirs, ground.folder, apis=apis, workers=workers, chance=chance) as cluster,
        callers(owners, settings=settings, backends=backends, urls=cluster.urls, chance=chance) as users,
    ):
        if faults is not None:
            cluster.proxy.faults = faults
        recorder = Recorder(settings=settings, backends=backends, owners=[user.id for user in users])
        yield Stage(
            settings=settings, backends=backends, cluster=cluster, users=users, recorder=recorder, chance=chance
        )


def names(documents: int, owners: int) -> Iterator[tuple[int, str]]:
    """File names, each with the number of the user who uploads it, in turns."""
    return ((index % owners, f"note-{index % owners:02}-{index:04}.txt") for index in range(documents))
