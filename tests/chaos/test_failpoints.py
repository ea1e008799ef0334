"""Whoever dies, and wherever: what was promised comes to its end, once, by what others do afterwards."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, replace
from itertools import pairwise
from uuid import UUID, uuid4

import pytest

from shared.bootstrap import Backends
from shared.document import TERMINAL, TRANSITIONS
from shared.settings import Settings
from tests.chaos.doomed import KILLED, Part, perform
from tests.chaos.points import POINTS, READS
from tests.chaos.scenarios import LATER, SCENARIOS, Scenario
from tests.chaos.stage import Stage
from tests.support.builders import S
from tests.support.callers import add_user
from tests.support.openai_server import OpenAIServer

CASES = [
    (scenario, point)
    for scenario, points in POINTS.items()
    for point in points
    # After a read the world is what it was after the effect before it. Slow work differs from quick work by its
    # heartbeats alone.
    if not point.startswith(READS) and (scenario != "work slowly" or point not in POINTS["work"])
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Play:
    """A scenario before it begins: its stage in the test, and the part of the actor."""

    scenario: Scenario
    stage: Stage
    part: Part


@pytest.fixture
async def play(name: str, staged_settings: Settings, staged_backends: Backends) -> Play:
    scenario = SCENARIOS[name]
    settings, backends = staged_settings.model_copy(update={"lease_seconds": scenario.lease_seconds}), staged_backends
    user, text = await add_user(backends), f"{scenario.opening} Call Ada about {uuid4()}."
    stage = Stage(settings=settings, backends=backends, watched=backends, user=user, text=text)
    document = await scenario.prepare(stage)
    document_id = document.id if document else None
    part = Part(scenario=name, settings=settings, user=user, text=text, document_id=document_id)
    return Play(scenario=scenario, stage=replace(stage, document_id=document_id), part=part)


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_step_has_its_point(play: Play, name: str) -> None:
    """A new step of the product is a new point: write it down in points.py, and it is died at as well."""
    outcome = perform(play.part, fatal=None)
    assert (outcome.exit_code, outcome.points) == (0, POINTS[name])


@pytest.mark.parametrize(("name", "point"), CASES, ids=[f"{name}: {point}" for name, point in CASES])
async def test_document_of_whoever_died_comes_to_its_end(
    play: Play, model: OpenAIServer, name: str, point: str
) -> None:
    outcome = await asyncio.to_thread(perform, play.part, fatal=point)
    assert outcome.exit_code == KILLED
    stage = replace(play.stage, later=play.scenario.later + LATER)
    if play.scenario.repeated:
        answer = await play.scenario.act(play.stage)
        stage = replace(stage, document_id=stage.document_id or UUID(str(answer)))
    async with asyncio.timeout(60):
        await stage.work()
    await assert_whole(stage, play.scenario)
    asked = sum(stage.text in call.messages[-1] for call in model.calls)
    # One that was under way when its worker died may have been answered to nobody.
    assert asked <= 2


async def assert_whole(stage: Stage, scenario: Scenario) -> None:
    """The document is at one of its ends, by legal moves without a hole, with one end a run, and nothing left to do."""
    document = await stage.stored()
    assert (document.status if document else S.DELETING) in scenario.ends
    if document is None or document.entombed:
        return
    history = await stage.watched.documents.history(document.id)
    assert [entry.version for entry in history] == list(range(1, document.version + 1))
    assert all(entry.status in TRANSITIONS[entry.previous] for entry in history)
    assert all(earlier.status is later.previous for earlier, later in pairwise(history))
    assert all(earlier.fence <= later.fence for earlier, later in pairwise(history))
    ends = Counter(entry.run for entry in history if entry.status in TERMINAL)
    assert ends == Counter(range(1, document.run + 1))
    assert (history[-1].status, document.due_at, document.lease) == (document.status, None, None)
