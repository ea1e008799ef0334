"""A storm for the stream: clients whose connections break, API processes that are killed, and not one event lost.

    python -m tests.chaos.storm [--store dynamodb] [--clients 300] [--events 10000] ...

Prints what it did and found; exits 1 unless every client saw every event once and in order.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

from docrelay.embedded.emulator import Emulator
from docrelay.embedded.postgres import EmbeddedPostgres
from shared import log
from shared.bootstrap import Backends, open_backends, provision, upgrade_database
from shared.clock import utc_now
from shared.settings import Settings
from tests.chaos.cluster import cluster, killing
from tests.chaos.stream_load import load
from tests.chaos.stream_readers import Breaking, Fact, LambdaReader, Tally, client_of, follow
from tests.conftest import settings_for
from tests.support.builders import S, moves, new_document
from tests.support.callers import PATHS, add_user, tokens_of

_LIFE = PATHS[S.COMPLETED]
_WRITERS = 8


@dataclass(frozen=True, kw_only=True)
class Plan:
    """`events` is a multiple of a document's life, which is five."""

    clients: int = 300
    processes: int = 3
    events: int = 10_000
    events_per_second: float = 25
    cut_seconds: tuple[float, float] = (1, 5)
    kill_seconds: float = 10
    give_up_seconds: float = 1800


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    plan: Plan
    tallies: list[Tally]
    through_lambda: Tally
    invocations: int
    writing_seconds: float
    connections: int
    cuts: int
    kills: int
    feed_agrees: bool

    @property
    def faults(self) -> Counter[str]:
        found: Counter[str] = Counter()
        for tally in [*self.tallies, self.through_lambda]:
            found.update({"missed": tally.missed, "resets": tally.resets, **tally.counts})
        return found

    @property
    def clean(self) -> bool:
        return self.feed_agrees and not self.faults.total()

    def show(self) -> None:
        plan, faults = self.plan, self.faults
        print(f"  {plan.clients} clients of one owner on {plan.processes} API processes, {plan.events} events")
        print(f"  written in {self.writing_seconds:.0f} s: {plan.events / self.writing_seconds:.1f} a second")
        print(
            f"  {self.connections} connections, {self.cuts} of them cut after {plan.cut_seconds} s; {self.kills} kills"
        )
        print(
            f"  {plan.clients * plan.events} deliveries, and {plan.events} through Mangum in {self.invocations} answers"
        )
        print(
            "  "
            + ", ".join(f"{faults[name]} {name}" for name in ("missed", "repeated", "reordered", "differing", "resets"))
        )
        print(f"  what they saw {'is' if self.feed_agrees else 'IS NOT'} what the store has")


async def storm(settings: Settings, plan: Plan, folder: Path) -> Outcome:
    async with open_backends(settings) as backends, asyncio.timeout(plan.give_up_seconds):
        user = await add_user(backends)
        token = tokens_of(settings).access(user, uuid4())
        facts: dict[int, Fact] = {}
        tallies = [Tally(total=plan.events, facts=facts) for _ in range(plan.clients + 1)]
        aws_lambda = LambdaReader(settings, token=token, tally=tallies[-1])
        async with cluster(settings, folder, size=plan.processes) as apis:
            breaking = Breaking(apis.ports, cut_seconds=plan.cut_seconds)
            client = client_of(token, breaking)
            async with killing(apis, every_seconds=plan.kill_seconds), asyncio.TaskGroup() as tasks:
                tasks.create_task(asyncio.to_thread(aws_lambda.run))
                for tally in tallies[:-1]:
                    tasks.create_task(follow(client, tally))
                writing = tasks.create_task(write(backends, user.id, plan))
        return Outcome(
            plan=plan,
            tallies=tallies[:-1],
            through_lambda=tallies[-1],
            invocations=aws_lambda.invocations,
            writing_seconds=writing.result(),
            connections=breaking.connections,
            cuts=breaking.cuts,
            kills=apis.kills,
            feed_agrees=facts == await stored_facts(backends, user.id),
        )


async def write(backends: Backends, owner: UUID, plan: Plan) -> float:
    """Documents that run through their lives, begun at an even pace; returns how many seconds it took."""
    turn, began = asyncio.Semaphore(_WRITERS), time.monotonic()

    async def live() -> None:
        async with turn:
            document = new_document(owner=owner, at=utc_now())
            await backends.documents.insert(document)
            for change in moves(document, *_LIFE, at=utc_now()):
                await backends.documents.apply(change)

    async with asyncio.TaskGroup() as tasks:
        for number in range(plan.events // len(_LIFE)):
            await asyncio.sleep(began + number * len(_LIFE) / plan.events_per_second - time.monotonic())
            tasks.create_task(live())
    return time.monotonic() - began


async def stored_facts(backends: Backends, owner: UUID) -> dict[int, Fact]:
    events = await backends.feed.events(owner, after=0, limit=1_000_000)
    return {event.seq: (event.document_id, event.status, event.version) for event in events}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--store", choices=["postgres", "dynamodb"], default="postgres")
    parser.add_argument("--clients", type=int, default=Plan.clients)
    parser.add_argument("--events", type=int, default=Plan.events)
    parser.add_argument("--events-per-second", type=float, default=Plan.events_per_second)
    parser.add_argument("--connects", type=int, default=10_000, help="to one process, after the storm; 0 for none")
    parser.add_argument("--open-streams", type=int, default=2_000, help="when that process is told to stop")
    parser.add_argument("--seed", type=int, default=None, help="of the cuts and kills, which real time shifts anyway")
    return parser.parse_args()


async def main() -> int:
    args = arguments()
    random.seed(args.seed)
    log.configure(level="error", service="storm")
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    plan = Plan(clients=args.clients, events=args.events, events_per_second=args.events_per_second)
    with tempfile.TemporaryDirectory(prefix="docrelay-storm-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with Emulator(folder=folder / "aws") as emulator, EmbeddedPostgres(folder=folder / "pg") as postgres:
            settings = settings_for(emulator, postgres.url).model_copy(update={"store": args.store})
            upgrade_database(settings)
            await provision(settings)
            print(f"Storm on {args.store}, {utc_now():%Y-%m-%d}")
            outcome = await storm(settings, plan, folder)
            outcome.show()
            if args.connects:
                (await load(settings, folder, connects=args.connects, open_streams=args.open_streams)).show()
    return 0 if outcome.clean else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
