"""A folder of many documents: its insight against a recount, on both stores, and what that costs in reads.

DynamoDB's requests and read units are counted on the wire, PostgreSQL's pages by EXPLAIN.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg

from benchmarks.testbed import backends, scratch, set_up
from benchmarks.wire import Wire, tapped
from shared.adapters.postgres.folders import INSIGHT
from shared.bootstrap import Backends, open_backends
from shared.document import Document
from shared.settings import Settings
from tests.support.mixed_documents import FOLDERS, folder_counts, mixed, recount

_CONCURRENT = 32
_RESULT = Path(__file__).resolve().parents[1] / "docs" / "results" / "folders.txt"


@asynccontextmanager
async def opened(settings: Settings, store: str) -> AsyncIterator[tuple[Backends, Wire]]:
    own = settings.model_copy(update={"store": store, "queue_name": store, "bucket": store})
    await set_up(own)
    async with (
        tapped(settings.aws_endpoint_url or "") as wire,
        open_backends(own.model_copy(update={"aws_endpoint_url": wire.url})) as ready,
    ):
        yield ready, wire


async def fill(ready: Backends, documents: Sequence[Document]) -> None:
    for start in range(0, len(documents), _CONCURRENT):
        await asyncio.gather(*(ready.documents.insert(one) for one in documents[start : start + _CONCURRENT]))


async def timed(what: Callable[[], Awaitable[Any]]) -> tuple[Any, float]:
    began = time.perf_counter()
    answer = await what()
    return answer, (time.perf_counter() - began) * 1000


async def counted(ready: Backends, wire: Wire, documents: Sequence[Document], say: Callable[[str], None]) -> bool:
    """Whether every folder's insight, and the list of folders, is what a recount gives."""
    owner, right = documents[0].owner, True
    for folder in ("", *FOLDERS[1:4]):
        expected = recount(documents, folder)
        wire.reset()
        insight, took = await timed(lambda folder=folder: ready.folders.insight(owner, folder))  # type: ignore[misc]
        same = asdict(insight) == expected
        right &= same
        said = f"insight of {folder or 'all'}: {insight.documents} documents, {'equal' if same else 'DIFFERENT'}"
        say(f"  {said:<52} {took:7.0f} ms  {_reads(wire)}")
    wire.reset()
    folders, took = await timed(lambda: ready.folders.folders(owner))
    same = {folder.path: folder.documents for folder in folders} == folder_counts(documents)
    said = f"list of {len(folders)} folders: {'equal' if same else 'DIFFERENT'}"
    say(f"  {said:<52} {took:7.0f} ms  {_reads(wire)}")
    return right and same


def pages_of(settings: Settings, owner: UUID) -> int:
    """The 8 KB pages that one insight reads in PostgreSQL."""
    with psycopg.connect(settings.database_url.get_secret_value(), autocommit=True) as connection:
        query = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {INSIGHT}".encode()
        row = connection.execute(query, {"owner": owner, "folder": ""}).fetchone()
    assert row is not None
    plan = row[0][0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=11_000, help="Some of them have no file yet and do not count.")
    parser.add_argument("--seed", type=int, default=8)
    parser.add_argument("--write", action="store_true", help="Keep the result in docs/results/folders.txt.")
    args = parser.parse_args()
    lines: list[str] = []

    def say(line: str) -> None:
        print(line, flush=True)
        lines.append(line)

    say(f"$ python benchmarks/bench_folders.py --documents {args.documents} --seed {args.seed}")
    say(f"{datetime.now(UTC):%Y-%m-%d}")
    documents = mixed(uuid4(), args.documents, seed=args.seed)
    right = True
    with scratch() as folder, backends(folder) as settings:
        for store in ("postgres", "dynamodb"):
            async with opened(settings, store) as (ready, wire):
                await fill(ready, documents)
                say(f"{store}")
                right &= await counted(ready, wire, documents, say)
                if store == "postgres":
                    say(f"  insight of all: one statement, {pages_of(settings, documents[0].owner)} pages of 8 KB")
    say("every count is the recount's" if right else "SOME COUNTS DIFFER")
    if args.write:
        _RESULT.write_text("\n".join(lines) + "\n")
    if not right:
        raise SystemExit(1)


def _reads(wire: Wire) -> str:
    if not wire.requests:
        return "1 statement"
    return f"{wire.requests.total()} requests, {wire.read_units:.0f} read units, ${wire.usd:.6f}"


if __name__ == "__main__":
    asyncio.run(main())
