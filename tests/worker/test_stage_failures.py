"""Stages that fail in ways of their own: what is tried again, what is released, and what a result may not be."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest
from pydantic import JsonValue

from shared.analysis import Label, RunOptions
from shared.bootstrap import Backends
from shared.errors import LLMAuthError, LLMRateLimitedError, ModelRestingError, NoTextError, StageFailedError
from shared.ledger import CallState
from tests.support.builders import new_document, report
from tests.support.paid_calls import analyzing, calls_of
from worker_service.analyzers.offline import OfflineAnalyzer
from worker_service.analyzers.openai_refusals import failure
from worker_service.calls import Answered, Question
from worker_service.extractors import Extraction
from worker_service.stages import Phase, Stage, Work
from worker_service.stages.added import MAX_RESULT_BYTES, Added
from worker_service.stages.builtin import Classify

WORK = Work(document=new_document(), data=b"", extraction=Extraction(text="Call Ada."), report=report())


class Refused(Stage):
    """Asks a model that refuses."""

    name = "refused"
    tries = 3

    def __init__(self, status: int) -> None:
        self.refusal = failure(status=status, code=None, message="No.", headers={"retry-after": "60"})
        self.made = 0

    async def run(self, work: Work, *, seconds: float) -> Work:
        question = Question(key="k", model="m", price=None, reserve_tokens=(10, 1), timeout_seconds=seconds)
        await work.calls.once(question, self._make)
        return work

    async def _make(self, call_id: UUID) -> Answered:  # noqa: ARG002
        self.made += 1
        raise self.refusal


class Broken(Stage):
    """Asks a model, and as long as it has its bug, gets nowhere."""

    name = "broken"
    bug = True

    async def run(self, work: Work, *, seconds: float) -> Work:
        question = Question(key="k", model="m", price=None, reserve_tokens=(10, 1), timeout_seconds=seconds)
        return work.with_result(self, (await work.calls.once(question, self._make)).answer)

    async def _make(self, call_id: UUID) -> Answered:  # noqa: ARG002
        if not self.bug:
            return Answered(text="Well.", input_tokens=1, output_tokens=1)
        raise ZeroDivisionError


class Impatient(Stage):
    name = "impatient"

    async def run(self, work: Work, *, seconds: float) -> Work:  # noqa: ARG002
        raise TimeoutError("of a socket")


class Finding(Stage):
    name = "finding"

    def __init__(self, result: JsonValue) -> None:
        self.result = result

    async def run(self, work: Work, *, seconds: float) -> Work:  # noqa: ARG002
        return work.with_result(self, self.result)


class Reading(Stage):
    """Takes the place of `ocr`."""

    name = "ocr"
    phase: Phase = "processing"

    def __init__(self, text: str) -> None:
        self.text = text

    async def run(self, work: Work, *, seconds: float) -> Work:  # noqa: ARG002
        return work.with_text(self.text)


@pytest.mark.parametrize(
    ("status", "raised"), [(429, LLMRateLimitedError), (503, ModelRestingError), (401, LLMAuthError)]
)
async def test_refusal_of_a_model_is_not_answered_by_another_try(
    backends: Backends, status: int, raised: type[Exception]
) -> None:
    stage, document = Refused(status), await analyzing(backends)
    with pytest.raises(raised) as caught:
        await Added(stage).run(replace(WORK, document=document, paid_calls=calls_of(backends, document)), seconds=20)
    assert stage.made == 1
    assert getattr(caught.value, "retry_after_seconds", 60) == 60


async def test_question_is_free_after_a_call_that_a_bug_ended(backends: Backends) -> None:
    stage, document = Broken(), await analyzing(backends)
    with pytest.raises(ZeroDivisionError):
        await Added(stage).run(replace(WORK, document=document, paid_calls=calls_of(backends, document)), seconds=20)
    [row] = await backends.ledger.calls(document.id, run=document.run)
    assert (row.state, row.error) == (CallState.AMBIGUOUS, None)
    stage.bug, other = False, await analyzing(backends, owner=document.owner)
    done = await Added(stage).run(replace(WORK, document=other, paid_calls=calls_of(backends, other)), seconds=20)
    assert done.results["broken"].result == "Well."


async def test_timeout_of_the_stages_own_is_not_its_budgets() -> None:
    with pytest.raises(TimeoutError, match="of a socket"):
        await Added(Impatient()).run(WORK, seconds=30)


async def test_result_is_bounded_in_bytes() -> None:
    with pytest.raises(StageFailedError, match="has more than 16384 bytes"):
        await Added(Finding("字" * (MAX_RESULT_BYTES // 2))).run(WORK, seconds=30)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
async def test_number_that_json_has_not_is_refused(number: float) -> None:
    with pytest.raises(StageFailedError, match="The result of the stage finding has a number that JSON has not"):
        await Added(Finding({"scores": [number]})).run(WORK, seconds=30)


@pytest.mark.parametrize(("text", "found"), [("Read at last.", True), (" \n", False)])
async def test_text_of_a_stage_in_place_of_ocr_is_text(text: str, *, found: bool) -> None:
    work = replace(WORK, extraction=Extraction(text=""), unread=NoTextError("Pages, but no text."))
    done = await Added(Reading(text)).run(work, seconds=30)
    assert (done.text, done.unread is None) == (text, found)


async def test_labels_without_an_analysis_are_a_failure() -> None:
    document = new_document(options=RunOptions(labels=(Label(name="order"),)))
    classify = Classify(classifier=OfflineAnalyzer(), seconds=30)
    with pytest.raises(StageFailedError, match="no analysis"):
        await classify.run(replace(WORK, document=document, report=None), seconds=30)
