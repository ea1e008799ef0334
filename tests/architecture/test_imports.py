"""The import contracts hold, and each kind of breach turns them red: planted in a copy, linted there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

from tests.architecture.checkout import PACKAGES, ROOT

LINT = Path(sysconfig.get_path("scripts")) / "lint-imports"
BROKEN = re.compile(r"^(.+) BROKEN\b", re.MULTILINE)

APART = "The face may import both services, they never each other, and the core neither"
VENDORS = "AWS and PostgreSQL are known to their adapters only"
HTTP = "HTTP is known to the API only"
PARSERS = "Parsers are known to their extractors only, and run in child processes"
MODEL = "The model's SDK is known to its analyzer only"

BREACHES = [
    ("api_service/routes/documents.py", "import worker_service.pipeline", {APART}),
    ("worker_service/pipeline.py", "import api_service.intake", {APART}),
    ("shared/moves.py", "import worker_service.pipeline", {APART}),
    ("api_service/intake.py", "import boto3", {VENDORS}),
    ("worker_service/pipeline.py", "import psycopg", {VENDORS}),
    ("worker_service/serve.py", "import fastapi", {HTTP}),
    ("worker_service/sandbox.py", "import pypdfium2", {PARSERS}),
    ("worker_service/pipeline.py", "import openai", {MODEL}),
    ("shared/document.py", "import shared.ports", {"Inside the core"}),
    ("shared/adapters/s3.py", "import shared.adapters.sqs", {"Each adapter stands alone"}),
]
UNPLACED = [
    ("shared/new.py", "Inside the core"),
    ("shared/adapters/new.py", "Each adapter stands alone"),
    ("api_service/new.py", "Inside the API"),
    ("worker_service/new.py", "Inside the worker"),
    ("docrelay/new.py", "Inside the face"),
]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def already() -> set[str]:
    """What is broken in the checkout, which fails one test here and not all."""
    return broken_contracts(lint(ROOT))


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(folder), "NO_COLOR": "1", "COLUMNS": "200"}
    return subprocess.run(
        [LINT, "--no-cache"], cwd=folder, env=environment, check=False, capture_output=True, text=True
    )


def broken_contracts(result: subprocess.CompletedProcess[str]) -> set[str]:
    return set(BROKEN.findall(result.stdout))


def test_contracts_hold() -> None:
    result = lint(ROOT)
    assert result.returncode == 0, result.stdout
    assert "0 broken" in result.stdout


def test_untouched_copy_is_judged_like_the_checkout(copy: Path, already: set[str]) -> None:
    result = lint(copy)
    assert broken_contracts(result) == already, result.stdout
    assert bool(result.returncode) is bool(already)


@pytest.mark.parametrize(("module", "line", "contracts"), BREACHES)
def test_planted_import_breaks_its_contract_and_no_other(
    copy: Path, already: set[str], module: str, line: str, contracts: set[str]
) -> None:
    with (copy / module).open("a") as source:
        source.write(f"\n{line}\n")
    result = lint(copy)
    assert result.returncode != 0
    assert broken_contracts(result) - already == contracts, result.stdout


@pytest.mark.parametrize(("module", "contract"), UNPLACED)
def test_unplaced_module_breaks_contract_of_its_folder(
    copy: Path, already: set[str], module: str, contract: str
) -> None:
    (copy / module).write_text('"""Nobody has placed this."""\n')
    result = lint(copy)
    assert result.returncode != 0
    assert broken_contracts(result) - already == {contract}, result.stdout
