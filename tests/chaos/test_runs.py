"""What a new run and a cancel cost, as the model's own journal has it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest

from shared.bootstrap import Backends
from shared.clock import utc_now
from shared.document import Document
from shared.errors import MoveError
from shared.settings import Settings
from tests.chaos.stage import Stage
from tests.support.builders import S
from tests.support.callers import add_user
from tests.support.openai_server import OpenAIServer


@pytest.fixture
async def stage(staged_settings: Settings, staged_backends: Backends) -> Stage:
    """A document that waits for its worker."""
    settings, backends = staged_settings, staged_backends
    user = await add_user(backends)
    stage = Stage(settings=settings, backends=backends, watched=backends, user=user, text=f"Call Ada about {uuid4()}.")
    return replace(stage, document_id=(await stage.queued()).id)


async def stored(stage: Stage) -> Document:
    document = await stage.stored()
    assert document is not None
    return document


def calls(stage: Stage, model: OpenAIServer) -> int:
    return sum(stage.text in call.messages[-1] for call in model.calls)


async def again(stage: Stage, **wish: object) -> Document:
    """Ask for another run, and let it come to its end."""
    answer = await stage.send("POST", "/documents/{}/process", json=wish)
    assert answer.status_code == 202, answer.text
    await stage.work()
    return await stored(stage)


async def test_completed_document_runs_again_from_the_same_bytes_and_asks_anew_only_by_force(
    stage: Stage, model: OpenAIServer
) -> None:
    await stage.work()
    first = await stored(stage)
    forced = await again(stage, force=True)
    assert (forced.status, forced.run, forced.sha256) == (S.COMPLETED, 2, first.sha256)
    assert calls(stage, model) == 2


async def test_failed_document_runs_again_from_the_same_bytes(stage: Stage, model: OpenAIServer) -> None:
    model.script(["refusal"])
    await stage.work()
    failed = await stored(stage)
    assert (failed.status, failed.run) == (S.FAILED, 1)
    completed = await again(stage)
    assert (completed.status, completed.run, completed.sha256) == (S.COMPLETED, 2, failed.sha256)


async def test_cancel_before_the_work_costs_no_call(stage: Stage, model: OpenAIServer) -> None:
    assert (await stage.send("POST", "/documents/{}/cancel")).status_code == 200
    await stage.consume(stage.worker())
    assert (await stored(stage)).status is S.CANCELLED
    assert calls(stage, model) == 0


async def test_cancel_in_the_middle_of_the_work_costs_no_call(stage: Stage, model: OpenAIServer) -> None:
    pipeline = stage.worker().handler.pipeline
    claimed = await pipeline.claim(await stored(stage))
    assert (await stage.send("POST", "/documents/{}/cancel")).status_code == 200
    with pytest.raises(MoveError):
        await pipeline.run(claimed, deadline=utc_now() + timedelta(minutes=1))
    assert (await stored(stage)).status is S.CANCELLED
    assert calls(stage, model) == 0
