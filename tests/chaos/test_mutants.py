"""Every invariant has a mutant of the product's code that its check refuses; the same drill on sound code passes."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest

from shared.bootstrap import open_backends, provision
from shared.settings import Settings
from tests.chaos.checker import INVARIANTS, Finding, findings
from tests.chaos.drills import Drill
from tests.chaos.live.recorder import Recorder, billed_by, text_of
from tests.chaos.mutants import MUTANTS, Mutant
from tests.chaos.stage import Stage
from tests.support.callers import add_user
from tests.support.openai_server import OpenAIServer

# The stream's mutants are with its own tests.
ELSEWHERE = {"I9", "I1, in time"}


@pytest.fixture
def model() -> Iterator[OpenAIServer]:
    with OpenAIServer() as running:
        yield running


@pytest.fixture
async def drilled(request: pytest.FixtureRequest, own_settings: Settings, model: OpenAIServer) -> Settings:
    changed = {"openai_base_url": model.base_url, "openai_api_key": "sk-nobodys", "table": own_settings.bucket}
    settings = Settings.load(_env_file=None, **{**own_settings.model_dump(), **changed, "store": request.param})
    await provision(settings)
    return settings


async def what_is_found(mutant: Mutant, settings: Settings, model: OpenAIServer) -> list[Finding]:
    """Play the drill as the code is now, and check its history."""
    async with open_backends(settings) as backends:
        user = await add_user(backends)
        text = text_of(f"drill-{uuid4().hex}")
        drill = Drill(on=Stage(settings=settings, backends=backends, watched=backends, user=user, text=text))
        await mutant.drill(drill)
        recorder = Recorder(settings=settings, backends=backends, owners=[user.id])
        left = await recorder.left()
        history = await recorder.history(
            drill.answers,
            left=left,
            keyed=tuple(drill.keyed),
            stops=tuple(drill.stops),
            # The same server also answered the drill on sound code, whose document had another name.
            billed=tuple(one for one in billed_by(model) if one.name == drill.name),
            **drill.facts,
        )
    return findings(history)


@pytest.mark.parametrize(
    ("drilled", "mutant"),
    [pytest.param(one.store, one, id=f"{one.invariant}-{one.name}") for one in MUTANTS],
    indirect=["drilled"],
)
async def test_mutant_is_caught(mutant: Mutant, drilled: Settings, model: OpenAIServer) -> None:
    assert await what_is_found(mutant, drilled, model) == []
    with mutant.applied():
        found = await what_is_found(mutant, drilled, model)
    assert (mutant.invariant, mutant.kind) in {(one.invariant, one.kind) for one in found}, found


def test_every_invariant_has_a_mutant() -> None:
    assert {mutant.invariant for mutant in MUTANTS} == INVARIANTS.keys() - ELSEWHERE
