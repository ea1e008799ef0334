"""The frame of a service: whatever ends it is told in one line and an exit code, and not in a document's words."""

from __future__ import annotations

import json
import subprocess
import sys

_SERVICE = """
import asyncio, sys
from shared.process import run_service

async def fall():
    raise RuntimeError("canary.pdf")

async def serve(settings):
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(fall())

sys.exit(run_service("worker", serve, run=asyncio.run))
"""


def test_bug_ends_a_service_without_its_words() -> None:
    ended = subprocess.run([sys.executable, "-c", _SERVICE], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    line = json.loads(ended.stderr)
    assert (line["event"], line["level"], line["cause"]) == ("process.failed", "error", "ExceptionGroup")
    assert ["RuntimeError at" in link and "fall" in link for link in line["exception"]] == [False, True]
    assert "canary" not in ended.stderr
