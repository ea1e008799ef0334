"""What the commands say, and exit with, when a server, a path or a terminal is not as it should be."""

from __future__ import annotations

import os
from pathlib import Path
from uuid import uuid4

import pytest

from tests.support.running import PASSWORD
from tests.support.terminal import Terminal


@pytest.mark.parametrize("command", [["list"], ["doctor"], ["insights", "a"], ["watch"], ["wait", str(uuid4())]])
async def test_server_that_is_not_there_is_3(nobody: Terminal, command: list[str]) -> None:
    nobody.keep(base_url="http://127.0.0.1:1", access_token="-", refresh_token="-")
    outcome = await nobody.run(*command)
    assert (outcome.exit_code, outcome.stdout) == (3, "")
    assert "does not answer" in outcome.stderr


@pytest.mark.parametrize(
    "command",
    [
        ["show", "no-id"],
        ["show", str(uuid4())],
        ["list", "--status", "done"],
        ["upload", "/nowhere"],
        ["delete"],
        ["list", "--base-url", "ftp://127.0.0.1"],
    ],
)
async def test_wrong_use_is_2(shell: Terminal, command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    # For the server that is not the one of the log-in.
    monkeypatch.setenv("DOCRELAY_USERNAME", "ada")
    monkeypatch.setenv("DOCRELAY_PASSWORD", PASSWORD)
    outcome = await shell.run(*command)
    assert (outcome.exit_code, outcome.stdout) == (2, "")
    assert outcome.stderr


@pytest.mark.parametrize("kind", ["folder", "pipe", "device"])
async def test_path_without_a_file_is_refused_and_the_rest_uploaded(shell: Terminal, tmp_path: Path, kind: str) -> None:
    (tmp_path / "a.txt").write_text("one")
    (tmp_path / "folder" / "below").mkdir(parents=True)
    os.mkfifo(tmp_path / "pipe")
    named = Path(os.devnull) if kind == "device" else tmp_path / kind
    first, second = await shell.lines("upload", str(named), str(tmp_path / "a.txt"), code=1)
    assert (first["filename"], first["status"], first["error"]["code"]) == (str(named), "refused", "no_file")
    assert second["status"] == "pending"
