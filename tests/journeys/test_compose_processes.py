"""The commands of docker-compose.yml with its environment, as processes: what is left of it without a Docker engine."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from docrelay.embedded.child import Child, answers, free_port
from docrelay.embedded.emulator import Emulator
from docrelay.embedded.postgres import EmbeddedPostgres

ROOT = Path(__file__).parents[2]
SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
PASSWORD = "a-password-for-the-compose-test"
GIVEN = {"JWT_SECRET": "0123456789abcdef0123456789abcdef-compose", "DOCRELAY_PASSWORD": PASSWORD}
VARIABLE = re.compile(r"\$\{(\w+)(?::[-?]([^}]*))?\}")


class Service(Child):
    """One service of ours, by the command of its image."""

    def __init__(self, name: str, *, package: str, environment: Mapping[str, str], folder: Path, port: int) -> None:
        super().__init__(role=name, log_path=folder / f"{name}.log")
        self._package = package
        self._environment = environment
        self._port = port

    def command(self) -> Sequence[str]:
        return (sys.executable, "-m", self._package)

    def environment(self) -> Mapping[str, str]:
        return self._environment

    def is_ready(self) -> bool:
        if self._port:
            return self.running and answers(self._port, "/readyz")
        return self.running and any("worker.started" in line for line in self.log_lines())


def environment_of(service: str, hosts: Mapping[str, str]) -> dict[str, str]:
    """The service's variables as compose would set them, with addresses that this machine knows."""
    variables: dict[str, str] = {}
    for name, value in SERVICES[service]["environment"].items():
        if value is None:
            continue
        filled = VARIABLE.sub(lambda match: GIVEN.get(match[1]) or match[2] or "", str(value))
        for there, here in hosts.items():
            filled = filled.replace(there, here)
        variables[name] = filled
    path = f"{Path(sys.executable).parent}:{os.defpath}"
    return {"PATH": path, "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8", **variables}


@pytest.fixture
def base_url(tmp_path: Path, emulator: Emulator, postgres: EmbeddedPostgres) -> Iterator[str]:
    port = free_port()
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE composed")
    hosts = {
        "http://aws:4566": emulator.url,
        "http://127.0.0.1:4566": emulator.url,
        "postgresql://docrelay:docrelay@postgres:5432/docrelay": postgres.url.replace("/postgres?", "/composed?"),
        "8000": str(port),
        "0.0.0.0": "127.0.0.1",
    }
    bootstrap = SERVICES["bootstrap"]["command"]
    subprocess.run(bootstrap, env=environment_of("bootstrap", hosts), cwd=tmp_path, check=True)
    # The one difference: a poll that ends soon, and the worker with it.
    api, worker = environment_of("api", hosts), {**environment_of("worker", hosts), "DOCRELAY_POLL_WAIT_SECONDS": "1"}
    with (
        Service("api", package="api_service", environment=api, folder=tmp_path, port=port),
        Service("worker", package="worker_service", environment=worker, folder=tmp_path, port=0),
    ):
        yield f"http://127.0.0.1:{port}"


def test_services_started_as_compose_starts_them_pass_the_flow(base_url: str) -> None:
    flow = [sys.executable, str(ROOT / "tests" / "e2e_flow.py"), "--base-url", base_url]
    given = ["--username", "admin", "--password", PASSWORD]
    result = subprocess.run([*flow, *given], check=False, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout
    assert "PASS" in result.stdout
