"""Documents of every kind through the embedded stack, from upload to result, and what many and large ones cost."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from docrelay.embedded.child import free_port
from tests.support.documents import docx, encrypted_pdf, pdf, pdf_without_text
from tests.support.embedded import EmbeddedStack, eventually

E2E = Path(__file__).resolve().parents[1] / "e2e_flow.py"
MEGABYTE = 1_000_000
MEBIBYTE = 1_048_576
Documents = dict[str, dict[str, Any]]


@pytest.fixture(scope="module", params=["postgres", "dynamodb"])
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStack]:
    store = {"DOCRELAY_STORE": request.param}
    with EmbeddedStack(tmp_path_factory.mktemp("documents") / "home", environment=store) as running:
        yield running


@pytest.fixture(scope="module")
def client(stack: EmbeddedStack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{stack.base_url}/api/v1", timeout=60) as client:
        names = ("username", "password")
        answer = client.post("/auth/login", json={name: stack.credentials[name] for name in names})
        assert answer.status_code == 200, answer.text
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        yield client


def process(client: httpx.Client, files: dict[str, bytes]) -> Documents:
    """Upload the files in one request, wait for the end of each, and return the documents by name, in upload order."""
    answer = client.post("/documents", files=[("files", part) for part in files.items()])
    assert (answer.status_code, answer.json().get("errors")) == (202, []), answer.text
    ids = [item["id"] for item in answer.json()["items"]]
    # One owner's documents end in order: the last one's end is the end of all.
    eventually(lambda: all(client.get(f"/documents/{one}/status").json()["terminal"] for one in ids[::-1]), "all end")
    found = [client.get(f"/documents/{one}?include=text").json() for one in ids]
    return {document["filename"]: document for document in found}


def damaged(data: bytes) -> bytes:
    """The bytes with a hole in the middle, begin and end as they were."""
    third = len(data) // 3
    return data[:third] + bytes(third) + data[2 * third :]


@pytest.fixture(scope="module")
def documents(client: httpx.Client) -> Documents:
    """Good and bad files of one request, after their end."""
    report = docx(["Pumps per site"], tables=[[["Site", "Pumps"], ["Rotterdam", "40"], ["Aldermere", "7"]]])
    return process(
        client,
        {
            "three.pdf": pdf(["Page one, Rotterdam.", "Page two, Aldermere.", "Page three, Zürich."]),
            "locked.pdf": encrypted_pdf("Nobody reads this.", user_password="secret"),
            "table.docx": report,
            "broken.docx": damaged(report),
            "notes.txt": "Zoë met the café owners in Zürich.\r\nThey were happy.".encode("utf-16"),
            "scan.pdf": pdf_without_text(2),
        },
    )


def test_every_file_of_a_request_ends_for_itself(documents: Documents) -> None:
    ends = {name: (one["status"], one["error"] and one["error"]["code"]) for name, one in documents.items()}
    assert ends == {
        "three.pdf": ("completed", None),
        "locked.pdf": ("failed", "encrypted"),
        "table.docx": ("completed", None),
        "broken.docx": ("failed", "corrupt"),
        "notes.txt": ("completed", None),
        "scan.pdf": ("failed", "no_text"),
    }


@pytest.mark.parametrize(
    ("name", "text", "pages"),
    [
        ("three.pdf", "Page one, Rotterdam.\n\nPage two, Aldermere.\n\nPage three, Zürich.", 3),
        ("table.docx", "Pumps per site\n\nSite\tPumps\nRotterdam\t40\nAldermere\t7", None),
        ("notes.txt", "Zoë met the café owners in Zürich.\nThey were happy.", None),
    ],
)
def test_text_and_coverage_are_whole(documents: Documents, name: str, text: str, pages: int | None) -> None:
    document = documents[name]
    assert document["text"] == text
    assert document["pages"] == pages
    coverage = document["coverage"]
    assert (coverage["verdict"], coverage["pages_total"], coverage["pages_with_text"]) == ("complete", pages, pages)
    assert coverage["chars_extracted"] == coverage["chars_analyzed"] == len(text)


@pytest.mark.parametrize("name", ["locked.pdf", "broken.docx", "scan.pdf"])
def test_failed_document_has_a_sentence_and_no_result(documents: Documents, name: str) -> None:
    document = documents[name]
    assert document["error"]["detail"].endswith(".")
    assert (document["analysis"], document["coverage"], document["usage"], document["text"]) == (None,) * 4
    assert document["history"][-1]["reason"] == document["error"]["code"]


def test_result_names_the_offline_analyzer(documents: Documents) -> None:
    analyzers = {one["analyzer"]["name"] for one in documents.values() if one["status"] == "completed"}
    assert analyzers == {"offline"}


def test_one_owners_documents_are_processed_one_after_the_other_in_upload_order(documents: Documents) -> None:
    spans = []
    for document in documents.values():
        times = {entry["to"]: datetime.fromisoformat(entry["at"]) for entry in document["history"]}
        spans += [times["processing"], times[document["status"]]]
    assert spans == sorted(spans)


def test_fifty_files_of_one_request_all_complete_in_order(client: httpx.Client) -> None:
    many = process(client, {f"note-{number}.txt": f"Note {number} for Ada.".encode() for number in range(50)})
    assert [document["status"] for document in many.values()] == ["completed"] * 50
    begun = [entry["at"] for one in many.values() for entry in one["history"] if entry["to"] == "processing"]
    assert len(begun) == 50
    assert begun == sorted(begun)


def test_file_above_the_limit_is_refused(client: httpx.Client) -> None:
    answer = client.post("/documents", files={"file": ("large.txt", b"a" * (12 * MEGABYTE))})
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_api_holds_no_upload_in_memory(stack: EmbeddedStack, client: httpx.Client) -> None:
    api = psutil.Process(stack.pids["api"])
    before, sizes = api.memory_info().rss, []
    for _ in range(20):
        files = {"file": ("large.txt", os.urandom(4 * MEBIBYTE).hex().encode() + b"a" * (2 * MEBIBYTE))}
        answer = client.post("/documents", files=files, data={"process": "false"})
        assert (answer.status_code, answer.json()["items"][0]["size"]) == (202, 10 * MEBIBYTE)
        sizes.append(api.memory_info().rss)
    assert max(sizes) - before < 60 * MEGABYTE


def e2e(home: Path, *options: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "DOCRELAY_HOME": str(home)}
    command = [sys.executable, str(E2E), *options]
    return subprocess.run(command, env=environment, check=False, capture_output=True, text=True, timeout=120)


def test_e2e_script_passes_from_outside(stack: EmbeddedStack) -> None:
    done = e2e(stack.home)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("PASS ")


def test_e2e_script_says_when_nothing_answers(stack: EmbeddedStack) -> None:
    done = e2e(stack.home, "--base-url", f"http://127.0.0.1:{free_port()}", "--timeout", "1")
    assert done.returncode == 3, done.stdout + done.stderr
    assert "FAIL step 1" in done.stdout
