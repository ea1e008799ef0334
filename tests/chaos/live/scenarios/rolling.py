"""SIGTERM under load: the worker finishes or gives back what it holds, and leaves nothing hidden behind."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass

from tests.chaos.history import History, Stop
from tests.chaos.live.ground import Ground
from tests.chaos.live.recorder import text_of
from tests.chaos.live.stage import Stage, stage


@dataclass(frozen=True, kw_only=True, slots=True)
class Rolling:
    """One worker, so that every message in flight is its own. Calls outlast the grace, so that some are given back."""

    restarts: int = 20
    batch: int = 6
    concurrency: int = 4
    seconds: float = 300.0

    async def run(self, ground: Ground, chance: random.Random) -> History:
        async with stage(
            ground, chance, apis=1, workers=1, owners=4, concurrency=self.concurrency, queue_order="none"
        ) as on:
            on.model_takes(0.1, 1.5 * on.settings.shutdown_seconds, calls=5 * self.restarts * self.batch)
            stops = [await self._restart(on, number) for number in range(self.restarts)]
            await on.until_ended(seconds=self.seconds)
            return await on.history(quiet_seconds=60, stops=tuple(stops), spotless=True)

    async def _restart(self, on: Stage, number: int) -> Stop:
        files = [f"rolling-{number:02}-{index:02}.txt" for index in range(self.batch)]
        await asyncio.gather(*(on.users[index % 4].upload(name, text_of(name)) for index, name in enumerate(files)))
        await asyncio.sleep(on.chance.uniform(0, 2))
        (worker,) = on.cluster.workers
        seconds = await on.cluster.terminate(worker)
        in_flight = await on.recorder.in_flight()
        await on.cluster.start_again(worker)
        return Stop(seconds=seconds, in_flight=in_flight, allowed_seconds=on.settings.shutdown_seconds + 5)
