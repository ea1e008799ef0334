"""Replies that are lost after their request had its effect: at the queue, the bucket and the store."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from pydantic import SecretStr

from tests.chaos.history import History
from tests.chaos.live.fault_proxy import Faults
from tests.chaos.live.ground import Ground
from tests.chaos.live.pg_proxy import PostgresProxy
from tests.chaos.live.recorder import text_of
from tests.chaos.live.stage import names, stage


@dataclass(frozen=True, kw_only=True, slots=True)
class LostReplies:
    """`lost` is the share of replies that are lost. Nobody is killed, so nothing may fail and nothing run twice."""

    documents: int = 500
    owners: int = 20
    workers: int = 2
    concurrency: int = 4
    lost: float = 0.1
    seconds: float = 600.0

    async def run(self, ground: Ground, chance: random.Random) -> History:
        async with (
            self._store(ground, chance) as (proxy, theirs),
            stage(
                ground,
                chance,
                apis=1,
                workers=self.workers,
                owners=self.owners,
                faults=Faults(lose_reply=self.lost),
                processes=theirs,
                concurrency=self.concurrency,
            ) as on,
        ):
            if proxy is not None:
                proxy.lose_reply = self.lost
            turns = asyncio.Semaphore(8)

            async def upload(owner: int, name: str) -> None:
                async with turns:
                    await on.users[owner].upload(name, text_of(name))

            await asyncio.gather(*(upload(owner, name) for owner, name in names(self.documents, self.owners)))
            await on.until_ended(seconds=self.seconds)
            if proxy is not None:
                proxy.lose_reply = 0.0
            history = await on.history(quiet_seconds=60, spotless=True)
        return replace(history, faults={**history.faults, "lost commits": proxy.lost if proxy else 0})

    @asynccontextmanager
    async def _store(
        self, ground: Ground, chance: random.Random
    ) -> AsyncIterator[tuple[PostgresProxy | None, dict[str, Any]]]:
        """What the processes connect to. DynamoDB is behind the other proxy already."""
        if ground.settings.store != "postgres":
            yield None, {}
            return
        proxy = PostgresProxy(url=ground.settings.database_url.get_secret_value(), chance=chance)
        async with proxy.running() as url:
            yield proxy, {"database_url": SecretStr(url)}
