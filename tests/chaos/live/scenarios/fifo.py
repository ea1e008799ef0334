"""Strict order: whatever is killed, duplicated or late, first claims come in the order of the queue."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tests.chaos.history import History
from tests.chaos.live.clients import Caller
from tests.chaos.live.fault_proxy import Faults
from tests.chaos.live.ground import Ground
from tests.chaos.live.recorder import text_of
from tests.chaos.live.stage import names, stage


@dataclass(frozen=True, kw_only=True, slots=True)
class Fifo:
    """With `order` owner, users upload at the same time, each one file after the other; with global, in turns."""

    documents: int = 500
    owners: int = 20
    workers: int = 4
    concurrency: int = 2
    order: Literal["owner", "global"] = "owner"
    kill_every_seconds: float = 5.0
    duplicates: float = 0.2
    delays: float = 0.01
    delay_seconds: float = 5.0
    seconds: float = 600.0

    async def run(self, ground: Ground, chance: random.Random) -> History:
        faults = Faults(duplicate=self.duplicates, delay=self.delays, delay_seconds=self.delay_seconds)
        async with stage(
            ground,
            chance,
            apis=2,
            workers=self.workers,
            owners=self.owners,
            faults=faults,
            concurrency=self.concurrency,
            queue_order=self.order,
        ) as on:
            async with on.killing(self.kill_every_seconds):
                await self._upload(on.users)
                await on.until_ended(seconds=self.seconds)
            return await on.history(quiet_seconds=60, ordered=self.order)

    async def _upload(self, users: Sequence[Caller]) -> None:
        if self.order == "global":
            for owner, name in names(self.documents, self.owners):
                await users[owner].upload(name, text_of(name))
        else:
            await asyncio.gather(*(self._upload_own(number, user) for number, user in enumerate(users)))

    async def _upload_own(self, number: int, user: Caller) -> None:
        for owner, name in names(self.documents, self.owners):
            if owner == number:
                await user.upload(name, text_of(name))
