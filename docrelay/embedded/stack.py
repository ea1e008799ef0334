"""Puts the embedded stack together from the settings and runs it: the composition root of `docrelay dev`."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress

import typer
from pydantic import SecretStr

from docrelay.embedded.child import ChildFailedError, free_port
from docrelay.embedded.emulator import Emulator
from docrelay.embedded.home import Home, Secrets
from docrelay.embedded.postgres import EmbeddedPostgres
from docrelay.embedded.services import Api, Worker
from docrelay.embedded.supervisor import Supervisor
from shared import log
from shared.errors import ConfigurationError
from shared.model_server import ModelServer, model_server
from shared.settings import Settings

# Better on a laptop than the settings' defaults: a short lease bounds what a kill costs, a short poll a stop.
_LAPTOP: Mapping[str, float] = {"lease_seconds": 15, "poll_wait_seconds": 2, "shutdown_seconds": 8}
# What a process's pool holds beside one connection for each job.
_POOL_ROOM = 12


def run(settings: Settings) -> None:
    """Run the stack in the foreground until a signal ends it. Raises ConfigurationError with nothing left running."""
    server = model_server(settings)
    with Home.open(settings.home) as home:
        home.end_leftovers()
        port = settings.port or free_port()
        _require_free(port)
        _settle_environment()
        _log_to_file(home, settings)
        kept = home.keep_secrets(username=settings.username, password=_plain(settings.password))
        if settings.username not in {None, kept.username} or _plain(settings.password) not in {None, kept.password}:
            _say(f"This data folder has its first user: {kept.username}. DOCRELAY_USERNAME and _PASSWORD are not used.")
        for name in settings.unknown():
            _say(f"{name} is no setting, and means nothing. .env.example lists all there are.")
        supervisor = _assemble(home, settings, kept, port=port)
        _handle_signals(supervisor.request_stop)
        try:
            asyncio.run(supervisor.run(lambda: _announce(home, kept, server, port=port)))
        except ChildFailedError as exc:
            for line in exc.tail:
                _say(f"  {line}")
            raise


def _assemble(home: Home, settings: Settings, kept: Secrets, *, port: int) -> Supervisor:
    emulator = Emulator(folder=home.path / "aws", log_path=home.log_path("emulator"))
    postgres = _postgres(home, settings) if settings.store == "postgres" else None
    stack = _stack_settings(settings, kept, emulator=emulator, postgres=postgres, port=port)
    environment = _child_environment(stack)
    quiet = settings.log_level in {"warning", "error"}
    workers = [
        Worker(number=number, environment=environment, log_path=home.log_path(f"worker-{number}"), quiet=quiet)
        for number in range(1, settings.workers + 1)
    ]
    return Supervisor(
        home=home,
        settings=stack,
        emulator=emulator,
        postgres=postgres,
        api=Api(port=port, environment=environment, log_path=home.log_path("api")),
        workers=workers,
        grace_seconds=stack.shutdown_seconds + 2,
        say=_say,
    )


def _postgres(home: Home, settings: Settings) -> EmbeddedPostgres:
    return EmbeddedPostgres(
        folder=home.path / "postgres",
        max_connections=max(100, (settings.workers + 3) * (settings.concurrency + _POOL_ROOM)),
        log_path=home.log_path("postgres"),
    )


def _stack_settings(
    settings: Settings, kept: Secrets, *, emulator: Emulator, postgres: EmbeddedPostgres | None, port: int
) -> Settings:
    laptop = {name: value for name, value in _LAPTOP.items() if name not in settings.model_fields_set}
    backends = {
        "aws_endpoint_url": emulator.url,
        "aws_access_key_id": "test",
        "aws_secret_access_key": SecretStr("test"),
        "aws_session_token": None,
        "database_url": SecretStr(postgres.url) if postgres else settings.database_url,
        "jwt_secret": SecretStr(kept.jwt_secret),
        "username": kept.username,
        "password": SecretStr(kept.password),
        "host": "127.0.0.1",
        "port": port,
    }
    return settings.model_copy(update={**laptop, **backends})


def _child_environment(stack: Settings) -> dict[str, str]:
    """This process's environment, and over it what the stack decides. It also wins over `.env`."""
    assert stack.aws_endpoint_url is not None
    return {
        **os.environ,
        "AWS_ENDPOINT_URL": stack.aws_endpoint_url,
        "AWS_REGION": stack.aws_region,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "JWT_SECRET": _plain(stack.jwt_secret) or "",
        "DOCRELAY_DATABASE_URL": _plain(stack.database_url) or "",
        "DOCRELAY_STORE": stack.store,
        "DOCRELAY_HOST": stack.host,
        "DOCRELAY_PORT": str(stack.port),
        **{f"DOCRELAY_{name.upper()}": str(getattr(stack, name)) for name in _LAPTOP},
    }


def _settle_environment() -> None:
    """Keep this machine's AWS profile and proxy out of the way to the emulator."""
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN"):
        os.environ.pop(name, None)
    direct = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = f"{direct},127.0.0.1" if direct else "127.0.0.1"


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as exc:
            reason = exc.strerror if isinstance(exc, OSError) else "no such port"
            raise ConfigurationError(
                f"Port {port} cannot be used: {reason}. Set DOCRELAY_PORT to another one."
            ) from exc


def _handle_signals(handler: Callable[..., None]) -> None:
    # A closed terminal ends the stack as well, unless nohup asked otherwise.
    hangup = [] if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else [signal.SIGHUP]
    for number in (signal.SIGINT, signal.SIGTERM, *hangup):
        signal.signal(number, handler)


def _log_to_file(home: Home, settings: Settings) -> None:
    """The terminal is for people: this process logs to a file like its children."""
    stream = home.log_path("supervisor").open("a")
    log.configure(level=settings.log_level, service="supervisor", stream=stream)


def _announce(home: Home, kept: Secrets, server: ModelServer | None, *, port: int) -> None:
    url = f"http://127.0.0.1:{port}"
    home.write_credentials(base_url=url, kept=kept)
    _say(f"ready {url}", err=False)
    _say(
        f"\n  API and docs  {url}/docs"
        f"\n  Log in        user {kept.username}, password in {home.path / 'credentials.json'}"
        f"\n  Analyzer      {server or 'offline: neither OPENAI_API_KEY nor OPENAI_BASE_URL is set'}"
        f"\n  Logs          {home.path / 'logs'}"
        f"\n  Check it      DOCRELAY_HOME={shlex.quote(str(home.path))} python3 tests/e2e_flow.py"
        "\n  Ctrl-C stops everything; the data stays.\n"
    )


def _say(line: str, *, err: bool = True) -> None:
    # A reader or a terminal that went away does not end the stack.
    with suppress(OSError):
        typer.echo(line, err=err)


def _plain(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None
