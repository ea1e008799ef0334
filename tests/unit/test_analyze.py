"""Which files `docrelay analyze` answers for, how many at a time, and what it says of each."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from docrelay.analyze import Desk, analyze, as_done
from docrelay.answers import Answer, Done, as_json, as_text
from docrelay.files import files_in
from docrelay.output import paragraph, what_is_missing
from shared.analysis import ActionItem, Analysis, Classification, Sentiment
from shared.errors import CorruptError, DocumentError, ExtractionError
from shared.filetype import PDF, TEXT
from shared.settings import Settings
from tests.support.documents import docx, pdf_without_text
from worker_service.analyzers import coverage_of
from worker_service.extractors import Extraction

ANALYSIS = Analysis(
    summary="Pay the invoice.",
    topics=["invoice", "payment"],
    sentiment=Sentiment(label="neutral", score=0.0),
    action_items=[ActionItem(text="Pay the invoice", owner="Ada", due="Friday")],
    classification=Classification(label="invoice", confidence=0.8),
    tags=["invoice"],
    language="en",
)
FOUND = Extraction(
    text="Pay the invoice.",
    page_chars=(16, 0),
    title="An invoice",
    ocr_pages=(1,),
    created=datetime(2026, 1, 31, tzinfo=UTC),
    hidden_chars=9,
)
COVERAGE = coverage_of(FOUND, chars_analyzed=16)
ANSWER = Answer(
    path=Path("a.pdf"), result=Done(content_type=PDF, extraction=FOUND, analysis=ANALYSIS, coverage=COVERAGE)
)


def test_every_regular_file_in_a_folder_is_found_and_nothing_else(tmp_path: Path) -> None:
    for name in ("b.txt", "a.pdf", ".hidden", "sub/deep/c.docx"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "broken").symlink_to("nowhere")
    (tmp_path / "itself").symlink_to("itself")
    (tmp_path / "sub" / "up").symlink_to(tmp_path)
    (tmp_path / "linked.txt").symlink_to("b.txt")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(tmp_path / "socket"))
        found = [str(path.relative_to(tmp_path)) for path in files_in([tmp_path])]
    assert found == [".hidden", "a.pdf", "b.txt", "linked.txt", "sub/deep/c.docx"]


def test_file_and_linked_folder_may_be_named(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.txt").write_bytes(b"x")
    (tmp_path / "link").symlink_to("folder")
    named = [tmp_path / "folder" / "a.txt", tmp_path / "link"]
    assert list(files_in(named)) == [tmp_path / "folder" / "a.txt", tmp_path / "link" / "a.txt"]


def test_pipe_is_skipped_even_if_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert list(files_in([tmp_path / "pipe"])) == []


def test_path_without_any_file_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty").mkdir()
    named = [tmp_path / "pipe", tmp_path / "empty"]
    assert analyze(named, settings=Settings(_env_file=None), jobs=1, json=True) == 2
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [answer["error"]["code"] for answer in answers] == ["no_file", "no_file"]


async def test_no_more_files_are_worked_on_than_at_once() -> None:
    working = peak = 0

    async def answer(path: Path) -> Answer:
        nonlocal working, peak
        working += 1
        peak = max(peak, working)
        await asyncio.sleep(0)
        working -= 1
        return Answer(path=path, result=CorruptError())

    files = [Path(str(number)) for number in range(20)]
    answers = [answered.path async for answered in as_done(files, answer, at_once=3)]
    assert sorted(answers) == sorted(files)
    assert peak == 3


async def test_work_ends_when_nobody_wants_more_answers() -> None:
    ended = []

    async def answer(path: Path) -> Answer:
        if path == Path("quick"):
            return Answer(path=path, result=CorruptError())
        try:
            return await asyncio.Future()
        finally:
            ended.append(path)

    async with aclosing(as_done([Path("quick"), Path("slow")], answer, at_once=2)) as answers:
        assert (await anext(answers)).path == Path("quick")
    assert ended == [Path("slow")]


@pytest.fixture(scope="module")
async def desk() -> AsyncIterator[Desk]:
    settings = Settings(_env_file=None, max_file_bytes=2_000)
    desk = Desk(settings=settings, jobs=1)
    yield desk
    await desk.close()


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("a.txt", b"", "empty"),
        ("a.txt", b"x" * 2_001, "too_large"),
        ("a.png", b"x", "unsupported_type"),
        ("a.pdf", b"text", "unsupported_type"),
        ("a.pdf", b"%PDF-1.7", "corrupt"),
        (b"\xff.pdf", b"%PDF-1.7", "corrupt"),
    ],
)
async def test_cause_of_a_failure_is_the_answer(
    desk: Desk, tmp_path: Path, name: str | bytes, data: bytes, code: str
) -> None:
    path = tmp_path / os.fsdecode(name)
    path.write_bytes(data)
    assert codes(await desk.answer(path)) == code


async def test_file_that_has_vanished_is_unreadable(desk: Desk, tmp_path: Path) -> None:
    assert codes(await desk.answer(tmp_path / "gone.txt")) == "unreadable"


async def test_folder_that_cannot_be_listed_is_unreadable(desk: Desk, tmp_path: Path) -> None:
    assert codes(await desk.answer(tmp_path)) == "unreadable"


async def test_file_of_exactly_the_limit_is_read(desk: Desk, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"word " * 400)
    answer = await desk.answer(path)
    assert isinstance(answer.result, Done)
    assert (answer.result.content_type, answer.result.extraction.words) == (TEXT, 400)


async def test_paragraphs_of_a_docx_are_not_joined(desk: Desk, tmp_path: Path) -> None:
    path = tmp_path / "a.docx"
    path.write_bytes(docx(["Next steps", "Anna Berg to order the windows by 20 May 2026", "Update the website"]))
    answer = await desk.answer(path)
    assert isinstance(answer.result, Done)
    assert [item.text for item in answer.result.analysis.action_items][1:] == ["Update the website"]


async def test_scan_is_read_by_the_engine_that_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, path = tmp_path / "tesseract", tmp_path / "scan.pdf"
    engine.write_text("#!/bin/sh\ncat > /dev/null; echo 'Read from the picture'\n")
    engine.chmod(0o755)
    path.write_bytes(pdf_without_text())
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    desk = Desk(settings=Settings(_env_file=None), jobs=1)
    answer = await desk.answer(path)
    await desk.close()
    assert isinstance(answer.result, Done)
    assert answer.result.extraction.text == "Read from the picture"


async def test_analysis_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"Some words. " * 20)
    desk = Desk(settings=Settings(_env_file=None, llm_seconds=0.001), jobs=1)
    assert codes(await desk.answer(path)) == "llm_timeout"
    await desk.close()


async def test_analysis_process_that_dies_fails_one_file_and_is_replaced(desk: Desk, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"Some words. " * 20)
    assert isinstance((await desk.answer(path)).result, Done)
    for process in list(desk._analyses._processes.values()):
        process.kill()
    assert codes(await desk.answer(path)) == "failed"
    assert isinstance((await desk.answer(path)).result, Done)


def codes(answer: Answer) -> str:
    assert isinstance(answer.result, DocumentError)
    return answer.result.code


def test_json_has_every_field_for_a_result() -> None:
    fields = json.loads(as_json(ANSWER))
    assert list(fields) == ["path", "pages", "chars", "analysis", "coverage", "metadata", "error"]
    assert (fields["path"], fields["pages"], fields["chars"], fields["error"]) == ("a.pdf", 2, 16, None)
    assert fields["coverage"] == COVERAGE.model_dump()
    assert (fields["coverage"]["pages_with_text"], fields["coverage"]["pages_ocr"]) == (1, 1)
    assert fields["metadata"]["created"] == "2026-01-31T00:00:00+00:00"
    assert Analysis.model_validate(fields["analysis"]) == ANALYSIS


def test_json_has_the_same_fields_for_an_error() -> None:
    fields = json.loads(as_json(Answer(path=Path("a.pdf"), result=CorruptError())))
    assert list(fields) == list(json.loads(as_json(ANSWER)))
    assert fields["error"] == {"code": "corrupt", "detail": "The document is damaged and cannot be read."}


def test_json_keeps_a_name_that_is_no_text() -> None:
    line = as_json(Answer(path=Path(os.fsdecode(b"\xff\n.pdf")), result=CorruptError()))
    assert "\n" not in line
    assert os.fsencode(json.loads(line)["path"]) == b"\xff\n.pdf"


def test_text_for_people_has_what_matters() -> None:
    assert as_text(ANSWER).splitlines() == [
        "a.pdf",
        "  2 pages (1 with text, 1 by OCR), 3 words, 16 characters in en; invoice (80%), neutral (+0.00)",
        "  An invoice, 2026-01-31",
        "  Pay the invoice.",
        "  invoice, payment",
        "  - Pay the invoice (Ada, Friday)",
        "  9 characters of hidden text left out",
    ]


def test_text_for_people_says_what_the_analysis_does_not_cover() -> None:
    partial = COVERAGE.model_copy(update={"verdict": "partial", "chars_analyzed": 12})
    assert isinstance(ANSWER.result, Done)
    lines = as_text(replace(ANSWER, result=replace(ANSWER.result, coverage=partial))).splitlines()
    assert lines[2] == "  partial: 12 of 16 characters analyzed, 1 of 2 pages with text"
    assert what_is_missing(COVERAGE.model_dump()) == ""
    unread = partial.model_copy(update={"chars_analyzed": 16})
    assert what_is_missing(unread.model_dump()).endswith("1 of 2 pages with text, but not all that they show was read")


def test_document_of_a_server_says_what_the_analysis_does_not_cover() -> None:
    counts = {"chars_analyzed": 1_000_000, "chars_extracted": 9_648_834, "pages_total": None, "pages_with_text": None}
    coverage = {"verdict": "partial", **counts}
    document = {"id": "1", "status": "completed", "filename": "big.txt", "content_type": "text/plain", "size": 1}
    lines = paragraph({**document, "coverage": coverage, "pages": None, "analysis": None, "history": []})
    assert lines[0] == "1  completed   big.txt  partial: 1,000,000 of 9,648,834 characters analyzed"


@pytest.mark.parametrize(
    ("pages", "told", "label", "chosen"),
    [
        (None, "9 bytes", "urgent", "urgent"),
        (1, "9 bytes, 1 page", None, "none fits"),
        (2, "9 bytes, 2 pages", "a", "a"),
    ],
)
def test_document_of_a_server_tells_its_pages_and_its_label(
    pages: int | None, told: str, label: str | None, chosen: str
) -> None:
    document: dict[str, object] = {"id": "1", "status": "completed", "filename": "a.pdf"}
    document |= {"content_type": "any/type", "size": 9}
    document |= {"coverage": None, "pages": pages, "analysis": None, "history": []}
    assert paragraph({**document, "classification": None})[1:] == [f"any/type, {told}"]
    lines = paragraph({**document, "classification": {"label": label, "confidence": 0.75}})
    assert lines[-1] == f"Your labels: {chosen} (75%)"


def test_text_for_people_shows_no_control_characters_of_a_name() -> None:
    name = os.fsdecode(b"\xff\x1b[31m\n.pdf")
    shown = as_text(Answer(path=Path(name), result=ExtractionError("No.")))
    assert shown.splitlines() == ["\ufffd\ufffd[31m\ufffd.pdf", "  failed: No."]
