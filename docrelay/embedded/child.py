"""A program that runs as a child process. It knows nothing of what the program does, nor of the stack around it."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from shared.errors import ConfigurationError

START_SECONDS = 60.0
STOP_SECONDS = 10.0
RETRY_SECONDS = 5.0
TICK_SECONDS = 0.05


class ChildFailedError(ConfigurationError):
    """A child process did not start. `tail` is the end of what it logged."""

    def __init__(self, message: str, *, tail: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.tail = tail


class Child:
    """One program, started and stopped any number of times, its output appended to one log file.

    It gets a session of its own, so that the terminal's Ctrl-C does not reach it. Subclasses say what to
    run and when it is ready. Also a context manager: `with Emulator(folder=...) as emulator`.
    """

    stop_signal = signal.SIGTERM

    def __init__(self, *, role: str, log_path: Path) -> None:
        self.role = role
        self.log_path = log_path
        self.spawned_at = 0.0
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    def command(self) -> Sequence[str]:
        raise NotImplementedError

    def environment(self) -> Mapping[str, str]:
        raise NotImplementedError

    def account(self) -> Mapping[str, object]:
        """Popen's keywords for running as somebody else."""
        return {}

    def prepare(self) -> None:
        """Set up what the program needs before its start, such as its folders."""

    def is_ready(self) -> bool:
        raise NotImplementedError

    def is_blocked(self) -> bool:
        """Whether it ended at its start for a reason that passes by itself."""
        return False

    def advice(self) -> str:
        """What to do when it does not start."""
        return ""

    def tidy(self) -> None:
        """Remove what the stopped program leaves outside of its folder."""

    @property
    def pid(self) -> int:
        assert self._process is not None, "not started"
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def ending(self) -> str:
        """How the program ended, in words."""
        code = self._process.returncode if self._process else None
        return f"was killed by {signal.Signals(-code).name}" if code is not None and code < 0 else f"ended with {code}"

    def start(self) -> None:
        """Start the program and wait until it is ready. Raises ChildFailedError, and leaves nothing running then."""
        try:
            for _ in self.starting():
                time.sleep(TICK_SECONDS)
        except BaseException:
            self.kill()
            raise

    def starting(self) -> Iterator[None]:
        """Start the program; yield as long as it is not ready, for a caller to wait in its own way."""
        try:
            yield from self._steps()
        except OSError as exc:
            raise ChildFailedError(f"{self.role} cannot be started: {exc}.") from exc

    def ask_to_stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(self.stop_signal)

    def kill(self) -> None:
        """End the program and what else is in its process group, at once."""
        if self._process is not None:
            # The group may outlive its leader. macOS says EPERM for a group of zombies.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        end(self)

    def log_lines(self) -> list[str]:
        """What the program has logged since its last start."""
        with self.log_path.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace").splitlines()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _steps(self) -> Iterator[None]:
        self.prepare()
        self._spawn()
        began = time.monotonic()
        while not self.is_ready():
            waited = time.monotonic() - began
            if self.running and waited < START_SECONDS:
                yield
            elif not self.running and waited < RETRY_SECONDS and self.is_blocked():
                yield
                self._spawn()
            else:
                raise self._failure()

    def _spawn(self) -> None:
        self.kill()
        self.spawned_at = time.monotonic()
        with self.log_path.open("ab") as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(  # type: ignore[call-overload]
                self.command(),
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **self.account(),
            )

    def _failure(self) -> ChildFailedError:
        how = "is not ready after a minute" if self.running else f"{self.ending} while starting"
        self.kill()
        lines = [line for line in self.log_lines() if line.strip()]
        reason = next(
            (line for line in reversed(lines) if "FATAL" in line), lines[-1] if lines else "it logged nothing"
        )
        message = f"{self.role} {how}: {reason.strip()} (log: {self.log_path}) {self.advice()}"
        return ChildFailedError(message.strip(), tail=lines[-10:])


def end(*children: Child, grace_seconds: float = STOP_SECONDS) -> None:
    """Ask programs to stop, all at the same time, and kill what is left of them after `grace_seconds`."""
    for child in children:
        child.ask_to_stop()
    deadline = time.monotonic() + grace_seconds
    while any(child.running for child in children) and time.monotonic() < deadline:
        time.sleep(TICK_SECONDS)
    for child in children:
        child.kill()
        child.tidy()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answers(port: int, path: str) -> bool:
    """Whether `GET path` on the loopback port is answered with 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
