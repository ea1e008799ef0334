"""What the commands do that talk to a server. Data goes to stdout, what happens meanwhile to stderr."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from uuid import UUID

import typer

from docrelay.client import JSON, Client, RequestRefusedError, Reset
from docrelay.files import files_in, without_files
from docrelay.output import event_line, flat, paragraph, show, tell
from docrelay.waiting import accepting, wait_for

_PAGE = 200


async def upload(
    client: Client, paths: Sequence[Path], *, folder: str, process: bool, wait: bool, as_json: bool
) -> bool:
    """Upload every file, from subfolders too; whether one was refused, or failed where it was waited for."""
    without = without_files(paths)
    for path in without:
        show(_refused(path, {"code": "no_file", "detail": "There is no file here."}), as_json=as_json)
    failed = bool(without)
    with accepting(as_json=as_json) as accepted:
        for path, inside in _placed(paths):
            try:
                answer = await client.upload(path, folder=f"{folder}/{inside}", process=process)
            except (RequestRefusedError, OSError) as error:
                if isinstance(error, RequestRefusedError) and not _is_about_the_file(error):
                    raise
                failed = True
                show(_refused(path, _cause(error)), as_json=as_json)
                continue
            tell(f"uploaded {path}")
            fields = {**answer["items"][0], "error": None}
            if wait:
                accepted[UUID(answer["id"])] = fields
            else:
                show(fields, as_json=as_json)
        return await wait_for(client, accepted, as_json=as_json) or failed


async def wait(client: Client, document_ids: Sequence[UUID], *, as_json: bool) -> bool:
    return await wait_for(client, {document_id: {} for document_id in document_ids}, as_json=as_json)


async def list_documents(client: Client, query: dict[str, str], *, limit: int, as_json: bool) -> bool:
    shown = 0
    while shown < limit:
        page = await client.documents(**query, limit=str(min(limit - shown, _PAGE)))
        for item in page.items:
            show(item, as_json=as_json)
        shown += len(page.items)
        if page.next_cursor is None:
            break
        query = {**query, "cursor": page.next_cursor}
    return False


async def show_document(client: Client, document_id: UUID, *, text: bool, as_json: bool) -> bool:
    if text:
        typer.echo(await client.text(document_id))
    else:
        document = await client.document(document_id)
        typer.echo(json.dumps(document) if as_json else "\n".join(paragraph(document)))
    return False


async def watch(client: Client, query: dict[str, str], *, cursor: str | None, limit: int | None, as_json: bool) -> bool:
    """Show every move, each once, until there were `limit`."""
    shown = 0
    async with aclosing(client.events(cursor=cursor, **query)) as events:
        async for event in events:
            if isinstance(event, Reset):
                tell("some moves were missed, which the server no longer keeps")
                continue
            fields = asdict(event) | {"document_id": str(event.document_id), "at": event.at and event.at.isoformat()}
            typer.echo(json.dumps(fields) if as_json else event_line(event))
            shown += 1
            if shown == limit:
                break
    return False


async def process(client: Client, document_ids: Sequence[UUID], *, force: bool, wait: bool, as_json: bool) -> bool:
    """Start each that can be; whether one cannot, or failed where it was waited for."""
    failed = False
    with accepting(as_json=as_json) as accepted:
        for document_id in document_ids:
            try:
                started = await client.process(document_id, force=force)
            except RequestRefusedError as error:
                _tell_or_raise(document_id, error)
                failed = True
                continue
            if wait:
                accepted[document_id] = started
            else:
                show(started, as_json=as_json)
        return await wait_for(client, accepted, as_json=as_json) or failed


async def delete(client: Client, document_ids: Sequence[UUID], *, as_json: bool) -> bool:
    """Delete each that is there; whether one is not."""
    failed = False
    for document_id in document_ids:
        try:
            await client.delete(document_id)
        except RequestRefusedError as error:
            _tell_or_raise(document_id, error)
            failed = True
            continue
        if as_json:
            typer.echo(json.dumps({"id": str(document_id), "status": "deleted"}))
        else:
            tell(f"deleted {document_id}")
    return failed


async def insight(client: Client, folder: str, *, as_json: bool) -> bool:
    found = await client.insight(folder)
    typer.echo(json.dumps(found) if as_json else "\n".join(flat(found)))
    return False


async def add_user(client: Client, *, name: str, password: str, admin: bool) -> bool:
    await client.add_user(name, password, role="admin" if admin else "user")
    return False


async def doctor(client: Client, *, as_json: bool) -> bool:
    """Look at the server step by step; whether something is wrong with it."""

    def found(verdict: str, detail: str) -> None:
        typer.echo(json.dumps({"verdict": verdict, "detail": detail}) if as_json else f"{verdict:<7} {detail}")

    served, own = (await client.health("version"))["version"], version("docrelay")
    found("ok", f"{client.base_url} answers, version {served}")
    if served != own:
        found("note", f"this is version {own}")
    found("ok", f"logged in as {(await client.me())['username']}")
    page = await client.documents(limit="1")
    found("ok", f"documents can be listed, the stream is at {page.feed_cursor}")
    try:
        await client.health("readyz")
    except RequestRefusedError as error:
        found("wrong", str(error))
        return True
    found("ok", "store, bucket and queue answer")
    return False


def _placed(paths: Iterable[Path]) -> Iterator[tuple[Path, str]]:
    """Each file, and where it lies below the path that was named."""
    for named in paths:
        for path in files_in([named]):
            # A folder that cannot be looked into stands for itself.
            below = named.is_dir() and path != named
            yield path, path.parent.relative_to(named).as_posix() if below else ""


def _tell_or_raise(document_id: UUID, error: RequestRefusedError) -> None:
    """Tell what is about this document alone: it is not there, or busy with something else."""
    if error.status not in {404, 409}:
        raise error
    tell(f"{document_id}: {error}")


def _refused(path: Path, cause: JSON) -> JSON:
    return {"filename": str(path), "status": "refused", "error": cause}


def _is_about_the_file(error: RequestRefusedError) -> bool:
    return error.status in {413, 415, 422}


def _cause(error: RequestRefusedError | OSError) -> JSON:
    if isinstance(error, RequestRefusedError):
        return {"code": error.problem.get("code"), "detail": error.problem.get("detail")}
    return {"code": "unreadable", "detail": str(error.strerror)}
