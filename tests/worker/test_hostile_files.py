"""Files that attack their reader end as text or with a named cause, inside the limits, and harm nobody else."""

from __future__ import annotations

import asyncio
import gc
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from shared.errors import DocumentError
from shared.filetype import PDF, content_type_of
from tests.support import documents
from tests.support.hostile import hostile_files
from tests.support.hostile_file import TEXT, Hostile
from worker_service.sandbox import Sandbox

MEMORY_BYTES = 256 * 2**20
CASES = hostile_files("http://127.0.0.1/")


@dataclass(kw_only=True, slots=True)
class Observed:
    """What all hostile files together left behind."""

    ends: dict[str, str]
    ordinary_text: str
    grown_bytes: int
    children_left: set[int]
    connections: int


@pytest.fixture(scope="module")
async def observed(tmp_path_factory: pytest.TempPathFactory) -> Observed:
    """Extract every hostile file, two at a time, the slow ones with little time."""
    callers: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: callers.append(writer), "127.0.0.1", 0)
    cases = hostile_files(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    folder = tmp_path_factory.mktemp("hostile")
    for case in cases:
        (folder / case.name).write_bytes(case.make())
    children = children_now()
    patient, hasty = (Sandbox(timeout_seconds=seconds, memory_bytes=MEMORY_BYTES) for seconds in (60, 0.3))
    await asyncio.gather(patient.start(), hasty.start())
    resident_bytes = resident_now()
    ends = await asyncio.gather(
        ends_of([case for case in cases if case.spins], hasty, folder),
        ends_of([case for case in cases if not case.spins], patient, folder),
    )
    ordinary = [await sandbox.extract(documents.pdf(["Fine"]), PDF) for sandbox in (patient, hasty)]
    grown_bytes = resident_now() - resident_bytes
    await asyncio.gather(patient.close(), hasty.close())
    server.close()
    return Observed(
        ends=ends[0] | ends[1],
        ordinary_text="".join(extraction.text for extraction in ordinary),
        grown_bytes=grown_bytes,
        children_left=children_now() - children,
        connections=len(callers),
    )


def children_now() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True)}


def resident_now() -> int:
    gc.collect()
    return int(psutil.Process().memory_info().rss)


async def ends_of(cases: list[Hostile], sandbox: Sandbox, folder: Path) -> dict[str, str]:
    return {case.name: await end_of(case, sandbox, (folder / case.name).read_bytes()) for case in cases}


async def end_of(case: Hostile, sandbox: Sandbox, data: bytes) -> str:
    try:
        await sandbox.extract(data, content_type_of(case.filename, data[:1024]))
    except DocumentError as error:
        return error.code
    return TEXT


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_hostile_file_ends_as_text_or_with_its_cause(observed: Observed, case: Hostile) -> None:
    assert observed.ends[case.name] in case.allowed


def test_there_are_at_least_sixty_hostile_files_with_names_of_their_own() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 60


def test_ordinary_files_are_still_read_after_them(observed: Observed) -> None:
    assert observed.ordinary_text == "FineFine"


def test_memory_of_the_parent_stays_flat(observed: Observed) -> None:
    assert observed.grown_bytes < 50 * 2**20


def test_no_child_is_left(observed: Observed) -> None:
    assert observed.children_left == set()


def test_nothing_is_fetched(observed: Observed) -> None:
    assert observed.connections == 0
