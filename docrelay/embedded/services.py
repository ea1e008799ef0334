"""The API and the workers as child processes: the same entry points that containers use, with their settings."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from docrelay.embedded.child import Child, answers


class Api(Child):
    def __init__(self, *, port: int, environment: Mapping[str, str], log_path: Path) -> None:
        super().__init__(role="api", log_path=log_path)
        self._port = port
        self._environment = environment

    def command(self) -> Sequence[str]:
        return (sys.executable, "-m", "api_service")

    def environment(self) -> Mapping[str, str]:
        return self._environment

    def is_ready(self) -> bool:
        return self.running and answers(self._port, "/readyz")


class Worker(Child):
    """A worker whose `instance_id` is new at each start. `quiet`: its settings keep it from logging its start."""

    def __init__(self, *, number: int, environment: Mapping[str, str], log_path: Path, quiet: bool) -> None:
        super().__init__(role=f"worker-{number}", log_path=log_path)
        self._environment = environment
        self._quiet = quiet
        self.instance_id = ""

    def prepare(self) -> None:
        self.instance_id = secrets.token_hex(8)

    def command(self) -> Sequence[str]:
        return (sys.executable, "-m", "worker_service")

    def environment(self) -> Mapping[str, str]:
        return {**self._environment, "DOCRELAY_INSTANCE_ID": self.instance_id}

    def is_ready(self) -> bool:
        # A worker has no port to ask.
        return self.running and (self._quiet or any('"worker.started"' in line for line in self.log_lines()))
