"""Kills, duplicates, delays, refusals and database restarts at once, while documents are uploaded and deleted."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

from tests.chaos.history import History
from tests.chaos.live.clients import Caller
from tests.chaos.live.fault_proxy import Faults
from tests.chaos.live.ground import Ground, restart_now_and_then
from tests.chaos.live.recorder import text_of
from tests.chaos.live.stage import Stage, names, stage


@dataclass(frozen=True, kw_only=True, slots=True)
class Fire:
    """Everything at once. `seconds` bounds the wait for the end of all documents; `strikes` kills and restarts."""

    documents: int = 1_000
    owners: int = 20
    workers: int = 4
    apis: int = 2
    concurrency: int = 2
    kill_every_seconds: float = 2.0
    duplicates: float = 0.2
    delays: float = 0.03
    delay_seconds: float = 90.0
    refusals: float = 0.005
    restart_seconds_min: float = 5.0
    restart_seconds_max: float = 40.0
    deletions: float = 0.03
    cancellations: float = 0.03
    listeners: int = 3
    strikes: int | None = None
    seconds: float = 1_200.0

    async def run(self, ground: Ground, chance: random.Random) -> History:
        faults = Faults(
            duplicate=self.duplicates, delay=self.delays, delay_seconds=self.delay_seconds, refuse=self.refusals
        )
        async with (
            stage(
                ground,
                chance,
                apis=self.apis,
                workers=self.workers,
                owners=self.owners,
                faults=faults,
                concurrency=self.concurrency,
            ) as on,
            on.listening(self.listeners),
        ):
            on.model_takes(0.02, 0.3, calls=3 * self.documents)
            killing = on.killing(self.kill_every_seconds, apis=0.1, at_most=self.strikes)
            async with killing, self._restarts(ground, on):
                await asyncio.gather(*(self._use(user, number) for number, user in enumerate(on.users)))
                await on.until_ended(seconds=self.seconds)
            return await on.history(quiet_seconds=self.delay_seconds + 60, listeners=self.listeners)

    @asynccontextmanager
    async def _restarts(self, ground: Ground, on: Stage) -> AsyncIterator[None]:
        calm = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            if ground.postgres is not None:
                between = (self.restart_seconds_min, self.restart_seconds_max)
                tasks.create_task(
                    restart_now_and_then(
                        ground.postgres,
                        chance=on.chance,
                        seconds=between,
                        note=on.cluster.note,
                        calm=calm,
                        at_most=self.strikes,
                    )
                )
            try:
                yield
            finally:
                calm.set()

    async def _use(self, user: Caller, number: int) -> None:
        """Upload one file after the other; now and then cancel or delete one."""
        uploaded: dict[str, UUID] = {}
        for owner, name in names(self.documents, self.owners):
            if owner != number:
                continue
            document_id = await user.upload(name, text_of(name))
            if document_id is not None:
                uploaded[name] = document_id
            if uploaded and user.chance.random() < self.cancellations:
                unlucky = user.chance.choice(sorted(uploaded))
                await user.ask("cancel", unlucky, uploaded[unlucky])
            if uploaded and user.chance.random() < self.deletions:
                unlucky = user.chance.choice(sorted(uploaded))
                await user.ask("delete", unlucky, uploaded.pop(unlucky))
