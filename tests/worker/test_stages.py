"""Stages that a package adds: chosen by the setting, kept within their budget, part of what is asked of a model."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import get_args
from uuid import UUID, uuid4

import pytest

from shared.analysis import StageResult, Usage
from shared.bootstrap import Backends
from shared.clock import utc_now
from shared.document import Document
from shared.errors import ConfigurationError, StageFailedError, StageTimeoutError
from shared.ledger import call_key
from shared.settings import Settings
from tests.support.builders import new_document, report
from tests.support.openai_server import OpenAIServer
from tests.support.packages import PACKAGES, installed, package
from tests.support.paid_calls import analyzing, calls_of
from worker_service.analyzers.openai import OpenAIAnalyzer
from worker_service.assembly import assemble
from worker_service.calls import Answered, Question
from worker_service.extractors import Extraction
from worker_service.pricing import Price
from worker_service.stages import Phase, Stage, Work
from worker_service.stages.added import MAX_RESULT_BYTES, Added
from worker_service.stages.builtin import Analyze
from worker_service.stages.chosen import choose_stages


class Ours(Stage):
    def __init__(self, name: str) -> None:
        self.name = name
        self.phase = "processing" if name in {"extract", "ocr"} else "analyzing"

    async def run(self, work: Work, *, seconds: float) -> Work:  # noqa: ARG002
        return work


MINE = """
from worker_service.stages import Stage

class Mine(Stage):
    name = "analyze"
    version = "7"

    async def run(self, work, *, seconds): ...
"""
BAD = """
from worker_service.stages import Stage

class Hasty(Stage):
    name = "hasty"
    seconds = 0

    async def run(self, work, *, seconds): ...

class Early(Hasty):
    name = "early"
    phase = "processing"
    seconds = 1
"""
OFFERED = {"broken": "Missing", "wrong": "Hasty", "hasty": "Hasty", "early": "Early", "twice": "A"}
BUILTIN = [Ours("extract"), Ours("ocr"), Ours("analyze"), Ours("classify")]


def chosen(setting: str) -> list[str]:
    return [stage.name for stage in choose_stages(setting, BUILTIN)]


@dataclass
class Counting(Stage):
    """Fails so often, then says how often it was asked."""

    name: str = "counting"
    tries: int = 3
    failures: int = 0
    result: str = "x"
    asked: list[float] = field(default_factory=list)

    async def run(self, work: Work, *, seconds: float) -> Work:
        self.asked.append(seconds)
        if len(self.asked) <= self.failures:
            raise StageFailedError("not yet")
        return work.with_result(self, self.result)


class Endless(Stage):
    name = "endless"

    async def run(self, work: Work, *, seconds: float) -> Work:  # noqa: ARG002
        await asyncio.Event().wait()
        return work


def work_of(document: Document | None = None, text: str = "Call Ada.") -> Work:
    return Work(document=document or new_document(), data=b"", extraction=Extraction(text=text), report=report())


class TestChoice:
    def test_stages_come_in_the_order_of_the_setting(self) -> None:
        with installed(PACKAGES / "contacts"):
            assert chosen("extract, ocr,without_telephones,analyze,classify,reading_time") == [
                *("extract", "ocr", "without_telephones", "analyze", "classify", "reading_time")
            ]

    def test_package_that_is_not_chosen_is_never_imported(self) -> None:
        with installed(PACKAGES / "contacts"):
            chosen("extract,ocr,analyze,classify")
            assert "docrelay_contacts" not in sys.modules

    def test_packages_stage_takes_the_place_of_ours(self, tmp_path: Path) -> None:
        folder = package(tmp_path, "docrelay_mine", MINE, analyze="docrelay_mine:Mine")
        with installed(folder):
            stages = choose_stages("extract,analyze,classify", BUILTIN)
        assert [(stage.name, stage.version) for stage in stages] == [
            ("extract", "1"),
            ("analyze", "7"),
            ("classify", "1"),
        ]

    @pytest.mark.parametrize(
        ("added", "words"),
        [
            (
                "nobodys",
                "names nobodys, which nobody offers. There are: analyze, broken, classify, early,",
            ),
            (
                "broken",
                r"stage broken \(docrelay_bad:Missing of docrelay_bad\) cannot be loaded",
            ),
            (
                "gone",
                r"stage gone \(docrelay_gone:Stage of docrelay_bad\) cannot be loaded: No module",
            ),
            ("wrong", "stage wrong .* is not a stage of that name"),
            ("hasty", "stage hasty .* has no sensible phase, seconds and tries"),
            ("early", "The stage early works on the text before it is kept"),
            (
                "extract,analyze,classify,twice",
                "stage twice is offered more than once: docrelay_bad:A, docrelay_worse:B",
            ),
            ("extract", "names extract more than once"),
        ],
    )
    def test_what_is_wrong_is_said_at_start_by_name(self, tmp_path: Path, added: str, words: str) -> None:
        offered = {name: f"docrelay_bad:{value}" for name, value in OFFERED.items()}
        package(tmp_path, "docrelay_bad", BAD, gone="docrelay_gone:Stage", **offered)
        package(tmp_path, "docrelay_worse", twice="docrelay_worse:B")
        with installed(tmp_path), pytest.raises(ConfigurationError, match=words):
            chosen(f"extract,analyze,classify,{added}")

    @pytest.mark.parametrize(
        ("setting", "words"),
        [
            ("extract,ocr", "needs the stage analyze"),
            ("extract,analyze", "needs the stage classify"),
            ("", "needs the stage extract"),
            ("ocr,extract,analyze,classify", "begins with ocr"),
            ("extract,classify,analyze", "names classify before analyze"),
        ],
    )
    def test_stages_of_our_own_have_to_be_there(self, setting: str, words: str) -> None:
        with pytest.raises(ConfigurationError, match=words):
            chosen(setting)

    def test_text_is_changed_when_the_pages_without_any_have_been_read(self) -> None:
        with installed(PACKAGES / "contacts"), pytest.raises(ConfigurationError, match="name ocr right after extract"):
            chosen("extract,without_telephones,ocr,analyze,classify")


class TestBudget:
    async def test_stage_that_fails_is_tried_again(self) -> None:
        stage = Counting(failures=2)
        done = await Added(stage).run(work_of(), seconds=30)
        assert done.results["counting"].result == "x"
        assert len(stage.asked) == 3
        assert stage.asked == sorted(stage.asked, reverse=True)

    async def test_stage_that_fails_too_often_fails_the_document_by_its_name(self) -> None:
        stage = Counting(failures=9, tries=2)
        with pytest.raises(StageFailedError, match="The stage counting failed: not yet"):
            await Added(stage).run(work_of(), seconds=30)
        assert len(stage.asked) == 2

    async def test_stage_without_end_is_ended(self) -> None:
        with pytest.raises(StageTimeoutError, match="The stage endless took longer"):
            await Added(Endless()).run(work_of(), seconds=0.01)

    async def test_result_is_bounded(self) -> None:
        with pytest.raises(StageFailedError, match="has more than 16384 bytes"):
            await Added(Counting(result="x" * MAX_RESULT_BYTES)).run(work_of(), seconds=30)

    async def test_nul_of_a_result_is_left_out(self) -> None:
        done = await Added(Counting(result="a\0b")).run(work_of(), seconds=30)
        assert done.results["counting"].result == "ab"

    async def test_stage_cannot_call_a_model_before_the_text_is_kept(self) -> None:
        with pytest.raises(StageFailedError, match="only when the document is analyzing"):
            _ = work_of().calls


async def test_added_stage_is_part_of_what_is_asked(backends: Backends) -> None:
    text, owner = f"Dear Ms Okafor, shipment {uuid4().hex} has left Rotterdam.", uuid4()
    with OpenAIServer() as server:
        analyzer = OpenAIAnalyzer(api_key="sk-test", base_url=server.base_url, model="gpt-4.1", prices={})
        analyze, calls_made = Analyze(analyzer=analyzer, seconds=20), []
        for stages in ([], [Counting()], [Counting()], [Counting(name="other")]):
            document = await analyzing(backends, owner=owner)
            work = replace(work_of(document, text), report=None, paid_calls=calls_of(backends, document))
            for stage in (*map(Added, stages), analyze):
                work = await stage.run(work, seconds=20)
            calls_made.append(len(server.calls))
        await analyzer.aclose()
    assert calls_made == [1, 2, 2, 3]


class Asking(Stage):
    """Asks a model, through the ledger, what it makes of the text."""

    name = "asking"

    def __init__(self) -> None:
        self.made = 0

    async def run(self, work: Work, *, seconds: float) -> Work:
        key = call_key(model="m", prompt_version="1", schema_version="1", parameters={}, text=work.text)
        price = Price(per_input=2, per_output=8)
        question = Question(key=key, model="m", price=price, reserve_tokens=(10, 1), timeout_seconds=seconds)
        return work.with_result(self, (await work.calls.once(question, self._make)).answer)

    async def _make(self, call_id: UUID) -> Answered:  # noqa: ARG002
        self.made += 1
        return Answered(text="worth reading", input_tokens=10, output_tokens=1)


async def test_added_stages_call_is_paid_once_and_added_to_the_bill(backends: Backends) -> None:
    stage, owner, text = Asking(), uuid4(), f"Dear Ms Okafor, {uuid4()}"
    earlier, bills = Usage(calls=2, input_tokens=300, output_tokens=40, cost_usd=0.001), []
    for _ in range(2):
        document = await analyzing(backends, owner=owner)
        work = replace(work_of(document, text), paid_calls=calls_of(backends, document))
        work = replace(work, report=report().model_copy(update={"usage": earlier}))
        done = await Added(stage).run(work, seconds=20)
        assert done.results["asking"].result == "worth reading"
        bills.append((await done.reported()).usage)
    added = Usage(calls=3, input_tokens=310, output_tokens=41, cost_usd=0.001028)
    assert (stage.made, bills) == (1, [added, earlier])


async def test_run_for_something_else_keeps_what_a_stage_has_found(
    stack_settings: Settings, backends: Backends
) -> None:
    stages = [Counting(name=name) for name in ("early", "analyze", "classify", "late")]
    stages[0].phase = "processing"
    pipeline = replace(assemble(stack_settings, backends).handler.pipeline, stages=tuple(map(Added, stages)))
    kept = StageResult(version="1", result="of an earlier run")
    work = replace(work_of(), results={"early": kept, "classify": kept, "late": kept})
    for phase in get_args(Phase):
        work = await pipeline._through(phase, work, deadline=utc_now() + timedelta(minutes=1))
    assert (work.results["early"].result, work.results["late"].result) == ("x", "of an earlier run")
    # It is what the run was asked for.
    assert work.results["classify"].result == "x"
    # The report is there.
    assert "analyze" not in work.results
