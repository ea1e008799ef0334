"""`docrelay analyze` as a user runs it: exit codes, streams, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.architecture.checkout import ROOT
from tests.support import documents

COMMAND = (sys.executable, "-m", "docrelay", "analyze")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "letter.pdf").write_bytes(documents.pdf(["Dear Ms Okafor, please pay 40 pumps by Friday."]))
    (tmp_path / "plan.docx").write_bytes(documents.docx(["The harbour needs a new crane before the winter."]))
    return tmp_path


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def test_folder_that_is_all_right_ends_with_0(folder: Path) -> None:
    done = analyze(folder, "--json")
    answers = {Path(answer["path"]).name: answer for answer in map(json.loads, done.stdout.splitlines())}
    assert (done.returncode, done.stderr) == (0, "2 files, 0 failed\n")
    assert sorted(answers) == ["letter.pdf", "plan.docx"]
    assert answers["letter.pdf"]["pages"] == 1
    assert "pumps" in answers["letter.pdf"]["analysis"]["summary"]


def test_one_file_that_fails_makes_it_1_and_does_not_stop_the_others(folder: Path) -> None:
    (folder / "a.pdf").write_bytes(b"%PDF-1.7")
    (folder / "b.txt").write_bytes(b"")
    done = analyze(folder)
    assert done.returncode == 1
    assert done.stderr == "4 files, 2 failed\n"
    assert "corrupt: The document is damaged" in done.stdout
    assert "empty: The file has no bytes" in done.stdout
    assert "crane" in done.stdout


@pytest.mark.parametrize("arguments", [(), ("no-such-file.pdf",), ("--jobs", "0", ".")])
def test_wrong_use_ends_with_2(arguments: tuple[str, ...]) -> None:
    done = analyze(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def started(*arguments: str | Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_reader_that_goes_away_causes_no_traceback(folder: Path) -> None:
    with started(folder) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        errors = process.stderr.read()
    assert errors == "docrelay: Broken pipe\n"
    assert process.returncode == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_outlives_it(folder: Path, number: signal.Signals) -> None:
    (folder / "0.pdf").write_bytes(documents.endless_pdf())
    # An orphaned parser that is busy ends by its limit on CPU time.
    with started(folder, "--json", "--jobs", "2", DOCRELAY_EXTRACTION_SECONDS="3") as process:
        assert process.stdout
        # With the first answer, both kinds of children are at work.
        process.stdout.readline()
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    # A child that was being started when its parent was killed may say so.
    assert number == signal.SIGKILL or "Traceback" not in errors
    assert len(children) >= 3
    assert psutil.wait_procs(children, timeout=60)[1] == []
