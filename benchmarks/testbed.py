"""What the benchmarks run on: an emulator, a PostgreSQL server and the services' own entry points, all on loopback."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from docrelay.embedded.child import Child, answers, free_port
from docrelay.embedded.emulator import Emulator
from docrelay.embedded.postgres import EmbeddedPostgres
from docrelay.embedded.services import Api, Worker
from shared.bootstrap import provision, upgrade_database
from shared.settings import Settings

USER = ("bench", "a-password-for-benchmarks-only")


class Program(Child):
    """One more server: a command that is given the port to listen on, ready when `path` is answered."""

    def __init__(self, *command: str, folder: Path, path: str, environment: Mapping[str, str] | None = None) -> None:
        super().__init__(role=command[0], log_path=folder / f"{free_port()}.log")
        self.port = free_port()
        self._command = [sys.executable, "-m", *command, "--port", str(self.port)]
        self._path = path
        self._environment = {**os.environ, **(environment or {})}

    def command(self) -> Sequence[str]:
        return self._command

    def environment(self) -> Mapping[str, str]:
        return self._environment

    def is_ready(self) -> bool:
        return self.running and answers(self.port, self._path)


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for data and logs; the working directory meanwhile, so that no `.env` is read."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="docrelay-bench-", ignore_cleanup_errors=True) as name:
        os.chdir(name)
        try:
            yield Path(name)
        finally:
            os.chdir(before)


@contextmanager
def backends(folder: Path) -> Iterator[Settings]:
    """Settings for an emulator and a database that are running, not yet provisioned."""
    with Emulator(folder=folder / "aws") as emulator, EmbeddedPostgres(folder=folder / "pg") as postgres:
        yield Settings.load(
            _env_file=None,
            aws_endpoint_url=emulator.url,
            aws_access_key_id="test",
            aws_secret_access_key="test",  # noqa: S106
            database_url=postgres.url,
            jwt_secret="0123456789abcdef0123456789abcdef-benchmarks",  # noqa: S106
            username=USER[0],
            password=USER[1],
            openai_api_key=None,
            port=free_port(),
            poll_wait_seconds=2,
        )


async def set_up(settings: Settings) -> None:
    upgrade_database(settings)
    await provision(settings)


def api(settings: Settings, folder: Path, **changed: str) -> Api:
    return Api(port=settings.port, environment=environment(settings) | changed, log_path=folder / "api.log")


def worker(settings: Settings, folder: Path, **changed: str) -> Worker:
    return Worker(number=1, environment=environment(settings) | changed, log_path=folder / "worker.log", quiet=False)


def environment(settings: Settings) -> dict[str, str]:
    assert settings.aws_endpoint_url is not None
    assert settings.jwt_secret is not None
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "DOCRELAY_", "OPENAI_"))},
        "PYTHONPATH": str(Path(__file__).resolve().parents[1]),
        "AWS_ENDPOINT_URL": settings.aws_endpoint_url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "JWT_SECRET": settings.jwt_secret.get_secret_value(),
        "DOCRELAY_DATABASE_URL": settings.database_url.get_secret_value(),
        "DOCRELAY_PORT": str(settings.port),
        "DOCRELAY_POLL_WAIT_SECONDS": str(settings.poll_wait_seconds),
    }
