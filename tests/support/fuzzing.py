"""Gives mutated files to the sandbox and looks at how each ends. What it finds is a failing example."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from shared.errors import ExtractionCrashedError, ExtractionError
from worker_service.extractors import Extraction, readable
from worker_service.sandbox import Sandbox


class Trial:
    """One sandbox, and how the files that it was given have ended."""

    def __init__(self, runner: asyncio.Runner, sandbox: Sandbox) -> None:
        self._runner = runner
        self._sandbox = sandbox
        self.ends: Counter[str] = Counter()

    def give(self, content_type: str, data: bytes) -> None:
        """Raise if the file ends neither as sound text nor with a cause that is about the file."""
        try:
            found = self._runner.run(self._sandbox.extract(data, content_type))
        except ExtractionCrashedError:
            raise
        except ExtractionError as error:
            self.ends[error.code] += 1
            return
        self.ends["text"] += 1
        check(found)


def check(found: Extraction) -> None:
    """Fail unless the text is readable and the receipt adds up."""
    assert found.text == readable(found.text)
    assert any(not char.isspace() for char in found.text)
    if found.page_chars is not None:
        filled = [chars for chars in found.page_chars if chars]
        assert sum(filled) + 2 * (len(filled) - 1) == len(found.text)


@contextmanager
def trial(*, timeout_seconds: float = 10) -> Iterator[Trial]:
    """Open a sandbox for the time of a trial."""
    with asyncio.Runner() as runner:
        sandbox = Sandbox(timeout_seconds=timeout_seconds, memory_bytes=256 * 2**20)
        yield Trial(runner, sandbox)
        runner.run(sandbox.close())
