"""The command line: data to stdout, progress to stderr; exit 0 ok, 1 failed documents, 2 usage, 3 unreachable."""

from __future__ import annotations

import asyncio
import os
import sys
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer

from docrelay import commands
from docrelay.output import end_unread
from shared.errors import BackendUnavailableError, ConfigurationError
from shared.settings import Settings, Store

# Each command imports what it runs: `docrelay --version` needs neither service.
app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
database = typer.Typer(no_args_is_help=True, help="The database.")
app.add_typer(database, name="db")
users = typer.Typer(no_args_is_help=True, help="Who may log in.")
app.add_typer(users, name="user")
commands.add_to(app)


def main() -> None:
    """The console script: turns errors into one line and an exit code."""
    try:
        app(prog_name="docrelay")
    except (BackendUnavailableError, ConfigurationError) as exc:
        typer.echo(f"docrelay: {exc}", err=True)
        sys.exit(2 if isinstance(exc, ConfigurationError) else 3)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"docrelay {metadata.version('docrelay')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Documents in over HTTP; text, analysis and a live trail of status changes out."""


@app.command()
def dev(
    port: Annotated[int | None, typer.Option(help="API port; DOCRELAY_PORT.", show_default="8000")] = None,
    home: Annotated[Path | None, typer.Option(help="Data folder; DOCRELAY_HOME.", show_default=".docrelay")] = None,
    workers: Annotated[int | None, typer.Option(help="Workers; DOCRELAY_WORKERS.", show_default="1")] = None,
    store: Annotated[Store | None, typer.Option(help="DOCRELAY_STORE.", show_default="postgres")] = None,
) -> None:
    """Run the whole stack on this machine: AWS emulator, store, API and workers. No Docker, no account."""
    from docrelay.embedded.stack import run  # noqa: PLC0415

    given = {"port": port, "home": home, "workers": workers, "store": store}
    run(Settings.load(**{name: value for name, value in given.items() if value is not None}))


@app.command()
def api() -> None:
    """Run the API in this process."""
    from api_service.__main__ import main as serve  # noqa: PLC0415

    raise typer.Exit(serve())


@app.command()
def worker() -> None:
    """Run one worker in this process."""
    from worker_service.__main__ import main as serve  # noqa: PLC0415

    raise typer.Exit(serve())


@app.command()
def analyze(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", exists=True, help="Files, or folders of files.")],
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line and file, as they are done.")] = False,
    jobs: Annotated[int, typer.Option(min=1, max=64, help="Files at a time.")] = os.cpu_count() or 1,
) -> None:
    """Extract and analyze files on this machine, without a server, a model or a network."""
    from docrelay.analyze import analyze as answer  # noqa: PLC0415

    try:
        failed = answer(paths, settings=Settings.load(), jobs=jobs, json=json)
    except OSError as exc:
        end_unread(exc)
    raise typer.Exit(1 if failed else 0)


@app.command()
def bootstrap() -> None:
    """Create what is missing of bucket, queue and first admin (DOCRELAY_USERNAME, DOCRELAY_PASSWORD)."""
    from shared.adapters.secrets import resolved  # noqa: PLC0415
    from shared.bootstrap import provision  # noqa: PLC0415

    settings = resolved(Settings.load())
    first_admin = asyncio.run(provision(settings))
    if first_admin == "not named":
        typer.echo(
            "nobody can log in yet: set DOCRELAY_USERNAME and _PASSWORD, or run: docrelay user add --admin NAME",
            err=True,
        )
    elif first_admin == "not needed" and settings.password:
        typer.echo("there are users already: DOCRELAY_USERNAME and _PASSWORD are not used", err=True)


@database.command()
def upgrade() -> None:
    """Bring the schema to the newest version."""
    from shared.adapters.secrets import resolved  # noqa: PLC0415
    from shared.bootstrap import upgrade_database  # noqa: PLC0415

    upgrade_database(resolved(Settings.load()))


@database.command()
def restored() -> None:
    """After a restore to an earlier time: have every client that resumes read anew, lest it miss moves."""
    from shared.adapters.secrets import resolved  # noqa: PLC0415
    from shared.bootstrap import begin_anew  # noqa: PLC0415

    feeds = asyncio.run(begin_anew(resolved(Settings.load())))
    typer.echo(f"feeds with a new epoch: {feeds}")


@users.command("add")
def add_user(
    name: str,
    admin: Annotated[bool, typer.Option("--admin", help="May add users, too.")] = False,
    password_stdin: Annotated[bool, typer.Option("--password-stdin", help="Read the password, do not ask.")] = False,
) -> None:
    """Add a user: to the stack in DOCRELAY_HOME, or to the store that the settings name."""
    from docrelay import accounts, remote, session  # noqa: PLC0415
    from shared.adapters.secrets import resolved  # noqa: PLC0415

    settings = resolved(Settings.load())
    password = sys.stdin.readline().rstrip("\n") if password_stdin else typer.prompt("Password", hide_input=True)
    if access := session.stack_access(settings):
        commands.run_as(access, lambda client: remote.add_user(client, name=name, password=password, admin=admin))
    else:
        accounts.add(settings, name=name, password=password, admin=admin)
    typer.echo(f"added {name} to {access.base_url if access else 'the store'}", err=True)
