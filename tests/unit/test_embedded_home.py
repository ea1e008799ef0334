"""The data folder of an embedded stack: its secrets, its lock, and what a killed supervisor left running."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from docrelay.embedded.home import Home
from shared.errors import ConfigurationError
from tests.support.embedded import alive

SLEEP = "import time; time.sleep(60)"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with Home.open(tmp_path / "home") as opened:
        yield opened


@pytest.fixture
def orphan() -> Iterator[subprocess.Popen[bytes]]:
    """A process that looks like a worker of a killed supervisor."""
    with subprocess.Popen([sys.executable, "-c", SLEEP, "-m", "worker_service"]) as process:
        # Right after its start a process has no command line yet.
        while not psutil.Process(process.pid).cmdline():
            continue
        yield process
        process.kill()


def test_home_is_private(home: Home) -> None:
    assert stat.S_IMODE(home.path.stat().st_mode) == 0o700


def test_second_holder_is_refused(home: Home) -> None:
    with pytest.raises(ConfigurationError, match="running"), Home.open(home.path):
        pass


def test_home_is_free_again_when_its_holder_has_left(tmp_path: Path) -> None:
    for _ in range(2):
        with Home.open(tmp_path / "home"):
            pass


def test_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(ConfigurationError, match="home cannot be used"), Home.open(tmp_path / "home"):
        pass


def test_secrets_are_made_once(home: Home) -> None:
    made = home.keep_secrets(username=None, password=None)
    assert home.keep_secrets(username=None, password=None) == made
    assert len(made.jwt_secret) >= 32


def test_secrets_differ_between_homes(tmp_path: Path) -> None:
    with Home.open(tmp_path / "a") as one, Home.open(tmp_path / "b") as other:
        ours, theirs = (home.keep_secrets(username=None, password=None) for home in (one, other))
    assert ours.jwt_secret != theirs.jwt_secret
    assert ours.password != theirs.password


def test_given_name_and_password_become_the_first_users(home: Home) -> None:
    made = home.keep_secrets(username="ada", password="correct horse")
    assert (made.username, made.password) == ("ada", "correct horse")


def test_first_user_outlives_later_settings(home: Home) -> None:
    made = home.keep_secrets(username="ada", password="correct horse")
    assert home.keep_secrets(username="bob", password="other") == made


def test_damaged_secrets_are_refused_and_kept(home: Home) -> None:
    path = home.path / "secrets.json"
    path.write_text('{"jwt_secret": ')
    with pytest.raises(ConfigurationError, match=r"secrets\.json cannot be read"):
        home.keep_secrets(username=None, password=None)
    assert path.read_text() == '{"jwt_secret": '


def test_written_files_are_private(home: Home) -> None:
    home.write_pids({"api": 1})
    assert stat.S_IMODE((home.path / "pids.json").stat().st_mode) == 0o600


def test_leftover_of_a_killed_supervisor_is_ended(home: Home, orphan: subprocess.Popen[bytes]) -> None:
    home.write_pids({"worker-1": orphan.pid})
    home.end_leftovers()
    assert not alive(orphan.pid)


def test_process_that_is_younger_than_the_list_is_left_alone(home: Home, orphan: subprocess.Popen[bytes]) -> None:
    home.write_pids({"worker-1": orphan.pid})
    os.utime(home.path / "pids.json", (0, 0))
    home.end_leftovers()
    assert orphan.poll() is None


def test_process_of_another_program_is_left_alone(home: Home) -> None:
    with subprocess.Popen([sys.executable, "-c", SLEEP]) as stranger:
        home.write_pids({"worker-1": stranger.pid})
        home.end_leftovers()
        assert stranger.poll() is None
        stranger.kill()


@pytest.mark.parametrize("content", ["", "[1]", '{"api": "x"}'])
def test_damaged_list_of_processes_is_ignored(home: Home, content: str) -> None:
    (home.path / "pids.json").write_text(content)
    home.end_leftovers()
