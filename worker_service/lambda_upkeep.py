"""The due sweep and the dead letters as Lambda functions, for there is no worker that runs all the time."""

from __future__ import annotations

import asyncio
from functools import cache
from typing import Any

from shared.cold_start import importing

with importing():
    from shared.bootstrap import Backends, open_backends
    from shared.lambda_environment import Context, Environment, seconds_left
    from worker_service.dead_letters import DeadLetters
    from worker_service.deliveries import of_event, settle
    from worker_service.disposition import Retry
    from worker_service.reconciler import Reconciler
    from worker_service.upkeep import dead_letters_of, reconciler_of


def sweep(_event: dict[str, Any], context: Context) -> None:
    """Invoked by a schedule."""
    environment, backends = _opened()
    reconciler = reconciler_of(environment.settings, backends)
    environment.run(clear(reconciler, seconds=seconds_left(context)))


def bury(event: dict[str, Any], _context: Context) -> dict[str, Any]:
    """Invoked with messages of the dead-letter queue; answers which of them Lambda must not delete."""
    environment, backends = _opened()
    again = environment.run(process(dead_letters_of(environment.settings, backends), event))
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in again]}


async def clear(reconciler: Reconciler, *, seconds: float) -> None:
    """Sweep until nothing is due and nothing is kept for too long, at most so long."""
    stopping = asyncio.Event()
    alarm = asyncio.get_running_loop().call_later(seconds, stopping.set)
    await reconciler.clear(stopping)
    await reconciler.trim(stopping)
    alarm.cancel()


async def process(dead_letters: DeadLetters, event: dict[str, Any]) -> list[str]:
    again = []
    for message_id, delivery in of_event(event).items():
        verdict = await dead_letters.handle(delivery)
        if isinstance(verdict, Retry):
            await settle(delivery, verdict, queue=dead_letters.queue)
            again.append(message_id)
    return again


@cache
def _opened() -> tuple[Environment, Backends]:
    environment = Environment(service="upkeep")
    return environment, environment.open(open_backends(environment.settings))
