"""P5: CPU and latency of a delivered event, against sse-starlette. P6: the store reads that listeners cause.

Both sides of P5 are routes of the same process with the same hub behind them: what is compared is the way from the hub
to the socket. A thousand listeners of one owner are the worst case for it; a real document has one or two.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import psutil

from api_service.app import PREFIX
from api_service.tokens import Tokens
from benchmarks.rounds import Figures, interleaved
from benchmarks.stream_listeners import Arrivals, listeners
from benchmarks.testbed import Program, backends, environment, scratch, set_up
from shared.accounts import Role, User
from shared.bootstrap import Backends, open_backends
from shared.clock import utc_now, uuid7
from shared.document import Document, DocumentStatus, advance, blob_prefix
from shared.settings import Settings

OURS = "Docrelay's stream"
BASELINE = "sse-starlette"
# The hub looks so often here, for both sides: at its usual tenth of a second, waiting for its next look is most of
# either side's latency.
TICK_SECONDS = 0.02
_WATCH_SECONDS = 4
_IDLE_SECONDS = 3
_S = DocumentStatus
_NEXT = {_S.UPLOADING: _S.UPLOADED, _S.UPLOADED: _S.PENDING, _S.PENDING: _S.CANCELLED, _S.CANCELLED: _S.PENDING}


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    server: Program
    store: Backends
    tokens: Tokens
    listeners: int
    events: int
    events_per_second: float
    p99: dict[str, list[float]] = field(default_factory=lambda: {OURS: [], BASELINE: []})

    async def ours(self) -> float:
        user = await self.user()
        return await self._cpu_per_event(OURS, user, f"{PREFIX}/documents/stream")

    async def baseline(self) -> float:
        user = await self.user()
        return await self._cpu_per_event(BASELINE, user, f"/sse-starlette?owner={user.id}")

    async def _cpu_per_event(self, name: str, user: User, path: str) -> float:
        """Microseconds of the server's CPU for each event and listener. Keeps the latency's 99th percentile.

        What the hub's looking costs, with the same listeners and no event, is taken off: at this tick it is more than
        all deliveries of one event, and has nothing to do with them.
        """
        target = (path, self.tokens.access(user, uuid4()))
        async with listeners(self.server.port, *[target] * self.listeners) as arrivals:
            before = self._cpu_seconds()
            await asyncio.sleep(_IDLE_SECONDS)
            idle, began = (self._cpu_seconds() - before) / _IDLE_SECONDS, time.monotonic()
            committed = await self.write(user.id, self.events, every_seconds=1 / self.events_per_second)
            await self._all_of(arrivals, self.listeners * self.events)
            used = self._cpu_seconds() - before - idle * (_IDLE_SECONDS + time.monotonic() - began)
        latencies = arrivals.latencies(committed)
        self.p99[name].append(statistics.quantiles(latencies, n=100)[-1] * 1000)
        return used * 1e6 / len(latencies)

    async def reads(self, *, owners: int, listeners_each: int) -> Mapping[str, float]:
        """What the hub reads each second, with a move each second by one of the owners."""
        users = [await self.user() for _ in range(owners)]
        path = f"{PREFIX}/documents/stream"
        targets = [(path, self.tokens.access(user, uuid4())) for user in users] * listeners_each
        async with listeners(self.server.port, *targets) as arrivals:
            before, began = self._counts(), time.monotonic()
            await self.write(users[0].id, _WATCH_SECONDS, every_seconds=1)
            await self._all_of(arrivals, _WATCH_SECONDS * listeners_each)
            seconds, after = time.monotonic() - began, self._counts()
        return {name: (after[name] - before[name]) / seconds for name in after}

    async def write(self, owner: UUID, events: int, *, every_seconds: float) -> Mapping[int, float]:
        """Move a document to and fro at an even pace; returns when each event was committed, by its `seq`."""
        document, committed, began = await self._document(owner), dict[int, float](), time.monotonic()
        for number in range(events):
            await asyncio.sleep(began + number * every_seconds - time.monotonic())
            change = advance(document, _NEXT[document.status], at=utc_now(), write_id=uuid4())
            await self.store.documents.apply(change)
            committed[number + 1] = time.monotonic()
            document = change.after
        return committed

    async def user(self) -> User:
        """Somebody who has no password and needs none."""
        user = User(
            id=uuid7(),
            name=f"listener-{uuid4().hex}",
            password_hash="-",  # noqa: S106
            role=Role.USER,
            created_at=utc_now(),
        )
        assert await self.store.accounts.add_user(user)
        return user

    async def _document(self, owner: UUID) -> Document:
        document_id, now = uuid7(), utc_now()
        document = Document(
            id=document_id,
            owner=owner,
            filename="quarterly-report.pdf",
            folder="reports/2026",
            content_type="application/pdf",
            size=1,
            sha256="",
            blob_key=f"{blob_prefix(owner, document_id)}original",
            write_id=uuid4(),
            due_at=now,
            created_at=now,
            updated_at=now,
        )
        await self.store.documents.insert(document)
        return document

    async def _all_of(self, arrivals: Arrivals, count: int) -> None:
        async with asyncio.timeout(60):
            while len(arrivals.times) < count:  # noqa: ASYNC110 - what is waited for comes over sockets
                await asyncio.sleep(0.01)

    def _counts(self) -> dict[str, int]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.server.port}/reads") as answer:
            return {"head reads": 0, "heads": 0, "event reads": 0, **json.load(answer)}

    def _cpu_seconds(self) -> float:
        times = psutil.Process(self.server.pid).cpu_times()
        return times.user + times.system


async def main() -> None:
    args = arguments()
    with scratch() as folder, backends(folder) as settings:
        await set_up(settings)
        async with open_backends(settings) as store:
            with server(settings, folder) as running:
                bench = Bench(
                    server=running,
                    store=store,
                    tokens=Tokens(key=settings.signing_key(), access_life=timedelta(hours=1), clock=utc_now),
                    listeners=args.listeners,
                    events=args.events,
                    events_per_second=args.events_per_second,
                )
                await latency_and_cpu(bench, rounds=args.rounds)
                await reads(bench)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listeners", type=int, default=1000)
    parser.add_argument("--events", type=int, default=80, help="in each round")
    parser.add_argument("--events-per-second", type=float, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


def server(settings: Settings, folder: Path) -> Program:
    numbers = {
        "DOCRELAY_STREAM_TICK_SECONDS": str(TICK_SECONDS),
        "DOCRELAY_MAX_STREAMS_PER_USER": "10000",
        "DOCRELAY_MAX_STREAMS": "10000",
    }
    return Program(
        "benchmarks.stream_server", folder=folder, path="/livez", environment=environment(settings) | numbers
    )


async def latency_and_cpu(bench: Bench, *, rounds: int) -> None:
    print(f"P5  {bench.listeners} listeners of one owner, {bench.events} events in each round, tick {TICK_SECONDS} s")
    contenders = {OURS: bench.ours, BASELINE: bench.baseline}
    cpu = await interleaved(contenders, unit="us of CPU per delivered event", rounds=rounds)
    cpu.show()
    cpu.show_ratio(OURS, BASELINE, at_most=0.6)
    # The first round does not count.
    p99 = Figures(unit="ms from commit to client, 99th percentile", rounds={n: v[1:] for n, v in bench.p99.items()})
    p99.show()
    p99.show_ratio(OURS, BASELINE, at_most=0.75)


async def reads(bench: Bench) -> None:
    print(f"P6  store reads per second, one event a second, tick {TICK_SECONDS} s")
    print(f"  {'owners':>8} {'listeners':>10} {'head reads':>11} {'heads in each':>14} {'event reads':>12}")
    for owners, each in [(1, 1), (1, bench.listeners), (10, bench.listeners // 10), (100, bench.listeners // 100)]:
        found = await bench.reads(owners=owners, listeners_each=each)
        heads_each = found["heads"] / found["head reads"]
        print(
            f"  {owners:>8} {owners * each:>10} {found['head reads']:>11.1f} {heads_each:>14.1f}"
            f" {found['event reads']:>12.2f}"
        )


if __name__ == "__main__":
    asyncio.run(main())
