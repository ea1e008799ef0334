"""The two ways in which messages reach the worker's handler: the polling consumer, and SQS events of Lambda."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from aiobotocore.session import get_session

from shared.adapters.aws import client_options
from shared.clock import utc_now
from shared.settings import Settings
from tests.support.running import until
from worker_service.assembly import Worker
from worker_service.consumer import Consumer
from worker_service.lambda_handler import process

Condition = Callable[[], Awaitable[bool]]
_VISIBILITY_SECONDS = 30
# For as long as template.yaml's queue says, the event source hides what it receives.
_HIDDEN_BY_LAMBDA_SECONDS = 1_800


class Runner(Protocol):
    async def run(self, worker: Worker, settings: Settings, *, done: Condition) -> None:
        """Let the worker have messages until `done`."""
        ...

    async def run_and_stop(self, worker: Worker, settings: Settings, *, begun: asyncio.Event) -> None:
        """Let the worker have messages, and stop it when `begun` is set, with work under way."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Polling:
    batch: int = 1

    async def run(self, worker: Worker, settings: Settings, *, done: Condition) -> None:  # noqa: ARG002 - Lambda's
        stopping = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._consumer(worker).run(stopping, grace_seconds=0))
            await until(done)
            stopping.set()

    async def run_and_stop(self, worker: Worker, settings: Settings, *, begun: asyncio.Event) -> None:  # noqa: ARG002
        stopping = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._consumer(worker).run(stopping, grace_seconds=0))
            await begun.wait()
            stopping.set()

    def _consumer(self, worker: Worker) -> Consumer:
        return Consumer(
            handler=worker.handler,
            queue=worker.handler.queue,
            slots=self.batch,
            batch=self.batch,
            wait_seconds=0,
            visibility_seconds=_VISIBILITY_SECONDS,
            job_seconds=60,
            clock=utc_now,
        )


class Lambda:
    """Receives batches and deletes what the handler does not name, as Lambda's own poller does."""

    async def run(self, worker: Worker, settings: Settings, *, done: Condition) -> None:
        async with get_session().create_client("sqs", **client_options(settings)) as client:

            async def invoked() -> bool:
                await self._invoke(client, worker, settings, seconds=600)
                return await done()

            await until(invoked)

    async def run_and_stop(self, worker: Worker, settings: Settings, *, begun: asyncio.Event) -> None:  # noqa: ARG002
        async with get_session().create_client("sqs", **client_options(settings)) as client:
            await self._invoke(client, worker, settings, seconds=0.5)

    async def run_and_kill(self, worker: Worker, settings: Settings, *, begun: asyncio.Event) -> None:
        """End the function when `begun` is set, with nothing given back."""
        async with get_session().create_client("sqs", **client_options(settings)) as client:
            invocation = asyncio.create_task(self._invoke(client, worker, settings, seconds=600))
            await begun.wait()
            invocation.cancel()
            await asyncio.gather(invocation, return_exceptions=True)

    async def _invoke(self, client: Any, worker: Worker, settings: Settings, *, seconds: float) -> None:
        url = (await client.get_queue_url(QueueName=f"{settings.queue_name}.fifo"))["QueueUrl"]
        answer = await client.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=10,
            WaitTimeSeconds=0,
            VisibilityTimeout=_HIDDEN_BY_LAMBDA_SECONDS,
            MessageSystemAttributeNames=["All"],
        )
        records = [record_of(message) for message in answer.get("Messages", [])]
        again = await process(worker, {"Records": records}, seconds=seconds)
        for record in records:
            if record["messageId"] not in again:
                await client.delete_message(QueueUrl=url, ReceiptHandle=record["receiptHandle"])


def record_of(message: dict[str, Any]) -> dict[str, Any]:
    """A received message as it stands in an SQS event."""
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message["Attributes"],
        "messageAttributes": {},
        "eventSource": "aws:sqs",
    }
