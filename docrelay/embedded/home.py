"""The data folder of one embedded stack: who may use it, its secrets, and the files that say what runs."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import psutil
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from shared.errors import ConfigurationError

# What a command line of ours contains, so that another program that got the same id is left alone.
_MARKS = ("-m ministack", "postgres -D", "-m api_service", "-m worker_service")
_KILL_SECONDS = 5.0
_PIDS = TypeAdapter(dict[str, int])


class Secrets(BaseModel):
    """Made at the first start and kept: tokens and the first admin's password outlive restarts."""

    model_config = ConfigDict(frozen=True)

    jwt_secret: str
    username: str
    password: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Home:
    path: Path

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[Self]:
        """Hold the folder for this process alone. Raises ConfigurationError when it cannot be used."""
        home = cls(path=path.expanduser().resolve())
        try:
            if not home.path.exists():
                home.path.mkdir(mode=0o700, parents=True)
                (home.path / ".gitignore").write_text("*\n")
            (home.path / "logs").mkdir(mode=0o700, exist_ok=True)
            lock = (home.path / "lock").open("w")
        except OSError as exc:
            raise ConfigurationError(
                f"The data folder {home.path} cannot be used: {exc.strerror}. Set DOCRELAY_HOME to another folder."
            ) from exc
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ConfigurationError(
                    f"A stack is running on {home.path} already. Stop it first, or set DOCRELAY_HOME and DOCRELAY_PORT."
                ) from None
            yield home

    def log_path(self, role: str) -> Path:
        return self.path / "logs" / f"{role}.log"

    def keep_secrets(self, *, username: str | None, password: str | None) -> Secrets:
        """Read the secrets; at the first start make them, with this name and password if given."""
        path = self.path / "secrets.json"
        if path.exists():
            try:
                return Secrets.model_validate_json(path.read_bytes())
            except (OSError, ValidationError) as exc:
                raise ConfigurationError(
                    f"{path} cannot be read. Restore it, or move {self.path} away to start afresh."
                ) from exc
        made = Secrets(
            jwt_secret=secrets.token_hex(32),
            username=username or "admin",
            password=password or secrets.token_urlsafe(18),
        )
        _write(path, made.model_dump())
        return made

    def write_credentials(self, *, base_url: str, kept: Secrets) -> None:
        content = {"base_url": base_url, "username": kept.username, "password": kept.password}
        _write(self.path / "credentials.json", content)

    def write_pids(self, pids: Mapping[str, int]) -> None:
        _write(self.path / "pids.json", pids)

    def end_leftovers(self) -> None:
        """Kill what a killed supervisor has left running here. Everything recovers from a kill; nothing is asked."""
        family = [process for leftover in self._leftovers() for process in _family(leftover)]
        for process in family:
            _kill(process)
        psutil.wait_procs(family, timeout=_KILL_SECONDS)

    def _leftovers(self) -> Iterator[psutil.Process]:
        path = self.path / "pids.json"
        try:
            pids, written_at = _PIDS.validate_json(path.read_bytes()), path.stat().st_mtime
        except (OSError, ValueError):
            return
        for pid in pids.values():
            try:
                process = psutil.Process(pid)
                command = " ".join(process.cmdline())
            except psutil.Error:
                continue
            if process.create_time() <= written_at + 1 and any(mark in command for mark in _MARKS):
                yield process


def _family(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.Error:
        return


def _write(path: Path, content: Mapping[str, Any]) -> None:
    """Replace a file that only this account may read, so that a reader sees the old or the new one, whole."""
    new = path.with_suffix(".new")
    try:
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(content, file, indent=2)
        new.replace(path)
    except OSError as exc:
        raise ConfigurationError(f"{path} cannot be written: {exc.strerror}.") from exc
