"""The process that acts a scenario and dies on the way. Forked from a server that has imported everything already."""

from __future__ import annotations

import asyncio
import multiprocessing
from dataclasses import dataclass
from multiprocessing.connection import Connection
from uuid import UUID

from shared import log
from shared.accounts import User
from shared.bootstrap import open_backends
from shared.settings import Settings
from tests.chaos.failpoints import Failpoints
from tests.chaos.scenarios import SCENARIOS
from tests.chaos.stage import Stage

_GIVE_UP_SECONDS = 60
KILLED = -9


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """What the actor is to do."""

    scenario: str
    settings: Settings
    user: User
    text: str
    document_id: UUID | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How the process ended, and what it had passed if it lived."""

    exit_code: int | None
    points: tuple[str, ...] = ()


def perform(part: Part, *, fatal: str | None) -> Outcome:
    """Act in a process of its own until the end, or until the fatal point."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "openai"])
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_act, args=(part, fatal, theirs))
    process.start()
    theirs.close()
    try:
        points = ours.recv() if ours.poll(_GIVE_UP_SECONDS) else ()
    except EOFError:
        points = ()
    process.join(_GIVE_UP_SECONDS)
    process.kill()
    process.join()
    return Outcome(exit_code=process.exitcode, points=points)


def _act(part: Part, fatal: str | None, report: Connection) -> None:
    log.configure(level="warning", service="doomed")
    report.send(asyncio.run(_points_passed(part, fatal)))


async def _points_passed(part: Part, fatal: str | None) -> tuple[str, ...]:
    scenario, failpoints = SCENARIOS[part.scenario], Failpoints(fatal=fatal)
    async with open_backends(part.settings) as backends:
        stage = Stage(
            settings=part.settings,
            backends=failpoints.wrap(backends),
            watched=backends,
            user=part.user,
            text=part.text,
            document_id=part.document_id,
            later=scenario.later,
        )
        await scenario.act(stage)
    return tuple(failpoints.passed)
