"""The embedded stack through the real command: what it prints, survives, refuses and leaves behind."""

from __future__ import annotations

import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.embedded import EmbeddedStack, alive, eventually


def log_in(stack: EmbeddedStack) -> dict[str, str]:
    """The headers of a logged-in user of this stack."""
    credentials = stack.credentials
    answer = httpx.post(
        f"{credentials['base_url']}/api/v1/auth/login",
        json={"username": credentials["username"], "password": credentials["password"]},
    )
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def upload(stack: EmbeddedStack, headers: dict[str, str]) -> str:
    answer = httpx.post(
        f"{stack.base_url}/api/v1/documents", headers=headers, files={"file": ("note.txt", b"Call Ada on Monday.\n")}
    )
    assert answer.status_code == 202, answer.text
    document_id: str = answer.json()["id"]
    return document_id


def status(stack: EmbeddedStack, headers: dict[str, str], document_id: str) -> str:
    answer = httpx.get(f"{stack.base_url}/api/v1/documents/{document_id}", headers=headers)
    assert answer.status_code == 200, answer.text
    found: str = answer.json()["status"]
    return found


def ready(stack: EmbeddedStack) -> bool:
    try:
        return httpx.get(f"{stack.base_url}/readyz").status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStack]:
    """One stack for the tests that leave it as they found it."""
    with EmbeddedStack(tmp_path_factory.mktemp("embedded") / "home", workers=2) as stack:
        yield stack


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[EmbeddedStack]:
    """A stack that is not started yet."""
    made = EmbeddedStack(tmp_path / "home")
    yield made
    made.clean_up()


def test_stdout_is_the_ready_line_alone(running: EmbeddedStack) -> None:
    assert running.stdout == f"ready {running.base_url}\n"


def test_announcement_says_that_no_model_is_asked(running: EmbeddedStack) -> None:
    assert "Analyzer      offline: neither OPENAI_API_KEY nor OPENAI_BASE_URL is set\n" in running.stderr


def test_credentials_log_in(running: EmbeddedStack) -> None:
    headers = log_in(running)
    assert httpx.get(f"{running.base_url}/api/v1/auth/me", headers=headers).json()["role"] == "admin"


def test_files_with_secrets_are_private(running: EmbeddedStack) -> None:
    modes = {name: (running.home / name).stat().st_mode for name in ("credentials.json", "secrets.json")}
    assert {name: stat.S_IMODE(mode) for name, mode in modes.items()} == dict.fromkeys(modes, 0o600)


def test_every_role_has_a_live_process(running: EmbeddedStack) -> None:
    pids = running.pids
    assert set(pids) == {"supervisor", "emulator", "postgres", "api", "worker-1", "worker-2"}
    assert all(alive(pid) for pid in pids.values())


def test_uploaded_document_completes(running: EmbeddedStack) -> None:
    headers = log_in(running)
    document = upload(running, headers)
    eventually(lambda: status(running, headers, document) == "completed", "the document completes")


def test_second_start_on_the_same_home_is_refused(running: EmbeddedStack, tmp_path: Path) -> None:
    second = EmbeddedStack(tmp_path / "alias")
    second.home.symlink_to(running.home)
    second.spawn()
    assert second.exit_code() == 2
    assert second.stderr.count("\n") == 1
    assert "running" in second.stderr
    assert all(alive(pid) for pid in running.pids.values())


@pytest.mark.parametrize("role", ["api", "emulator", "postgres", "worker-1"])
def test_killed_process_is_started_again(running: EmbeddedStack, role: str) -> None:
    others = {name: pid for name, pid in running.pids.items() if name != role}
    old = running.kill(role)
    assert alive(running.wait_for_new(role, old=old))
    eventually(lambda: ready(running), "the stack is ready again")
    assert {name: pid for name, pid in running.pids.items() if name != role} == others


def test_sigterm_leaves_no_process_behind(stack: EmbeddedStack) -> None:
    pids = stack.start().pids
    assert stack.stop() == 0
    assert [role for role, pid in pids.items() if alive(pid)] == []
    assert stack.pids == {}


def test_sigterm_while_starting_leaves_no_process_behind(stack: EmbeddedStack) -> None:
    stack.spawn()
    eventually(lambda: (stack.home / "pids.json").exists() and "postgres" in stack.pids, "PostgreSQL is started")
    pids = stack.pids
    assert stack.stop() == 0
    assert [role for role, pid in pids.items() if alive(pid)] == []
    assert stack.stdout == ""


@pytest.mark.parametrize("end", [EmbeddedStack.kill_all, EmbeddedStack.stop])
def test_documents_go_on_soon_after_the_next_start(
    end: Callable[[EmbeddedStack], object], stack: EmbeddedStack
) -> None:
    headers = log_in(stack.start())
    documents = [upload(stack, headers) for _ in range(80)]
    pids = stack.pids.values()
    end(stack)
    eventually(lambda: not any(map(alive, pids)), "all are dead")
    headers = log_in(stack.start())
    eventually(lambda: {status(stack, headers, one) for one in documents} == {"completed"}, "all documents complete")


def test_children_of_a_killed_supervisor_are_ended_by_the_next_start(stack: EmbeddedStack) -> None:
    stack.start()
    orphans = [pid for role, pid in stack.pids.items() if role != "supervisor"]
    stack.kill("supervisor")
    assert all(map(alive, orphans))
    stack.start()
    assert not any(map(alive, orphans))
    assert log_in(stack)


def epoch(stack: EmbeddedStack, headers: dict[str, str]) -> str | None:
    """Of the user's feed; None while the store is away."""
    answer = httpx.get(f"{stack.base_url}/api/v1/documents", headers=headers, timeout=60)
    return answer.json()["feed_cursor"].partition(".")[0] if answer.status_code == 200 else None


def test_stack_on_dynamodb_needs_no_postgres_and_keeps_its_documents_over_a_stop(tmp_path: Path) -> None:
    with EmbeddedStack(tmp_path / "home", environment={"DOCRELAY_STORE": "dynamodb"}) as stack:
        assert "postgres" not in stack.pids
        document = upload(stack, log_in(stack))
        eventually(lambda: status(stack, log_in(stack), document) == "completed", "the document completes")
        assert stack.stop() == 0
        stack.start()
        headers = log_in(stack)
        assert status(stack, headers, document) == "completed"
        # A kill sets the table back to its state at this start.
        before = epoch(stack, headers)
        stack.wait_for_new("emulator", old=stack.kill("emulator"))
        eventually(lambda: epoch(stack, headers) not in {before, None}, "old cursors are of no use")


def test_taken_port_is_refused_in_one_line(stack: EmbeddedStack) -> None:
    with socket.create_server(("127.0.0.1", stack.port)):
        stack.spawn()
        assert stack.exit_code() == 2
    assert stack.stderr.count("\n") == 1
    assert f"Port {stack.port}" in stack.stderr
    assert not (stack.home / "pids.json").exists()


def test_damaged_database_is_refused_with_postgres_own_reason(stack: EmbeddedStack) -> None:
    (stack.home / "postgres" / "data").mkdir(parents=True)
    stack.spawn()
    assert stack.exit_code() == 2
    last = stack.stderr.splitlines()[-1]
    assert "postgres" in last
    assert "server configuration file" in last
    assert stack.pids == {}


def test_invalid_setting_is_refused_in_one_line(tmp_path: Path) -> None:
    wrong = EmbeddedStack(tmp_path / "home", environment={"DOCRELAY_WORKERS": "none"})
    wrong.spawn()
    assert wrong.exit_code() == 2
    assert wrong.stderr.count("\n") == 1
    assert "DOCRELAY_WORKERS" in wrong.stderr
    assert not wrong.home.exists()
