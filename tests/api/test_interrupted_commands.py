"""Commands that wait and are ended before their documents are: what the server accepted is told all the same."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE
from dataclasses import replace
from pathlib import Path

import pytest

from tests.api.test_commands import beside, newest
from tests.support.builders import S
from tests.support.callers import Caller
from tests.support.terminal import Terminal


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.txt"
    path.write_text("one")
    return path


async def test_ctrl_c_leaves_the_ids_of_what_was_uploaded(shell: Terminal, me: Caller, file: Path) -> None:
    words = ("-m", "docrelay", "upload", "--wait", "--json", str(file))
    running = await asyncio.create_subprocess_exec(sys.executable, *words, stdout=PIPE, stderr=PIPE)
    assert running.stderr
    told = await running.stderr.readline()
    running.send_signal(signal.SIGINT)
    out, errors = await running.communicate()
    assert (running.returncode, told.decode(), errors) == (130, f"uploaded {file}\n", b"")
    (line,) = map(json.loads, out.splitlines())
    assert (line["id"], line["status"]) == (str((await newest(me)).id), "pending")


async def test_user_that_may_do_nothing_any_more_is_told_what_was_accepted(
    shell: Terminal, me: Caller, file: Path
) -> None:
    async def disable() -> None:
        document = await newest(me)
        await me.backends.accounts.change_user(replace(me.user, disabled=True, token_epoch=1))
        await me.move(document, S.PROCESSING)

    outcome = await beside(shell.run("upload", str(file), "--wait", "--json"), disable)
    assert outcome.exit_code == 2, outcome.output
    (line,) = map(json.loads, outcome.stdout.splitlines())
    assert (line["filename"], "401" in outcome.stderr) == ("a.txt", True)
