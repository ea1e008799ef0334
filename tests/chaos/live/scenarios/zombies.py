"""Workers that are stopped beyond their leases and then go on, as if nothing had happened."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, replace
from uuid import UUID

from docrelay.embedded.services import Worker
from shared.document import DocumentStatus
from tests.chaos.history import History
from tests.chaos.live.ground import Ground
from tests.chaos.live.recorder import text_of
from tests.chaos.live.stage import Stage, stage
from tests.chaos.live.waiting import holds

_REFUSED = '"document.attempt_failed"'
# Long enough for a stop to meet the calls while they last.
_CALL_SECONDS = 4.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Zombies:
    """One of two workers is stopped while it holds documents; it goes on when the other has finished them all."""

    zombies: int = 200
    concurrency: int = 25
    rounds: int = 30
    seconds: float = 60.0

    async def run(self, ground: Ground, chance: random.Random) -> History:
        async with stage(
            ground, chance, apis=1, workers=2, owners=2, concurrency=self.concurrency, queue_order="none"
        ) as on:
            zombies = refused = 0
            for number in range(self.rounds):
                made, denied = await self._round(on, number)
                zombies, refused = zombies + made, refused + denied
                if zombies >= self.zombies:
                    break
            history = await on.history(quiet_seconds=60)
        return replace(history, faults={**history.faults, "zombies": zombies, "writes refused": refused})

    async def _round(self, on: Stage, number: int) -> tuple[int, int]:
        """Returns how many documents the stopped worker held, and how often it was refused afterwards."""
        batch = 2 * self.concurrency
        on.model_takes(_CALL_SECONDS, _CALL_SECONDS, calls=batch)
        files = [f"zombie-{number:02}-{index:03}.txt" for index in range(batch)]
        uploads = [on.users[index % 2].upload(name, text_of(name)) for index, name in enumerate(files)]
        document_ids = [one for one in await asyncio.gather(*uploads) if one is not None]
        await self._some_are_analyzed(on, document_ids)
        victim = await self._busiest(on, document_ids)
        on.cluster.pause(victim)
        held = await _held(on, victim, document_ids)
        before = victim.log_path.read_text().count(_REFUSED)
        await on.until_ended(seconds=self.seconds)
        on.cluster.resume(victim)

        def denied() -> int:
            return victim.log_path.read_text().count(_REFUSED) - before

        await holds(lambda: denied() >= len(held), seconds=15)
        return len(held), denied()

    async def _busiest(self, on: Stage, document_ids: list[UUID]) -> Worker:
        holding = {worker.role: len(await _held(on, worker, document_ids)) for worker in on.cluster.workers}
        return max(on.cluster.workers, key=lambda worker: holding[worker.role])

    async def _some_are_analyzed(self, on: Stage, document_ids: list[UUID]) -> None:
        while True:
            await on.recorder.follow()
            reached = [on.recorder.status(one) for one in document_ids]
            # As many as one of the two can hold at most; when the machine is slow, whatever there is in the end.
            if reached.count(DocumentStatus.ANALYZING) >= self.concurrency or DocumentStatus.COMPLETED in reached:
                return
            await asyncio.sleep(0.05)


async def _held(on: Stage, worker: Worker, document_ids: list[UUID]) -> list[UUID]:
    """Which of the documents the worker holds."""
    found = [await on.backends.documents.get(one) for one in document_ids]
    return [one.id for one in found if one and one.lease and one.lease.holder == worker.instance_id]
