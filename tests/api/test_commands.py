"""The commands that talk to a server, against a real one."""

from __future__ import annotations

import asyncio
import errno
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from typer.testing import Result

from shared.document import Document
from tests.support.builders import S, move
from tests.support.callers import PATHS, Caller
from tests.support.running import until
from tests.support.terminal import Terminal


async def beside(running: Awaitable[Result], doing: Callable[[], Awaitable[None]]) -> Result:
    """The outcome of a command that runs while something is done."""
    command = asyncio.ensure_future(running)
    await doing()
    return await command


async def newest(me: Caller) -> Document:
    """The document that is being uploaded, once it is pending."""
    found: list[dict[str, Any]] = []

    async def pending() -> bool:
        found[:] = (await me.client.get("/documents", params={"status": "pending"})).json()["items"]
        return bool(found)

    await until(pending)
    document = await me.backends.documents.get(UUID(found[0]["id"]))
    assert document is not None
    return document


async def test_files_are_uploaded_and_refused_each(shell: Terminal, me: Caller, tmp_path: Path) -> None:
    box = tmp_path / "box"
    box.mkdir()
    (box / "sub").mkdir()
    for name, content in (("a.txt", "one"), ("b.exe", "MZ"), ("sub/c.txt", "two")):
        (box / name).write_text(content)
    lines = await shell.lines("upload", str(box), "--folder", "in/box", code=1)
    assert [(Path(line["filename"]).name, line["status"]) for line in lines] == [
        ("a.txt", "pending"),
        ("b.exe", "refused"),
        ("c.txt", "pending"),
    ]
    assert lines[1]["error"]["code"] == "unsupported_type"
    kept = (await me.client.get("/documents", params={"folder": "in/box"})).json()["items"]
    assert {item["id"] for item in kept} == {line["id"] for line in lines if "id" in line}
    assert {item["filename"]: item["folder"] for item in kept} == {"a.txt": "in/box", "c.txt": "in/box/sub"}


async def test_upload_without_processing_starts_nothing(shell: Terminal, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one")
    (line,) = await shell.lines("upload", str(tmp_path / "a.txt"), "--no-process", "--wait")
    assert line["status"] == "uploaded"


async def test_folder_that_cannot_be_looked_into_is_refused_and_the_rest_uploaded(
    shell: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.txt").write_text("one")
    closed, scandir = tmp_path / "closed", os.scandir
    closed.mkdir()

    def refusing(path: str | Path) -> Any:
        # Permissions would not hold back root.
        if Path(path) == closed:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    first, second = await shell.lines("upload", str(closed), str(tmp_path / "a.txt"), code=1)
    assert (first["filename"], first["error"]["code"], second["status"]) == (str(closed), "unreadable", "pending")


@pytest.mark.parametrize(("end", "code"), [(S.COMPLETED, 0), (S.FAILED, 1)])
async def test_upload_waits_for_the_end(shell: Terminal, me: Caller, tmp_path: Path, end: S, code: int) -> None:
    (tmp_path / "a.txt").write_text("one")

    async def work() -> None:
        await me.move(await newest(me), *PATHS[end][2:])

    outcome = await beside(shell.run("upload", str(tmp_path / "a.txt"), "--wait", "--json"), work)
    assert outcome.exit_code == code, outcome.output
    (line,) = [json.loads(line) for line in outcome.stdout.splitlines()]
    assert (line["filename"], line["status"], line["error"] is None) == ("a.txt", end, code == 0)
    assert "uploaded" in outcome.stderr


async def test_wait_follows_several_documents(shell: Terminal, me: Caller) -> None:
    done, moving, cancelled = [await me.document(status) for status in (S.COMPLETED, S.PENDING, S.PENDING)]

    async def work() -> None:
        await me.move(moving, S.PROCESSING, S.ANALYZING, S.COMPLETED)
        await me.client.post(f"/documents/{cancelled.id}/cancel")

    ids = [str(document.id) for document in (done, moving, cancelled)]
    outcome = await beside(shell.run("wait", *ids, "--json"), work)
    ends = {line["id"]: line["status"] for line in map(json.loads, outcome.stdout.splitlines())}
    assert (outcome.exit_code, ends) == (1, dict(zip(ids, ("completed", "completed", "cancelled"), strict=True)))


async def test_wait_ends_with_its_time_or_with_the_document(shell: Terminal, me: Caller, tmp_path: Path) -> None:
    outcome = await shell.run("wait", str((await me.document(S.UPLOADING)).id), "--timeout", "0.2")
    assert (outcome.exit_code, outcome.stdout, "0.2 seconds" in outcome.stderr) == (1, "", True)
    (tmp_path / "a.txt").write_text("one")

    async def work() -> None:
        await me.client.delete(f"/documents/{(await newest(me)).id}")

    deleted = await beside(shell.run("upload", str(tmp_path / "a.txt"), "--wait"), work)
    assert (deleted.exit_code, deleted.stdout.split()[1:]) == (1, ["deleted"])


async def test_list_is_narrowed_and_as_long_as_wanted(shell: Terminal, me: Caller) -> None:
    for number in range(3):
        await me.document(S.FAILED, filename=f"{number}.pdf", folder="a")
    await me.document(S.COMPLETED, filename="x.pdf", folder="a/b")
    assert len(await shell.lines("list")) == 4
    assert len(await shell.lines("list", "--limit", "2", "--status", "FAILED")) == 2
    (line,) = await shell.lines("list", "--folder", "a", "--name", "X.", "--type", "pdf", "--label", "other")
    assert (line["filename"], line["status"]) == ("x.pdf", "completed")
    assert await shell.lines("list", "--from", "2027-01-01") == []
    text = (await shell.run("list", "--status", "failed", "--limit", "1")).stdout
    assert text.split()[1:4] == ["failed", "a/2.pdf", "corrupt:"]


async def test_list_reads_on_beyond_a_page(shell: Terminal, me: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("docrelay.remote._PAGE", 2)
    stored = [str((await me.document()).id) for _ in range(5)]
    lines = await shell.lines("list")
    assert sorted(line["id"] for line in lines) == sorted(stored)


async def test_document_is_shown(shell: Terminal, me: Caller) -> None:
    document = await me.document(S.PROCESSING, filename="a.pdf")
    await me.backends.blobs.put(f"{document.prefix}t", "Grüße".encode(), content_type="text/plain")
    analyzing = move(document, S.ANALYZING, text_key=f"{document.prefix}t")
    await me.backends.documents.apply(analyzing)
    await me.move(analyzing.after, S.COMPLETED)
    (shown,) = await shell.lines("show", str(document.id))
    assert shown == (await me.client.get(f"/documents/{document.id}")).json()
    assert (await shell.run("show", str(document.id), "--text")).stdout == "Grüße\n"
    assert "A short text." in (await shell.run("show", str(document.id))).stdout


async def test_moves_are_watched(shell: Terminal, me: Caller) -> None:
    document = await me.document(S.PENDING, folder="a")
    await me.document(S.PENDING, folder="b")
    lines = await shell.lines("watch", "--cursor", "0", "--limit", "2", "--folder", "a")
    assert [(line["document_id"], line["status"]) for line in lines] == [
        (str(document.id), "uploaded"),
        (str(document.id), "pending"),
    ]
    (line,) = await shell.lines("watch", "--cursor", lines[0]["cursor"], "--limit", "1", "--status", "PENDING")
    assert line == lines[1]


async def test_documents_are_started_again_and_deleted(shell: Terminal, me: Caller) -> None:
    document = await me.document(S.COMPLETED)
    (nothing,) = await shell.lines("process", str(document.id))
    assert (nothing["status"], nothing["run"]) == ("completed", 1)
    (started,) = await shell.lines("process", str(document.id), "--force")
    assert (started["status"], started["run"]) == ("pending", 2)
    outcome = await shell.run("delete", str(document.id))
    assert (outcome.exit_code, outcome.stdout) == (0, "")
    assert (await me.client.get(f"/documents/{document.id}")).status_code == 404


@pytest.mark.parametrize("words", [("process", "--force"), ("process", "--force", "--wait"), ("delete",)])
async def test_document_that_is_gone_does_not_keep_the_others(
    shell: Terminal, me: Caller, words: tuple[str, ...]
) -> None:
    gone, there = uuid4(), await me.document(S.COMPLETED)

    async def work() -> None:
        if "--wait" in words:
            await me.move(await newest(me), S.CANCELLED)

    outcome = await beside(shell.run(*words, str(gone), str(there.id)), work)
    assert (outcome.exit_code, "Traceback" in outcome.stderr) == (1, False)
    assert f"{gone}: 404 There is no such document." in outcome.stderr.splitlines()
    left = await me.backends.documents.get(there.id)
    assert left is None or left.status != S.COMPLETED


@pytest.mark.parametrize(("folder", "documents"), [("a b/c", 1), ("a b", 2), ("/", 3), ("nowhere", 0)])
async def test_folder_s_insight_is_shown(shell: Terminal, me: Caller, folder: str, documents: int) -> None:
    for place in ("a b", "a b/c", ""):
        await me.document(folder=place)
    (found,) = await shell.lines("insights", folder)
    assert found["documents"] == documents
    assert f"documents: {documents}" in (await shell.run("insights", folder)).stdout.splitlines()


async def test_doctor_finds_a_server_well(shell: Terminal, me: Caller) -> None:
    outcome = await shell.run("doctor")
    assert outcome.exit_code == 0, outcome.output
    assert [line.split()[0] for line in outcome.stdout.splitlines()] == ["ok"] * 4
    assert me.user.name in outcome.stdout
