"""What the commands say, and exit with, when a server, a path or a terminal is not as it should be."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from uuid import uuid4

import pytest

from tests.support.any_server import Said, saying
from tests.support.builders import S
from tests.support.callers import Caller
from tests.support.running import PASSWORD
from tests.support.terminal import Terminal

ID = "01a202f2-0000-7000-8000-000000000000"


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


@pytest.mark.parametrize(
    "said",
    [
        Said(kind="text/html", body="<html>Welcome</html>"),
        Said(body='{"hello": "world"}'),
        Said(body="[]"),
        Said(status="302 Found", headers=("Location: /login",)),
        Said(status="404 Not Found", kind="text/html", body="<html>Nothing here</html>"),
    ],
    ids=["page", "other", "list", "redirect", "missing"],
)
@pytest.mark.parametrize(
    "command",
    [
        "list",
        "doctor",
        "insights a",
        "watch",
        f"wait {ID}",
        f"show {ID}",
        f"show --text {ID}",
        f"process {ID}",
        f"delete {ID}",
        "upload pyproject.toml",
        "login --username ada --password-stdin",
    ],
)
async def test_server_that_is_not_docrelay_is_3(nobody: Terminal, command: str, said: Said) -> None:
    async with saying(said) as url:
        nobody.keep(base_url=url, access_token="-", refresh_token="-")
        outcome = await nobody.run(*command.split(), "--base-url", url, entered="secret\n")
    assert (outcome.exit_code, outcome.stdout) == (3, "")
    assert f"docrelay: {url}/" in outcome.stderr
    assert "not as Docrelay does" in outcome.stderr


@pytest.mark.parametrize(("status", "code"), [("401 Unauthorized", 2), ("429 Too Many Requests", 2), ("503 Down", 3)])
async def test_log_in_that_is_refused_says_why(nobody: Terminal, status: str, code: int) -> None:
    async with saying(Said(status=status, body='{"code": "any", "detail": "Try again in 43 seconds."}')) as url:
        words = ("login", "--base-url", url, "--username", "ada", "--password-stdin")
        outcome = await nobody.run(*words, entered="secret\n")
    assert (outcome.exit_code, outcome.stdout) == (code, "")
    assert f"docrelay: {status.split(maxsplit=1)[0]} Try again in 43 seconds.\n" in outcome.stderr


async def test_output_that_nobody_takes_is_told_in_a_line(shell: Terminal, me: Caller) -> None:
    await me.document()
    reader, writer = os.pipe()
    os.close(reader)
    running = await asyncio.create_subprocess_exec(sys.executable, "-m", "docrelay", "list", stdout=writer, stderr=PIPE)
    os.close(writer)
    _, errors = await running.communicate()
    assert (running.returncode, errors) == (1, b"docrelay: Broken pipe\n")


async def test_log_in_that_cannot_be_kept_is_told_in_a_line(nobody: Terminal) -> None:
    (nobody.folder / "docrelay").write_text("a file where the folder would be")
    async with saying(Said(body='{"access_token": "a", "refresh_token": "b"}')) as url:
        words = ("-m", "docrelay", "login", "--base-url", url, "--username", "ada", "--password-stdin")
        running = await asyncio.create_subprocess_exec(sys.executable, *words, stdin=PIPE, stderr=PIPE)
        _, errors = await running.communicate(b"secret\n")
    assert running.returncode == 1
    assert errors.decode() == f"docrelay: File exists: {nobody.folder / 'docrelay'}\n"


async def test_names_that_are_no_text_are_uploaded_and_shown(shell: Terminal, me: Caller, tmp_path: Path) -> None:
    below = tmp_path / "box" / os.fsdecode(b"sub\xff")
    below.mkdir(parents=True)
    for name in (b"m\xff.txt", b"n\xff.exe", b"z.txt"):
        (below / os.fsdecode(name)).write_text("one")
    outcome = await shell.run("upload", str(tmp_path / "box"))
    assert (outcome.exit_code, len(outcome.stdout.splitlines())) == (1, 3), outcome.output
    assert "n?.exe  unsupported_type" in outcome.stdout
    kept = (await me.client.get("/documents")).json()["items"]
    assert {(item["folder"], item["filename"]) for item in kept} == {("sub?", "m?.txt"), ("sub?", "z.txt")}


async def test_terminal_that_cannot_show_a_text_has_question_marks(shell: Terminal, me: Caller) -> None:
    document = await me.document(S.COMPLETED, filename="日本.pdf")
    shown = await shell.run("list", charset="latin-1")
    assert (shown.exit_code, shown.stdout.split()) == (0, [str(document.id), "completed", "??.pdf"])


async def test_document_that_never_was_is_not_said_to_be_deleted(shell: Terminal) -> None:
    (line,) = await shell.lines("wait", ID, code=1)
    assert (line["id"], line["status"]) == (ID, "not_found")


async def test_deletions_and_findings_are_lines_for_programs_too(shell: Terminal, me: Caller) -> None:
    document = await me.document(S.COMPLETED)
    assert await shell.lines("delete", ID, str(document.id), code=1) == [{"id": str(document.id), "status": "deleted"}]
    assert [line["verdict"] for line in await shell.lines("doctor")] == ["ok"] * 4
