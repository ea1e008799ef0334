"""P7 and P12: AWS requests of one document and of an idle hour, counted on the wire, and what they cost by the list.

The baseline of P7 is a straightforward design with neither history nor feed nor lease: it puts the file and a row,
sends, receives, gets, updates the row at each of three steps and deletes the message. That of P12 is one long poll.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from aiobotocore.session import get_session

from benchmarks.testbed import USER, api, backends, scratch, set_up, worker
from benchmarks.wire import Wire, tapped
from shared.adapters.aws import client_options
from shared.settings import Settings
from tests.support.documents import pdf
from tests.support.openai_server import OpenAIServer

PAGE = pdf(["The turbine hall was inspected in March.\n" * 30])
GOAL_REQUESTS, GOAL_USD = 20, 0.06
GOALS_IDLE = {"postgres": 400, "dynamodb": 1400}


@asynccontextmanager
async def running(
    settings: Settings, folder: Path, store: str, model: str | None = None
) -> AsyncIterator[tuple[Settings, Wire]]:
    """One API and one worker on a store, with a counted wire between them and AWS."""
    own = settings.model_copy(update={"store": store, "poll_wait_seconds": 20, "queue_name": store, "bucket": store})
    await set_up(own)
    async with AsyncExitStack() as stack:
        wire = await stack.enter_async_context(tapped(settings.aws_endpoint_url or ""))
        tapping = own.model_copy(update={"aws_endpoint_url": wire.url, "port": settings.port + len(store)})
        changed = {"DOCRELAY_STORE": store, "DOCRELAY_QUEUE_NAME": store, "DOCRELAY_BUCKET": store}
        if model:
            changed |= {"OPENAI_API_KEY": "a-key-of-the-benchmark", "OPENAI_BASE_URL": model}
        for child in (api(tapping, folder, **changed), worker(tapping, folder, **changed)):
            await asyncio.to_thread(child.start)
            stack.push_async_callback(asyncio.to_thread, child.kill)
        yield tapping, wire


async def straightforward(settings: Settings, count: int) -> None:
    async with AsyncExitStack() as stack:
        session, options = get_session(), client_options(settings)
        s3, sqs, table = [
            await stack.enter_async_context(session.create_client(name, **options))
            for name in ("s3", "sqs", "dynamodb")
        ]
        url = (await sqs.get_queue_url(QueueName=f"{settings.queue_name}.fifo"))["QueueUrl"]
        for _ in range(count):
            await _one(s3, sqs, table, settings, url)


async def _one(s3: Any, sqs: Any, table: Any, settings: Settings, url: str) -> None:
    name = uuid4().hex
    key = {"PK": {"S": name}, "SK": {"S": "M"}}
    await s3.put_object(Bucket=settings.bucket, Key=name, Body=PAGE)
    await table.put_item(TableName=settings.table, Item={**key, "status": {"S": "pending"}})
    await sqs.send_message(QueueUrl=url, MessageBody=name, MessageGroupId=name, MessageDeduplicationId=name)
    message = (await sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20))["Messages"][0]
    await table.get_item(TableName=settings.table, Key=key)
    await (await s3.get_object(Bucket=settings.bucket, Key=name))["Body"].read()
    for status in ("processing", "analyzing", "completed"):
        await table.update_item(
            TableName=settings.table,
            Key=key,
            UpdateExpression="SET #status = :status",
            ExpressionAttributeNames={"#status": "status"},
            ExpressionAttributeValues={":status": {"S": status}},
        )
    await sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def show(name: str, wire: Wire, count: int) -> tuple[float, float]:
    requests, usd = wire.requests.total() / count, wire.usd / count * 1000
    print(f"  {name:<24} {requests:6.1f} requests a document, ${usd:.3f} for 1,000")
    for operation, times in sorted(wire.requests.items()):
        print(f"      {operation:<32} {times / count:6.2f}")
    return requests, usd


async def per_document(settings: Settings, folder: Path, count: int) -> None:
    print(f"P7  {count} one-page PDFs on DynamoDB, one request each; log-in and status polls left out")
    with OpenAIServer() as server:
        async with running(settings, folder, "dynamodb", server.base_url) as (tapping, wire):
            await _without_polls(tapping, wire, 2)
            await _without_polls(tapping, wire, count)
            ours = show("Docrelay, with a model", wire, count)
    async with running(settings, folder, "dynamodb") as (tapping, wire):
        await _without_polls(tapping, wire, 2)
        await _without_polls(tapping, wire, count)
        show("Docrelay, offline", wire, count)
        wire.reset()
        plain = tapping.model_copy(update={"queue_name": "plain"})
        await set_up(plain.model_copy(update={"aws_endpoint_url": settings.aws_endpoint_url}))
        await straightforward(plain, count)
        wire.requests.pop("SQS GetQueueUrl", None)
        base = show("straightforward", wire, count)
    verdict = "met" if ours[0] <= GOAL_REQUESTS and ours[1] <= GOAL_USD else "MISSED"
    ratios = f"{ours[0] / base[0]:.2f}x and {ours[1] / base[1]:.2f}x of the straightforward design"
    print(f"  goal <= {GOAL_REQUESTS} and <= ${GOAL_USD}: {verdict}; {ratios}")


async def _without_polls(settings: Settings, wire: Wire, count: int) -> None:
    """Upload through the API and look for the end in the store itself, so that no question of ours is counted."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{settings.port}/api/v1", timeout=60) as client:
        answer = await client.post("/auth/login", json={"username": USER[0], "password": USER[1]})
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        wire.reset()
        for _ in range(count):
            # A text of its own: of one that it knows, the model is not asked again.
            page = pdf([f"The turbine hall was inspected under {uuid4()}.\n" * 30])
            answer = await client.post("/documents", files={"file": ("page.pdf", page, "application/pdf")})
            answer.raise_for_status()
        while wire.requests["SQS DeleteMessage"] < count:  # noqa: ASYNC110 - the worker is another process
            await asyncio.sleep(0.2)


async def per_idle_hour(settings: Settings, folder: Path, seconds: float) -> None:
    print(f"P12 an idle hour of one API and one worker, from {seconds:g} s")
    async with AsyncExitStack() as stack:
        wires = {}
        for store in GOALS_IDLE:
            made = folder / store
            made.mkdir()
            _, wires[store] = await stack.enter_async_context(running(settings, made, store))
        await asyncio.sleep(5)
        for wire in wires.values():
            wire.reset()
        await asyncio.sleep(seconds)
        for store, goal in GOALS_IDLE.items():
            all_of = wires[store].requests + wires[store].idle
            hourly = all_of.total() * 3600 / seconds
            said = ", ".join(f"{name} {times * 3600 / seconds:.0f}" for name, times in sorted(all_of.items()))
            verdict = "met" if hourly <= goal else "MISSED"
            print(f"  {store:<12} {hourly:6.0f} requests  goal <= {goal}: {verdict}  ({said})")
    print("  one loop of 20 s polls    180 requests")


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=20)
    parser.add_argument("--idle-seconds", type=float, default=120)
    args = parser.parse_args()
    with scratch() as folder, backends(folder) as settings:
        await per_document(settings, folder, args.documents)
        await per_idle_hour(settings, folder, args.idle_seconds)


if __name__ == "__main__":
    asyncio.run(main())
