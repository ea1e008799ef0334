"""Extraction and the offline analyzer on files of this machine. Knows no server, no store and no network."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import aclosing
from functools import partial
from itertools import islice
from multiprocessing import connection, get_context, parent_process
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import Progress

from docrelay.answers import Answer, Done, as_json, as_text
from docrelay.files import files_in, without_files
from docrelay.output import show_what_can_be_shown
from shared.analysis import Analysis
from shared.errors import AnalysisError, DocumentError, EmptyFileError, IntakeError, LLMTimeoutError, TooLargeError
from shared.filetype import SNIFFED_BYTES, content_type_of
from shared.settings import Settings
from worker_service.analyzers import coverage_of
from worker_service.analyzers.offline import MAX_CHARS, analysis_of
from worker_service.extractors import Extraction, NoTextOnPagesError
from worker_service.ocr import page_reader
from worker_service.sandbox import Sandbox


class UnreadableError(IntakeError):
    """The file or folder could not be read."""

    code = "unreadable"


class NoFileError(IntakeError):
    """There is no file here."""

    code = "no_file"


def analyze(paths: Sequence[Path], *, settings: Settings, jobs: int, json: bool) -> int:
    """Print one answer for each regular file, in the order in which they are done; return how many failed.

    A path without any fails as well.
    """
    show_what_can_be_shown()
    show, without = as_json if json else as_text, without_files(paths)
    for path in without:
        typer.echo(show(Answer(path=path, result=NoFileError())))
    files = list(dict.fromkeys(files_in(paths)))
    desk = Desk(settings=settings, jobs=max(1, min(jobs, len(files))))
    failed = len(without) + asyncio.run(_print_answers(files, desk, show=show))
    typer.echo(f"{len(without) + len(files)} files, {failed} failed", err=True)
    return failed


async def _print_answers(files: Sequence[Path], desk: Desk, *, show: Callable[[Answer], str]) -> int:
    failed = 0
    # It takes standard output over to write above the bar, which is right only if both are the same terminal.
    progress = Progress(
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
        redirect_stdout=sys.stdout.isatty(),
        transient=True,
    )
    with progress:
        shown = progress.add_task("", total=len(files))
        try:
            async with aclosing(as_done(files, desk.answer, at_once=desk.at_once)) as answers:
                async for answer in answers:
                    sys.stdout.write(show(answer) + "\n")
                    sys.stdout.flush()
                    progress.advance(shown)
                    failed += isinstance(answer.result, DocumentError)
        finally:
            await desk.close()
    return failed


async def as_done(
    files: Iterable[Path], answer: Callable[[Path], Awaitable[Answer]], *, at_once: int
) -> AsyncGenerator[Answer, None]:
    """Yield an answer for each file as it is done, working on few at once; what is not done ends with the caller."""
    waiting = iter(files)
    running: set[asyncio.Future[Answer]] = set()
    try:
        while True:
            for path in islice(waiting, at_once - len(running)):
                running.add(asyncio.ensure_future(answer(path)))
            if not running:
                return
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                yield task.result()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


class Desk:
    """Turns files into answers, up to `jobs` at a time: parsers in the sandbox, analyses in processes of their own."""

    def __init__(self, *, settings: Settings, jobs: int) -> None:
        self.jobs = jobs
        self._max_bytes = settings.max_file_bytes
        self._analysis_seconds = settings.llm_seconds
        self._sandbox = Sandbox(
            timeout_seconds=settings.extraction_seconds, memory_bytes=settings.extraction_memory_bytes, size=jobs
        )
        self._ocr_seconds = settings.ocr_seconds
        self._reader = page_reader(
            self._sandbox,
            program=shutil.which("tesseract"),
            max_pages=settings.ocr_max_pages,
            languages=settings.ocr_languages,
        )
        self._analyses = self._processes()

    @property
    def at_once(self) -> int:
        """One more than there are jobs, lest they wait for what is being read or printed; of a single job, one."""
        return self.jobs + (self.jobs > 1)

    async def close(self) -> None:
        await self._sandbox.close()
        self._analyses.shutdown(wait=False, cancel_futures=True)

    async def answer(self, path: Path) -> Answer:
        try:
            return Answer(path=path, result=await self._look_into(path))
        except DocumentError as error:
            return Answer(path=path, result=error)

    async def _look_into(self, path: Path) -> Done:
        data, content_type = await asyncio.to_thread(_read, path, max_bytes=self._max_bytes)
        found = await self._extraction(data, content_type)
        read = found.text[:MAX_CHARS]
        return Done(
            content_type=content_type,
            extraction=found,
            analysis=await self._analysis(partial(analysis_of, read, lines_are_whole=found.lines_are_whole)),
            coverage=coverage_of(found, chars_analyzed=len(read)),
        )

    async def _extraction(self, data: bytes, content_type: str) -> Extraction:
        if self._reader is None:
            return await self._sandbox.extract(data, content_type)
        try:
            found = await self._sandbox.extract(data, content_type)
        except NoTextOnPagesError as error:
            found = error.found
        return await self._reader.fill(found, data, content_type, seconds=self._ocr_seconds)

    async def _analysis(self, work: Callable[[], Analysis]) -> Analysis:
        running = asyncio.ensure_future(self._in_another_process(work))
        await asyncio.wait({running}, timeout=self._analysis_seconds)
        if not running.done():
            running.cancel()
            raise LLMTimeoutError("The analysis took longer than allowed.")
        failure = running.exception()
        if isinstance(failure, BrokenProcessPool):
            self._analyses = self._processes()
        if failure:
            raise AnalysisError("The analysis failed.") from failure
        return running.result()

    async def _in_another_process(self, work: Callable[[], Analysis]) -> Analysis:
        # This one has one interpreter lock for all jobs.
        return await asyncio.get_running_loop().run_in_executor(self._analyses, work)

    def _processes(self) -> ProcessPoolExecutor:
        processes = ProcessPoolExecutor(self.jobs, mp_context=get_context("spawn"), initializer=_get_ready)
        # Each starts with a task that finds the others busy, and takes a second that the first files need not wait for.
        for _ in range(self.jobs):
            processes.submit(os.getpid)
        return processes


def _get_ready() -> None:
    """Leave Ctrl-C to the parent, end when it ends, however that is, and load what the first text would wait for."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    analysis_of("Good morning.")


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent
    connection.wait([parent.sentinel])
    os._exit(1)


def _read(path: Path, *, max_bytes: int) -> tuple[bytes, str]:
    """Return the file's content and its type. Raises IntakeError for what no upload would accept."""
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size > max_bytes:
                raise TooLargeError(f"The file has more than {max_bytes} bytes ({max_bytes / 1_048_576:g} MiB).")
            head = file.read(SNIFFED_BYTES)
            if not head:
                raise EmptyFileError
            content_type = content_type_of(path.name, head)
            # No more than that of a file that is still growing.
            return head + file.read(max_bytes - len(head)), content_type
    except OSError as error:
        raise UnreadableError(f"{UnreadableError.__doc__} {error.strerror}.") from error
