"""What kills and stops of single processes, and of all of them, do to acknowledged documents: nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.support.embedded import EmbeddedStack, alive, eventually
from tests.support.openai_server import OpenAIServer

# Short leases, so that what a dead process held is free again soon; a short grace, so that a stop interrupts.
FAST = {"DOCRELAY_LEASE_SECONDS": "4", "DOCRELAY_SWEEP_SECONDS": "1", "DOCRELAY_SHUTDOWN_SECONDS": "1"}


def stack_of(home: Path, server: OpenAIServer, *, store: str = "postgres") -> EmbeddedStack:
    model = {"OPENAI_API_KEY": "sk-nobodys", "OPENAI_BASE_URL": server.base_url}
    return EmbeddedStack(home, environment={**FAST, **model, "DOCRELAY_STORE": store})


@pytest.fixture(scope="module")
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as running:
        yield running


@pytest.fixture(scope="module", params=["postgres", "dynamodb"])
def stack(
    request: pytest.FixtureRequest, server: OpenAIServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EmbeddedStack]:
    """One stack that gets over every test of this module but the last."""
    with stack_of(tmp_path_factory.mktemp("crash") / "home", server, store=request.param) as running:
        yield running


@pytest.fixture
def client(stack: EmbeddedStack) -> Iterator[httpx.Client]:
    with client_of(stack) as client:
        yield client


@contextmanager
def client_of(stack: EmbeddedStack) -> Iterator[httpx.Client]:
    """A client logged in as the stack's first user."""
    with httpx.Client(base_url=f"{stack.base_url}/api/v1", timeout=30) as client:
        names = ("username", "password")
        answer = client.post("/auth/login", json={name: stack.credentials[name] for name in names})
        assert answer.status_code == 200, answer.text
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        yield client


def upload(client: httpx.Client, count: int = 1) -> list[str]:
    """Upload that many notes of different content in one request; returns the acknowledged ones' ids, here all."""
    files = [
        ("files", (f"note-{number}.txt", f"Call Ada about {uuid4()} on Monday.\n".encode())) for number in range(count)
    ]
    answer = client.post("/documents", files=files)
    assert answer.status_code == 202, answer.text
    return [item["id"] for item in answer.json()["items"]]


def upload_that_hangs(client: httpx.Client, server: OpenAIServer) -> str:
    """Upload one note and wait until the model has been asked about it, and does not answer."""
    asked = len(server.calls)
    server.script(["hang"])
    (document_id,) = upload(client)
    eventually(lambda: len(server.calls) > asked, "the model is asked")
    return document_id


def upload_as_soon_as_possible(client: httpx.Client) -> list[str]:
    """Upload one note to a stack that is recovering."""
    acknowledged: list[str] = []

    def accepted() -> bool:
        with suppress(httpx.TransportError, AssertionError):
            acknowledged.extend(upload(client))
        return bool(acknowledged)

    eventually(accepted, "an upload is accepted again")
    return acknowledged


def read(client: httpx.Client, document_id: str) -> dict[str, Any]:
    answer = client.get(f"/documents/{document_id}")
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def reach(client: httpx.Client, document_id: str, status: str) -> dict[str, Any]:
    """Wait for the status, while the stack may be recovering, and return the document."""

    def reached() -> bool:
        with suppress(httpx.TransportError, AssertionError):
            return bool(read(client, document_id)["status"] == status)
        return False

    eventually(reached, f"{document_id} is {status}")
    return read(client, document_id)


def assert_completed_once(document: dict[str, Any]) -> None:
    history = document["history"]
    assert [entry["version"] for entry in history] == list(range(1, len(history) + 1))
    assert all(after["from"] == before["to"] for before, after in pairwise(history))
    assert [entry["to"] for entry in history].count("completed") == 1
    assert history[-1]["to"] == document["status"] == "completed"


def test_document_of_a_killed_worker_completes_once(
    stack: EmbeddedStack, server: OpenAIServer, client: httpx.Client
) -> None:
    document_id = upload_that_hangs(client, server)
    old = stack.kill("worker-1")
    stack.wait_for_new("worker-1", old=old)
    document = reach(client, document_id, "completed")
    assert_completed_once(document)
    assert document["attempt"] == 2


def test_document_of_a_stopped_worker_is_given_back_and_the_attempt_is_not_counted(
    stack: EmbeddedStack, server: OpenAIServer, client: httpx.Client
) -> None:
    document_id = upload_that_hangs(client, server)
    old = stack.pids["worker-1"]
    os.kill(old, signal.SIGTERM)
    stack.wait_for_new("worker-1", old=old)
    document = reach(client, document_id, "completed")
    assert_completed_once(document)
    assert document["attempt"] == 1
    released = [(entry["from"], entry["to"], entry["attempt"]) for entry in document["history"] if entry["reason"]]
    assert released == [("analyzing", "pending", 0)]


# The emulator keeps DynamoDB in memory: there its kill is no test of ours.
@pytest.mark.parametrize(
    ("stack", "role"),
    [("postgres", "emulator"), ("postgres", "postgres"), ("postgres", "api"), ("dynamodb", "api")],
    indirect=["stack"],
)
def test_documents_acknowledged_before_and_after_a_kill_complete(
    stack: EmbeddedStack, server: OpenAIServer, client: httpx.Client, role: str
) -> None:
    server.script(["slow:0.3"] * 4)
    before = upload(client, 6)
    reach(client, before[1], "analyzing")
    old = stack.kill(role)
    after = upload_as_soon_as_possible(client)
    stack.wait_for_new(role, old=old)
    for document_id in (*before, *after):
        assert_completed_once(reach(client, document_id, "completed"))


def test_documents_acknowledged_before_everything_is_killed_complete_after_the_next_start(
    server: OpenAIServer, tmp_path: Path
) -> None:
    server.script(["slow:0.3"] * 4)
    with stack_of(tmp_path / "home", server) as stack:
        with client_of(stack) as client:
            acknowledged = upload(client, 10)
            reach(client, acknowledged[1], "analyzing")
        killed = stack.kill_all()
        eventually(lambda: not any(map(alive, killed)), "all are dead")
        stack.start()
        with client_of(stack) as client:
            for document_id in acknowledged:
                assert_completed_once(reach(client, document_id, "completed"))
