from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from shared.errors import (
    BackendUnavailableError,
    BombError,
    CorruptError,
    EncryptedError,
    ExtractionCrashedError,
    ExtractionError,
    ExtractionTimeoutError,
    NoTextError,
)
from shared.filetype import DOCX, PDF, TEXT
from tests.support import documents
from worker_service.sandbox import Sandbox

MEMORY_BYTES = 256 * 2**20


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    sandbox = Sandbox(timeout_seconds=60, memory_bytes=MEMORY_BYTES, reply_bytes=100_000, recycle_after=3)
    await sandbox.start()
    yield sandbox
    await sandbox.close()


def child_pid(sandbox: Sandbox) -> int:
    return sandbox._idle[-1].process.pid


def runs(pid: int) -> bool:
    """Whether a process still runs; where nobody reaps orphans, a dead one stays a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"


def environment_of(pid: int) -> bytes:
    """Return what Linux tells of a process's environment, nothing elsewhere."""
    return b"".join(environment.read_bytes() for environment in Path(f"/proc/{pid}").glob("environ"))


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(3_000):
        if condition():
            return
        await asyncio.sleep(0.01)
    pytest.fail("The condition did not come true within 30 seconds.")


async def start_endless(sandbox: Sandbox) -> asyncio.Task[object]:
    """Start an extraction that does not end by itself; return once the child has it."""
    task: asyncio.Task[object] = asyncio.create_task(sandbox.extract(documents.endless_pdf(), PDF))
    await until(lambda: not sandbox._idle)
    return task


async def works(sandbox: Sandbox) -> bool:
    return (await sandbox.extract(documents.pdf(["Fine"]), PDF)).text == "Fine"


@pytest.mark.parametrize(
    ("data", "content_type", "expected"),
    [
        (documents.pdf(["One", "", "Zwei: Größe"]), PDF, ("One\n\nZwei: Größe", (3, 0, 11))),
        (documents.docx(["Straße", "東京"]), DOCX, ("Straße\n東京", None)),
        ("Hello 👋".encode(), TEXT, ("Hello 👋", None)),
    ],
)
async def test_text_and_pages_come_back_from_the_child(
    sandbox: Sandbox, data: bytes, content_type: str, expected: tuple[str, tuple[int, ...] | None]
) -> None:
    extraction = await sandbox.extract(data, content_type)
    assert (extraction.text, extraction.page_chars) == expected


@pytest.mark.parametrize(
    ("data", "content_type", "cause", "message"),
    [
        (documents.encrypted_pdf("x", user_password="x"), PDF, EncryptedError, "password"),
        (b"%PDF-1.7 and no more", PDF, CorruptError, "damaged"),
        (documents.pdf_without_text(), PDF, NoTextError, "OCR"),
        (documents.zip_bomb_docx(), DOCX, BombError, "unpacks to 20 MB"),
    ],
)
async def test_cause_and_message_come_back_from_the_child(
    sandbox: Sandbox, data: bytes, content_type: str, cause: type[ExtractionError], message: str
) -> None:
    with pytest.raises(cause, match=message):
        await sandbox.extract(data, content_type)
    assert await works(sandbox)


async def test_endless_document_is_killed_at_the_time_limit() -> None:
    sandbox = Sandbox(timeout_seconds=0.5, memory_bytes=MEMORY_BYTES)
    await sandbox.start()
    process = sandbox._idle[-1].process
    with pytest.raises(ExtractionTimeoutError, match=r"longer than 0\.5 seconds"):
        await sandbox.extract(documents.endless_pdf(), PDF)
    assert process.returncode == -signal.SIGKILL
    assert not sandbox._idle


async def test_document_that_eats_memory_is_a_bomb_and_the_next_one_works(sandbox: Sandbox) -> None:
    # macOS does not enforce RLIMIT_AS, so that there this bomb just has no text.
    limit_is_enforced = sys.platform == "linux"
    with pytest.raises(BombError if limit_is_enforced else NoTextError) as failure:
        await sandbox.extract(documents.flate_bomb_pdf(), PDF)
    assert "more than 256 MB of memory" in str(failure.value) or not limit_is_enforced
    assert await works(sandbox)


async def test_document_that_grows_while_it_is_read_ends_at_a_limit() -> None:
    sandbox = Sandbox(timeout_seconds=5, memory_bytes=MEMORY_BYTES)
    with pytest.raises((BombError, ExtractionTimeoutError)):
        await sandbox.extract(documents.form_tree_pdf(), PDF)
    assert not sandbox._idle


async def test_long_document_is_read_in_a_small_part_of_its_size() -> None:
    sandbox = Sandbox(timeout_seconds=60, memory_bytes=64 * 2**20)
    # As a tree, these 9 MB of XML take twice the limit.
    extraction = await sandbox.extract(documents.docx(["word"] * 170_000), DOCX)
    assert extraction.text.count("word") == 170_000
    await sandbox.close()


async def test_more_text_than_the_limit_is_a_bomb(sandbox: Sandbox) -> None:
    with pytest.raises(BombError, match="too much text"):
        await sandbox.extract(b"word " * 20_000, TEXT)
    assert await works(sandbox)


@pytest.mark.parametrize(
    ("signal_number", "cause"),
    [
        (signal.SIGSEGV, ExtractionCrashedError),
        (signal.SIGKILL, ExtractionCrashedError),
        (signal.SIGXCPU, ExtractionTimeoutError),
    ],
)
async def test_death_of_the_child_is_named_and_the_next_document_works(
    sandbox: Sandbox, signal_number: signal.Signals, cause: type[ExtractionError]
) -> None:
    pid = child_pid(sandbox)
    task = await start_endless(sandbox)
    os.kill(pid, signal_number)
    with pytest.raises(cause):
        await task
    assert await works(sandbox)


async def test_cancellation_kills_the_child_and_the_next_document_works(sandbox: Sandbox) -> None:
    process = sandbox._idle[-1].process
    task = await start_endless(sandbox)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert process.returncode == -signal.SIGKILL
    assert await works(sandbox)


async def test_child_that_died_while_idle_is_replaced_unnoticed(sandbox: Sandbox) -> None:
    idle = sandbox._idle[-1]
    os.kill(idle.process.pid, signal.SIGKILL)
    await until(lambda: not idle.alive)
    assert await works(sandbox)


async def test_child_is_replaced_after_its_share_of_documents(sandbox: Sandbox) -> None:
    pids = []
    for _ in range(4):
        assert await works(sandbox)
        pids.append(child_pid(sandbox))
    assert len(set(pids[:3])) == 1
    assert pids[3] != pids[0]
    assert not runs(pids[0])


async def test_as_many_documents_run_at_a_time_as_there_are_children() -> None:
    sandbox = Sandbox(timeout_seconds=60, memory_bytes=MEMORY_BYTES, size=2)
    await sandbox.start()
    busy = asyncio.create_task(sandbox.extract(documents.endless_pdf(), PDF))
    await until(lambda: len(sandbox._idle) == 1)
    assert await works(sandbox)
    assert await works(sandbox)
    busy.cancel()
    await asyncio.wait([busy])
    await sandbox.close()


async def test_documents_queue_for_the_only_child(sandbox: Sandbox) -> None:
    extractions = await asyncio.gather(*(sandbox.extract(str(number).encode(), TEXT) for number in range(5)))
    assert [extraction.text for extraction in extractions] == ["0", "1", "2", "3", "4"]


async def test_close_ends_the_children() -> None:
    sandbox = Sandbox(timeout_seconds=60, memory_bytes=MEMORY_BYTES, size=2)
    await sandbox.start()
    pids = [child.process.pid for child in sandbox._idle]
    await sandbox.close()
    assert len(pids) == 2
    assert not any(map(runs, pids))


@pytest.mark.parametrize("program", ["/nowhere/python", "/bin/false"])
async def test_child_that_cannot_start_is_not_the_documents_fault(
    monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    sandbox = Sandbox(timeout_seconds=60, memory_bytes=MEMORY_BYTES)
    # The one way to lose the interpreter without losing this one.
    monkeypatch.setattr(sys, "executable", program)
    with pytest.raises(BackendUnavailableError):
        await works(sandbox)


async def test_child_gets_nothing_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "canary")
    sandbox = Sandbox(timeout_seconds=60, memory_bytes=MEMORY_BYTES)
    await sandbox.start()
    assert b"canary" not in environment_of(child_pid(sandbox))
    await sandbox.close()


def test_parent_never_imports_a_parser() -> None:
    program = """
        import asyncio, sys
        from shared.filetype import TEXT
        from worker_service.sandbox import Sandbox

        async def main():
            sandbox = Sandbox(timeout_seconds=60, memory_bytes=2**28)
            assert (await sandbox.extract(b"Hello", TEXT)).text == "Hello"
            await sandbox.close()

        asyncio.run(main())
        print(sorted({"pypdfium2", "pypdf", "lxml", "charset_normalizer"} & sys.modules.keys()))
    """
    assert run_python(program).strip() == "[]"


async def test_busy_child_does_not_outlive_a_killed_parent() -> None:
    program = """
        import asyncio, os, signal
        from shared.filetype import PDF
        from tests.support.documents import endless_pdf
        from worker_service.sandbox import Sandbox

        async def main():
            sandbox = Sandbox(timeout_seconds=1, memory_bytes=2**28)
            await sandbox.start()
            print(sandbox._idle[0].process.pid, flush=True)
            task = asyncio.create_task(sandbox.extract(endless_pdf(), PDF))
            while sandbox._idle:
                await asyncio.sleep(0)
            os.kill(os.getpid(), signal.SIGKILL)

        asyncio.run(main())
    """
    pid = int(run_python(program, exit_code=-signal.SIGKILL))
    await until(lambda: not runs(pid))


def run_python(program: str, *, exit_code: int = 0) -> str:
    command = [sys.executable, "-c", textwrap.dedent(program)]
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == exit_code, done.stderr
    return done.stdout
