"""A whole embedded stack in a subprocess, as a user starts it: `docrelay dev` with its own home and port."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

import psutil

from docrelay.embedded.child import free_port

_CHECKOUT = Path(__file__).resolve().parents[2]
_SECONDS = 90.0
# What a developer's shell may hold and a test must not see.
_FOREIGN = ("AWS_", "DOCRELAY_", "JWT_", "OPENAI_")


class EmbeddedStack:
    """`home` is the data folder; its parent is the working directory, so that no `.env` is read."""

    def __init__(
        self, home: Path, *, workers: int = 1, port: int | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        self.home = home
        self.port = port or free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self._workers = workers
        self._environment = dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def stdout(self) -> str:
        return self._output("stdout").read_text()

    @property
    def stderr(self) -> str:
        return self._output("stderr").read_text()

    @property
    def credentials(self) -> dict[str, str]:
        content: dict[str, str] = json.loads((self.home / "credentials.json").read_bytes())
        return content

    @property
    def pids(self) -> dict[str, int]:
        content: dict[str, int] = json.loads((self.home / "pids.json").read_bytes())
        return content

    def spawn(self) -> None:
        """Start the command without waiting for anything."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
        stack = {
            "PYTHONPATH": str(_CHECKOUT),
            "DOCRELAY_HOME": str(self.home),
            "DOCRELAY_PORT": str(self.port),
            "DOCRELAY_WORKERS": str(self._workers),
        }
        with self._output("stdout").open("wb") as stdout, self._output("stderr").open("wb") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "docrelay", "dev"],
                cwd=self.home.parent,
                env={**inherited, **stack, **self._environment},
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )

    def start(self) -> Self:
        """Start the command and wait for its `ready` line."""
        self.spawn()
        assert self._process is not None
        eventually(lambda: "ready " in self.stdout or self._process_ended(), "the stack gets ready or ends")
        assert "ready " in self.stdout, self.stderr
        return self

    def exit_code(self) -> int:
        """Wait for the command to end."""
        assert self._process is not None
        return self._process.wait(_SECONDS)

    def stop(self) -> int:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self.exit_code()

    def kill(self, role: str) -> int:
        """Kill one process of the stack; returns the id that it had."""
        pid = self.pids[role]
        os.kill(pid, signal.SIGKILL)
        if role == "supervisor":
            self.exit_code()
        return pid

    def kill_all(self) -> list[int]:
        """Kill every process, the supervisor first, so that it restarts none."""
        killed = list(self.pids.values())
        self.kill("supervisor")
        for pid in killed:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return killed

    def wait_for_new(self, role: str, *, old: int) -> int:
        eventually(lambda: self.pids[role] != old, f"{role} is started again")
        return self.pids[role]

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.clean_up()

    def clean_up(self) -> None:
        """End whatever runs, however the test has left it."""
        if not self._process_ended():
            self.stop()
        elif (self.home / "pids.json").exists():
            for pid in self.pids.values():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _process_ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def _output(self, name: str) -> Path:
        return self.home.parent / f"{self.home.name}.{name}"


def alive(pid: int) -> bool:
    """Whether the process still does anything: a zombie waits for its parent only."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def eventually(condition: Callable[[], bool], what: str, *, seconds: float = _SECONDS) -> None:
    """Wait until the condition holds; fail with `what` otherwise."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain: {what}"
        time.sleep(0.05)
