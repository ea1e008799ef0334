"""A storm for the stream: clients whose connections break, API processes that are killed, and not one event lost.

    python -m tests.chaos.storm [--store dynamodb] [--clients 300] [--events 10000] ...

Prints what it did and found; exits 1 unless every client saw every event once and in order.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

from docrelay.embedded.emulator import Emulator
from docrelay.embedded.postgres import EmbeddedPostgres
from shared import log
from shared.accounts import User
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
    """`events` is a multiple of the owners' number times a document's life, which is five moves.

    A client sees the events of one owner; the clients are shared out among the owners.
    """

    clients: int = 300
    owners: int = 10
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
    def deliveries(self) -> int:
        return sum(tally.total for tally in self.tallies)

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
        clients = f"{plan.clients} clients of {plan.owners} owners"
        print(f"  {clients} on {plan.processes} API processes, {plan.events} events")
        print(f"  written in {self.writing_seconds:.0f} s: {plan.events / self.writing_seconds:.1f} a second")
        print(
            f"  {self.connections} connections, {self.cuts} of them cut after {plan.cut_seconds} s; {self.kills} kills"
        )
        through_lambda = f"{self.through_lambda.total} through Mangum in {self.invocations} answers"
        print(f"  {self.deliveries} deliveries, and {through_lambda}")
        print(
            "  "
            + ", ".join(f"{faults[name]} {name}" for name in ("missed", "repeated", "reordered", "differing", "resets"))
        )
        print(f"  what they saw {'is' if self.feed_agrees else 'IS NOT'} what the store has")


async def storm(settings: Settings, plan: Plan, folder: Path) -> Outcome:
    async with open_backends(settings) as backends, asyncio.timeout(plan.give_up_seconds):
        users = [await add_user(backends) for _ in range(plan.owners)]
        audience = [Audience.of(user, settings, plan, number) for number, user in enumerate(users)]
        through_lambda = audience[0].tally()
        aws_lambda = LambdaReader(settings, token=audience[0].token, tally=through_lambda)
        async with cluster(settings, folder, size=plan.processes) as apis:
            breaking = Breaking(apis.ports, cut_seconds=plan.cut_seconds)
            async with killing(apis, every_seconds=plan.kill_seconds), asyncio.TaskGroup() as tasks:
                tasks.create_task(asyncio.to_thread(aws_lambda.run))
                for some in audience:
                    client = client_of(some.token, breaking)
                    for tally in some.tallies:
                        tasks.create_task(follow(client, tally))
                writing = tasks.create_task(write(backends, [user.id for user in users], plan))
        return Outcome(
            plan=plan,
            tallies=[tally for some in audience for tally in some.tallies],
            through_lambda=through_lambda,
            invocations=aws_lambda.invocations,
            writing_seconds=writing.result(),
            connections=breaking.connections,
            cuts=breaking.cuts,
            kills=apis.kills,
            feed_agrees=all([some.facts == await stored_facts(backends, some.owner) for some in audience]),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Audience:
    """The clients of one owner, who must all see the same."""

    owner: UUID
    token: str
    events: int
    facts: dict[int, Fact]
    tallies: list[Tally]

    @classmethod
    def of(cls, user: User, settings: Settings, plan: Plan, number: int) -> Audience:
        token = tokens_of(settings).access(user, uuid4())
        audience = cls(owner=user.id, token=token, events=plan.events // plan.owners, facts={}, tallies=[])
        clients = len(range(number, plan.clients, plan.owners))
        audience.tallies.extend(audience.tally() for _ in range(clients))
        return audience

    def tally(self) -> Tally:
        return Tally(total=self.events, facts=self.facts)


async def write(backends: Backends, owners: Sequence[UUID], plan: Plan) -> float:
    """Documents that run through their lives, begun at an even pace; returns how many seconds it took."""
    turn, began = asyncio.Semaphore(_WRITERS), time.monotonic()

    async def live(owner: UUID) -> None:
        async with turn:
            document = new_document(owner=owner, at=utc_now())
            await backends.documents.insert(document)
            for change in moves(document, *_LIFE, at=utc_now()):
                await backends.documents.apply(change)

    async with asyncio.TaskGroup() as tasks:
        for number in range(plan.events // len(_LIFE)):
            await asyncio.sleep(began + number * len(_LIFE) / plan.events_per_second - time.monotonic())
            tasks.create_task(live(owners[number % len(owners)]))
    return time.monotonic() - began


async def stored_facts(backends: Backends, owner: UUID) -> dict[int, Fact]:
    events = await backends.feed.events(owner, after=0, limit=1_000_000)
    return {event.seq: (event.document_id, event.status, event.version) for event in events}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--store", choices=["postgres", "dynamodb"], default="postgres")
    parser.add_argument("--clients", type=int, default=Plan.clients)
    parser.add_argument("--owners", type=int, default=Plan.owners)
    parser.add_argument("--events", type=int, default=Plan.events)
    parser.add_argument("--events-per-second", type=float, default=Plan.events_per_second)
    parser.add_argument("--connects", type=int, default=10_000, help="to one process, after the storm; 0 for none")
    parser.add_argument("--open-streams", type=int, default=2_000, help="when that process is told to stop")
    parser.add_argument("--seed", type=int, default=None, help="of the cuts and kills, which real time shifts anyway")
    return parser.parse_args()


async def main() -> int:
    args = arguments()
    # Told to stop, it ends what it has started.
    if storming := asyncio.current_task():
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, storming.cancel)
    random.seed(args.seed)
    log.configure(level="error", service="storm")
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    plan = Plan(clients=args.clients, owners=args.owners, events=args.events, events_per_second=args.events_per_second)
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
