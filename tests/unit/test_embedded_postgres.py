"""PostgreSQL as a child process: what it survives, where its socket is, what it says when it cannot start."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from docrelay.embedded.child import ChildFailedError
from docrelay.embedded.postgres import EmbeddedPostgres
from shared.errors import ConfigurationError
from tests.support.embedded import alive, eventually


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(folder=tmp_path / "postgres") as server:
        yield server


def write_row(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS row")


def rows(url: str) -> int:
    with psycopg.connect(url) as connection:
        return len(connection.execute("SELECT * FROM kept").fetchall())


def test_committed_row_survives_a_kill(postgres: EmbeddedPostgres) -> None:
    write_row(postgres.url)
    os.kill(postgres.pid, signal.SIGKILL)
    postgres.start()
    assert rows(postgres.url) == 1


def test_start_waits_for_the_processes_of_a_killed_server(postgres: EmbeddedPostgres) -> None:
    with psycopg.connect(postgres.url) as connection:
        backend = psutil.Process(connection.info.backend_pid)
        backend.suspend()
        os.kill(postgres.pid, signal.SIGKILL)
        try:
            for _ in postgres.starting():
                if postgres.is_blocked() and backend.is_running():
                    backend.kill()
                time.sleep(0.01)
        finally:
            if backend.is_running():
                backend.kill()
    write_row(postgres.url)


def test_committed_row_survives_a_stop(postgres: EmbeddedPostgres) -> None:
    write_row(postgres.url)
    postgres.stop()
    postgres.start()
    assert rows(postgres.url) == 1


def test_stop_ends_the_process(postgres: EmbeddedPostgres) -> None:
    pid = postgres.pid
    postgres.stop()
    assert not alive(pid)


def test_folder_with_a_long_path_has_its_socket_elsewhere_until_the_stop(tmp_path: Path) -> None:
    with EmbeddedPostgres(folder=tmp_path / ("long" * 30)) as server:
        write_row(server.url)
        assert server.sockets.exists()
    assert not server.sockets.exists()


def test_socket_folder_of_somebody_else_is_not_used(tmp_path: Path) -> None:
    server = EmbeddedPostgres(folder=tmp_path / ("long" * 30))
    server.sockets.symlink_to(tmp_path)
    try:
        with pytest.raises(ConfigurationError, match="belongs to somebody else"):
            server.start()
    finally:
        server.sockets.unlink()


def test_data_folder_that_was_left_half_made_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "postgres" / "data.new" / "base").mkdir(parents=True)
    with EmbeddedPostgres(folder=tmp_path / "postgres") as server:
        write_row(server.url)


def test_process_that_got_the_id_of_a_killed_server_is_no_obstacle(postgres: EmbeddedPostgres) -> None:
    write_row(postgres.url)
    os.kill(postgres.pid, signal.SIGKILL)
    eventually(lambda: not postgres.running, "the server is dead")
    with subprocess.Popen(["sleep", "60"], **postgres.account()) as stranger:  # type: ignore[call-overload]
        noted = postgres.data / "postmaster.pid"
        noted.write_text(noted.read_text().replace(str(postgres.pid), str(stranger.pid), 1))
        postgres.start()
        stranger.kill()
    assert rows(postgres.url) == 1


def test_damaged_data_folder_is_named_with_the_servers_reason(postgres: EmbeddedPostgres) -> None:
    postgres.stop()
    (postgres.data / "PG_VERSION").write_text("9.6\n")
    with pytest.raises(ChildFailedError, match=r"FATAL.*move .*data away"):
        postgres.start()
