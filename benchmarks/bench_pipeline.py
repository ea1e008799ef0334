"""P8: documents per second of a worker that has nothing to analyze, and how long one document takes from upload to end.

The baseline is a bare loop that only receives, gets the file, does two conditional writes and deletes the message. It
extracts nothing, and loses or repeats documents when it is killed.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import random
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID, uuid4

import httpx

from benchmarks.rounds import interleaved
from benchmarks.testbed import USER, api, backends, scratch, set_up, worker
from shared import log
from shared.adapters.postgres.connection import Pool, execute, fetch_one, open_pool
from shared.analysis import Report
from shared.bootstrap import Backends, open_backends
from shared.clock import utc_now
from shared.messages import ProcessMessage
from shared.moves import commit, dispatch
from shared.settings import Settings
from tests.support.builders import S, moves, new_document, report
from tests.support.documents import pdf
from tests.support.staged import with_parts
from worker_service.analyzers.offline import OfflineAnalyzer
from worker_service.assembly import assemble
from worker_service.consumer import Consumer
from worker_service.extractors import Extraction

PAGE = pdf(["The turbine hall was inspected in March.\n" * 30])
OWNERS = 20
SLOTS = 1


class NothingToSay(OfflineAnalyzer):
    """An analyzer that takes no time."""

    async def analyze(self, extraction: Extraction, **given: object) -> Report:  # noqa: ARG002
        return report()


@dataclass(frozen=True, kw_only=True, slots=True)
class Docrelay:
    """A worker in this process, with its parsers in theirs."""

    settings: Settings
    backends: Backends
    pool: Pool
    documents: int

    async def documents_per_second(self) -> float:
        owners = [uuid4() for _ in range(OWNERS)]
        for number in range(self.documents):
            await self._enqueue(owners[number % OWNERS])
        async with self._working() as began:
            ended = await self._all_completed(owners)
        return self.documents / (ended - began).total_seconds()

    async def _enqueue(self, owner: UUID) -> None:
        document = new_document(owner=owner, at=utc_now(), size=len(PAGE), sha256=hashlib.sha256(PAGE).hexdigest())
        await self.backends.blobs.put(document.blob_key, PAGE, content_type=document.content_type)
        await self.backends.documents.insert(document)
        pending = await commit(self.backends.documents, *moves(document, S.UPLOADED, S.PENDING, at=utc_now()))
        await dispatch(pending, queue=self.backends.queue, documents=self.backends.documents, clock=utc_now)

    @asynccontextmanager
    async def _working(self) -> AsyncIterator[datetime]:
        """Run a worker; yields when it began."""
        parts, stopping = assemble(self.settings, self.backends), asyncio.Event()
        handler = replace(parts.handler, pipeline=with_parts(parts.handler.pipeline, analyzer=NothingToSay()))
        consumer = Consumer(
            handler=handler,
            queue=self.backends.queue,
            slots=SLOTS,
            batch=1,
            wait_seconds=1,
            visibility_seconds=self.settings.lease_seconds,
            job_seconds=60,
            clock=utc_now,
        )
        await parts.sandbox.start()
        began = utc_now()
        running = asyncio.create_task(consumer.run(stopping, grace_seconds=5))
        try:
            yield began
        finally:
            stopping.set()
            await running
            await parts.sandbox.close()

    async def _all_completed(self, owners: list[UUID]) -> datetime:
        """Wait; return when the last one was completed."""
        query = """
            SELECT bool_and(status = 'completed') AS all_completed, max(updated_at) AS last
            FROM documents WHERE owner = ANY(%(owners)s)
        """
        while (row := await fetch_one(self.pool, query, {"owners": owners})) and not row["all_completed"]:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        assert row is not None
        last: datetime = row["last"]
        return last


@dataclass(frozen=True, kw_only=True, slots=True)
class BareLoop:
    """What is left when everything that makes a pipeline reliable is left out."""

    backends: Backends
    pool: Pool
    documents: int

    async def documents_per_second(self) -> float:
        owners = [uuid4() for _ in range(OWNERS)]
        for number in range(self.documents):
            await self.enqueue(owners[number % OWNERS])
        began = time.perf_counter()
        done = 0
        while done < self.documents:
            done += await self.take()
        return self.documents / (time.perf_counter() - began)

    async def enqueue(self, owner: UUID) -> UUID:
        message = ProcessMessage(document_id=uuid4(), run=1, send=1, at=utc_now())
        await self.backends.blobs.put(f"bare/{message.document_id}", PAGE, content_type="application/pdf")
        await execute(self.pool, "INSERT INTO bare VALUES (%(id)s, 'pending')", {"id": message.document_id})
        await self.backends.queue.send(message, owner=owner)
        return message.document_id

    async def take(self) -> int:
        """Process what one poll brings; returns how many that were."""
        deliveries = await self.backends.queue.receive(limit=1, wait_seconds=2, visibility_seconds=60)
        for delivery in deliveries:
            document_id = ProcessMessage.model_validate_json(delivery.body).document_id
            await self._write(document_id, before="pending", after="processing")
            await self.backends.blobs.get(f"bare/{document_id}")
            await self._write(document_id, before="processing", after="completed")
            await self.backends.queue.delete(delivery.receipt)
        return len(deliveries)

    async def latency(self) -> float:
        """Milliseconds from the first byte stored to the message deleted, with the loop waiting in its poll."""
        waiting = asyncio.create_task(self.take())
        # The emulator looks at waiting polls ten times a second: meet it at any moment.
        await asyncio.sleep(random.uniform(0.2, 0.4))
        began = time.perf_counter()
        await self.enqueue(uuid4())
        if not await waiting:
            await self.take()
        return (time.perf_counter() - began) * 1000

    async def _write(self, document_id: UUID, *, before: str, after: str) -> None:
        query = "UPDATE bare SET status = %(after)s WHERE id = %(id)s AND status = %(before)s"
        assert await execute(self.pool, query, {"id": document_id, "before": before, "after": after}) == 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Client:
    """Uploads one page to the API and follows it to its end. API and worker are processes of their own."""

    http: httpx.AsyncClient

    async def seen(self) -> float:
        """Milliseconds until the client is told that the document is completed."""
        began = time.perf_counter()
        await self._upload_and_wait()
        return (time.perf_counter() - began) * 1000

    async def recorded(self) -> float:
        """Milliseconds until the time that the history gives for it."""
        began = utc_now()
        document_id = await self._upload_and_wait()
        history = (await self.http.get(f"/documents/{document_id}/history")).json()
        assert history[-1]["to"] == "completed", history
        return (datetime.fromisoformat(history[-1]["at"]) - began).total_seconds() * 1000

    async def _upload_and_wait(self) -> str:
        answer = await self.http.post("/documents", files={"file": ("page.pdf", PAGE, "application/pdf")})
        document_id: str = answer.json()["id"]
        while not (await self.http.get(f"/documents/{document_id}/status", params={"wait": 20})).json()["terminal"]:
            pass
        return document_id


def median_of(measure: Callable[[], Awaitable[float]], count: int) -> Callable[[], Awaitable[float]]:
    async def measured() -> float:
        return statistics.median([await measure() for _ in range(count)])

    return measured


async def throughput(ours: Docrelay, bare: BareLoop, *, rounds: int) -> None:
    print(f"P8  {ours.documents} one-page PDFs of {OWNERS} owners, one worker, {SLOTS} at a time, nothing to analyze")
    contenders = {"Docrelay": ours.documents_per_second, "bare loop": bare.documents_per_second}
    figures = await interleaved(contenders, unit="documents/s", rounds=rounds)
    figures.show()
    figures.show_ratio("Docrelay", "bare loop", at_least=0.5)


async def latency(client: Client, bare: BareLoop, *, uploads: int, rounds: int) -> None:
    print(f"    upload to completed, one-page PDF on the idle stack, median of {uploads} in each round")
    contenders = {
        "Docrelay, as its client sees it": median_of(client.seen, uploads),
        "Docrelay, as the history says": median_of(client.recorded, uploads),
        "bare loop": median_of(bare.latency, uploads),
    }
    figures = await interleaved(contenders, unit="ms", rounds=rounds)
    figures.show()
    for name in list(contenders)[:2]:
        figures.show_ratio(name, "bare loop")


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=50, help="in each round")
    parser.add_argument("--uploads", type=int, default=3, help="in each round")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    with scratch() as folder, (folder / "benchmark.log").open("w") as stream:
        # What a worker logs is part of what it costs.
        log.configure(level="info", service="benchmark", stream=stream)
        with backends(folder) as settings:
            bare_settings = settings.model_copy(update={"queue_name": "bare"})
            await set_up(settings)
            await set_up(bare_settings)
            async with (
                open_backends(settings) as ours,
                open_backends(bare_settings) as theirs,
                open_pool(settings.database_url.get_secret_value(), size=4) as pool,
            ):
                await execute(pool, "CREATE TABLE bare (id uuid PRIMARY KEY, status text NOT NULL)")
                bare = BareLoop(backends=theirs, pool=pool, documents=args.documents)
                docrelay = Docrelay(settings=settings, backends=ours, pool=pool, documents=args.documents)
                await throughput(docrelay, bare, rounds=args.rounds)
                with api(settings, folder), worker(settings, folder):
                    async with logged_in(settings) as client:
                        await latency(client, bare, uploads=args.uploads, rounds=args.rounds)


@asynccontextmanager
async def logged_in(settings: Settings) -> AsyncIterator[Client]:
    base_url = f"http://127.0.0.1:{settings.port}/api/v1"
    async with httpx.AsyncClient(base_url=base_url, timeout=60, trust_env=False) as http:
        answer = await http.post("/auth/login", json={"username": USER[0], "password": USER[1]})
        http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        yield Client(http=http)


if __name__ == "__main__":
    asyncio.run(main())
