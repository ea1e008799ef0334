"""The commands that talk to a server: exit 0 ok, 1 failed documents, 2 usage, 3 unreachable."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from docrelay.output import end_unread, show_what_can_be_shown
from shared.settings import Settings

if TYPE_CHECKING:
    from docrelay.client import Client
    from docrelay.session import Access

BaseUrl = Annotated[str | None, typer.Option("--base-url", help="The server, when it is not the one of the log-in.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
Wait = Annotated[
    bool, typer.Option("--wait", help="Until all documents have come to rest; at an early end, show the others too.")
]
Timeout = Annotated[float | None, typer.Option("--timeout", min=0, help="Seconds to wait; then exit 1.")]
Ids = Annotated[list[UUID], typer.Argument(metavar="ID...")]
Folder = Annotated[str | None, typer.Option("--folder", help="This folder and below.")]
Status = Annotated[str | None, typer.Option("--status", help="In any case.")]


def add_to(app: typer.Typer) -> None:
    for command in (login, logout, upload, show, watch, wait, process, delete, insights, doctor):
        app.command()(command)
    app.command("list")(list_documents)


def login(
    base_url: Annotated[str, typer.Option("--base-url", help="The server.")] = "http://127.0.0.1:8000",
    username: Annotated[str, typer.Option("--username", prompt=True)] = "",
    password_stdin: Annotated[bool, typer.Option("--password-stdin", help="Read the password, do not ask.")] = False,
) -> None:
    """Log in to a server; the other commands go on with that."""
    from docrelay.session import log_in  # noqa: PLC0415

    password = sys.stdin.readline().rstrip("\n") if password_stdin else typer.prompt("Password", hide_input=True)
    _exit_as(lambda: log_in(base_url, username, password))
    typer.echo(f"logged in to {base_url} as {username}", err=True)


def logout() -> None:
    """End what `login` keeps, at its server and on this machine; here even if the server does not answer."""
    from docrelay.session import log_out  # noqa: PLC0415

    base_url = _exit_as(log_out)
    typer.echo(f"logged out of {base_url}" if base_url else "nobody is logged in", err=True)


def upload(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", exists=True, help="Files, or folders of files.")],
    folder: Annotated[str, typer.Option("--folder", help="Where the documents go.")] = "",
    process: Annotated[bool, typer.Option(help="Process them at once.")] = True,
    wait: Wait = False,
    timeout: Timeout = None,
    json: Json = False,
    base_url: BaseUrl = None,
) -> None:
    """Upload files, each in a request of its own. What lies in a folder's subfolders goes into subfolders."""
    from docrelay import remote, waiting  # noqa: PLC0415

    options: dict[str, Any] = {"folder": folder, "process": process, "wait": wait, "as_json": json}
    _run(base_url, lambda client: waiting.within(timeout, remote.upload(client, paths, **options)))


def list_documents(  # noqa: PLR0913, PLR0917 - one for each option
    status: Status = None,
    folder: Folder = None,
    type_: Annotated[str | None, typer.Option("--type", help="pdf, docx or text.")] = None,
    label: Annotated[str | None, typer.Option("--label", help="The class of the document.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="Part of the file's name.")] = None,
    since: Annotated[str | None, typer.Option("--from", help="A date or time.")] = None,
    until: Annotated[str | None, typer.Option("--to", help="A date, that day included; or a time.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many at most.")] = 50,
    json: Json = False,
    base_url: BaseUrl = None,
) -> None:
    """List documents, newest first."""
    from docrelay import remote  # noqa: PLC0415

    wanted = {
        "status": status,
        "folder": folder,
        "type": type_,
        "label": label,
        "name": name,
        "from": since,
        "to": until,
    }
    query = {name: value for name, value in wanted.items() if value is not None}
    _run(base_url, lambda client: remote.list_documents(client, query, limit=limit, as_json=json))


def show(
    document_id: Annotated[UUID, typer.Argument(metavar="ID")],
    text: Annotated[bool, typer.Option("--text", help="The extracted text instead.")] = False,
    json: Json = False,
    base_url: BaseUrl = None,
) -> None:
    """Show one document with its analysis and its history."""
    from docrelay import remote  # noqa: PLC0415

    _run(base_url, lambda client: remote.show_document(client, document_id, text=text, as_json=json))


def watch(
    folder: Folder = None,
    status: Status = None,
    cursor: Annotated[str | None, typer.Option("--cursor", help="Where to begin; 0 for all that is kept.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="End after so many moves.")] = None,
    json: Json = False,
    base_url: BaseUrl = None,
) -> None:
    """Show every move as it happens, until Ctrl-C."""
    from docrelay import remote  # noqa: PLC0415

    query = {name: value for name, value in {"folder": folder, "status": status}.items() if value is not None}
    _run(base_url, lambda client: remote.watch(client, query, cursor=cursor, limit=limit, as_json=json))


def wait(ids: Ids, timeout: Timeout = None, json: Json = False, base_url: BaseUrl = None) -> None:
    """Wait until documents have come to rest."""
    from docrelay import remote, waiting  # noqa: PLC0415

    _run(base_url, lambda client: waiting.within(timeout, remote.wait(client, ids, as_json=json)))


def process(
    ids: Ids,
    force: Annotated[bool, typer.Option("--force", help="Of completed documents, too: a new result.")] = False,
    wait: Wait = False,
    timeout: Timeout = None,
    json: Json = False,
    base_url: BaseUrl = None,
) -> None:
    """Start new runs of documents that wait or have ended."""
    from docrelay import remote, waiting  # noqa: PLC0415

    options = {"force": force, "wait": wait, "as_json": json}
    _run(base_url, lambda client: waiting.within(timeout, remote.process(client, ids, **options)))


def delete(ids: Ids, json: Json = False, base_url: BaseUrl = None) -> None:
    """Delete documents and everything of them."""
    from docrelay import remote  # noqa: PLC0415

    _run(base_url, lambda client: remote.delete(client, ids, as_json=json))


def insights(
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="A folder's path; / for all documents.")],
    json: Json = False,
    base_url: BaseUrl = None,
) -> None:
    """Say what a folder's documents come to, its subfolders' included."""
    from docrelay import remote  # noqa: PLC0415

    _run(base_url, lambda client: remote.insight(client, folder, as_json=json))


def doctor(json: Json = False, base_url: BaseUrl = None) -> None:
    """See whether the server answers, knows you and is ready."""
    from docrelay import remote  # noqa: PLC0415

    _run(base_url, lambda client: remote.doctor(client, as_json=json))


def _run(base_url: str | None, work: Callable[[Client], Awaitable[bool]]) -> None:
    """Do the work as whoever is logged in; exit 1 when documents failed."""
    from docrelay.session import find_access  # noqa: PLC0415

    run_as(find_access(Settings.load(), base_url), work)


def run_as(access: Access, work: Callable[[Client], Awaitable[bool]]) -> None:
    from docrelay.client import Client  # noqa: PLC0415

    async def connected() -> bool:
        async with Client(access.base_url, auth=access.auth) as client:
            return await work(client)

    show_what_can_be_shown()
    if _exit_as(connected):
        raise typer.Exit(1)


def _exit_as(work: Callable[[], Awaitable[Any]]) -> Any:
    """The outcome of the work. A refused request ends with 2, a server that is not there with 3."""
    import httpx2  # noqa: PLC0415

    from docrelay.replies import NotDocrelayError, RequestRefusedError  # noqa: PLC0415

    try:
        return asyncio.run(_awaited(work))
    except RequestRefusedError as error:
        typer.echo(f"docrelay: {error}", err=True)
        raise typer.Exit(3 if error.status >= 500 else 2) from None
    except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
        typer.echo(f"docrelay: {error}", err=True)
        raise typer.Exit(2) from None
    except NotDocrelayError as error:
        typer.echo(f"docrelay: {error}", err=True)
        raise typer.Exit(3) from None
    except httpx2.RequestError as error:
        typer.echo(f"docrelay: The server does not answer: {error}", err=True)
        raise typer.Exit(3) from None
    except OSError as error:
        end_unread(error)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


async def _awaited(work: Callable[[], Awaitable[Any]]) -> Any:
    return await work()
