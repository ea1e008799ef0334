"""Commands that wait and are ended before their documents are: what the server accepted is told all the same."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from shared.bootstrap import Backends
from shared.settings import Settings
from tests.api.test_commands import beside, newest
from tests.support.callers import Caller, calling, tokens_of
from tests.support.running import serving
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
    nobody: Terminal, stack_settings: Settings, backends: Backends, file: Path
) -> None:
    # A stream that is open already outlives what its user may do, so it has to be a short one.
    settings = stack_settings.model_copy(update={"stream_seconds": 0.5})
    async with serving(settings) as base_url, calling(base_url, settings, backends) as me:
        nobody.keep(base_url=base_url, access_token=tokens_of(settings).access(me.user, uuid4()), refresh_token="-")

        async def disable() -> None:
            await newest(me)
            await backends.accounts.change_user(replace(me.user, disabled=True, token_epoch=1))

        outcome = await beside(nobody.run("upload", str(file), "--wait", "--json"), disable)
    assert outcome.exit_code == 2, outcome.output
    (line,) = map(json.loads, outcome.stdout.splitlines())
    assert (line["filename"], "401" in outcome.stderr) == ("a.txt", True)
