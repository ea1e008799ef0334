"""Files that attack their reader, uploaded to the embedded stack among ordinary ones, which complete all the same."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import httpx
import psutil
import pytest

from tests.support.documents import pdf
from tests.support.embedded import EmbeddedStack, eventually
from tests.support.hostile import hostile_files
from tests.support.hostile_file import TEXT, Hostile

AT_ONCE = 9
MAX_BYTES = 10 * 1_048_576
MEBIBYTE = 1_048_576
SETTINGS = {"DOCRELAY_QUEUE_ORDER": "none", "DOCRELAY_CONCURRENCY": "2", "DOCRELAY_EXTRACTION_SECONDS": "3"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How each file has ended, and what it cost those who had nothing to do with it."""

    ends: dict[str, str]
    cases: list[Hostile]
    neighbours: list[str]
    api_grown_bytes: int
    was_called: bool


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcome]:
    """Upload hostile files, and an ordinary one with each nine of them."""
    home = tmp_path_factory.mktemp("hostile") / "home"
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        EmbeddedStack(home, environment=SETTINGS) as stack,
        httpx.Client(base_url=f"{stack.base_url}/api/v1", timeout=60) as client,
    ):
        log_in(client, stack)
        made = made_cases(listener.getsockname()[1])
        api = psutil.Process(stack.pids["api"])
        at_rest, most = api.memory_info().rss, 0
        seen: dict[str, str] = {}
        for start in range(0, len(made), AT_ONCE):
            files = {f"{case.name}|{case.filename}": data for case, data in made[start : start + AT_ONCE]}
            seen |= uploaded(client, {**files, f"neighbour-{start}|a.pdf": pdf(["Fine"])})
            most = max(most, api.memory_info().rss)
        ends = {name.partition("|")[0]: end_of(client, found) for name, found in seen.items()}
        most = max(most, api.memory_info().rss)
        neighbours = [ends.pop(name) for name in list(ends) if name.startswith("neighbour-")]
        yield Outcome(
            ends=ends,
            cases=[case for case, _ in made],
            neighbours=neighbours,
            api_grown_bytes=most - at_rest,
            was_called=has_caller(listener),
        )


def made_cases(port: int) -> list[tuple[Hostile, bytes]]:
    """Every other case that is small enough to be uploaded; of those that take all the time they get, a few."""
    cases = hostile_files(f"http://127.0.0.1:{port}/")
    chosen = [case for case in cases if not case.spins][::2] + [case for case in cases if case.spins][::7]
    return [(case, data) for case in chosen if len(data := case.make()) <= MAX_BYTES]


def log_in(client: httpx.Client, stack: EmbeddedStack) -> None:
    answer = client.post("/auth/login", json={name: stack.credentials[name] for name in ("username", "password")})
    client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"


def uploaded(client: httpx.Client, files: dict[str, bytes]) -> dict[str, str]:
    """Return the id of each document, or the code of its refusal, by file name."""
    answer = client.post("/documents", files=[("files", part) for part in files.items()])
    assert answer.status_code == 202, answer.text
    taken = {item["filename"]: item["id"] for item in answer.json()["items"]}
    return taken | {error["filename"]: error["code"] for error in answer.json()["errors"]}


def end_of(client: httpx.Client, found: str) -> str:
    """Wait for a document's end and return its error's code, or `text`; a refusal has had its end."""
    if "-" not in found:
        return found
    eventually(lambda: client.get(f"/documents/{found}/status?wait=20").json()["terminal"], "the document ends")
    document = client.get(f"/documents/{found}").json()
    return TEXT if document["status"] == "completed" else document["error"]["code"]


def has_caller(listener: socket.socket) -> bool:
    listener.setblocking(False)
    with suppress(BlockingIOError):
        listener.accept()[0].close()
        return True
    return False


def test_each_is_refused_or_ends_as_text_or_with_its_cause(outcome: Outcome) -> None:
    ends = [(case, outcome.ends[case.name]) for case in outcome.cases]
    assert [(case.name, end) for case, end in ends if end not in case.allowed] == []
    assert len(outcome.ends) >= 60


def test_neighbours_complete(outcome: Outcome) -> None:
    assert set(outcome.neighbours) == {TEXT}
    assert len(outcome.neighbours) >= 7


def test_memory_of_the_api_stays_flat(outcome: Outcome) -> None:
    assert outcome.api_grown_bytes < 50 * MEBIBYTE


def test_nothing_is_fetched(outcome: Outcome) -> None:
    assert not outcome.was_called
