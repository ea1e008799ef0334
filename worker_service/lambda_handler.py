"""The worker as a Lambda function: an SQS event's messages go through the same Handler as polled ones."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from functools import cache
from typing import Any

from shared.cold_start import importing

with importing():
    from shared.bootstrap import open_backends
    from shared.errors import BackendUnavailableError
    from shared.lambda_environment import Context, Environment, seconds_left
    from shared.ports import Delivery
    from worker_service.assembly import Worker, assemble
    from worker_service.consumer import Handler
    from worker_service.deliveries import in_groups, of_event, settle
    from worker_service.disposition import Disposition, Retry


def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:
    """Answer which messages Lambda must not delete."""
    environment, worker = _opened()
    again = environment.run(process(worker, event, seconds=seconds_left(context)))
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in again]}


async def process(worker: Worker, event: dict[str, Any], *, seconds: float) -> list[str]:
    """Handle messages for at most so long, each FIFO group in order; return the ids of those that come again.

    A message that comes again takes the rest of its group with it, untouched; so does one that there is no time for.
    """
    handler, stop, deliveries = worker.handler, asyncio.Event(), of_event(event)
    deadline = handler.clock() + timedelta(seconds=seconds)
    latest_start = deadline - timedelta(seconds=worker.job_seconds)
    verdicts: dict[str, Disposition] = {}
    alarm = asyncio.get_running_loop().call_later(seconds, stop.set)
    for group in in_groups(list(deliveries.values())):
        held_up = False
        for delivery in group:
            held_up = held_up or (len(verdicts) > 0 and handler.clock() > latest_start)
            if held_up:
                verdict = handler.give_back(delivery)
            else:
                await _take_in_hand(delivery, handler)
                verdict = await handler.handle(delivery, deadline=deadline, stop=stop)
                held_up = isinstance(verdict, Retry)
            verdicts[delivery.receipt] = verdict
            if isinstance(verdict, Retry):
                await settle(delivery, verdict, queue=handler.queue)
    alarm.cancel()
    return [key for key, delivery in deliveries.items() if isinstance(verdicts[delivery.receipt], Retry)]


async def _take_in_hand(delivery: Delivery, handler: Handler) -> None:
    """Hide the message for a lease, as a polling worker receives it.

    The event source has hidden it for as long as its queue says, half an hour: a function that is killed before its
    first heartbeat would hold up its owner's lane for all of that.
    """
    with suppress(BackendUnavailableError):
        await handler.queue.extend(delivery.receipt, visibility_seconds=round(handler.pipeline.lease_seconds))


@cache
def _opened() -> tuple[Environment, Worker]:
    environment = Environment(service="worker")
    worker = assemble(environment.settings, environment.open(open_backends(environment.settings)))
    environment.run(worker.start())
    return environment, worker
