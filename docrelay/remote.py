"""What the commands do that talk to a server. Data goes to stdout, what happens meanwhile to stderr."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import UUID

import typer

from docrelay.client import JSON, Client, Event, RequestRefusedError, Reset
from docrelay.files import files_in

# At rest: nothing happens until somebody asks. A deleted document is gone.
_RESTING = {"uploaded", "completed", "failed", "cancelled", "deleted"}
_FAILED = {"failed", "cancelled", "deleted"}
_PAGE = 200


def tell(line: str) -> None:
    typer.echo(line, err=True)


def show(fields: JSON, *, as_json: bool) -> None:
    """One document a line."""
    typer.echo(json.dumps(fields) if as_json else _line(fields))


async def upload(
    client: Client, paths: Sequence[Path], *, folder: str, process: bool, wait: bool, as_json: bool
) -> bool:
    """Upload every file, from subfolders too; whether one was refused, or failed where it was waited for."""
    accepted: dict[UUID, JSON] = {}
    failed = False
    for path, inside in _placed(paths):
        try:
            answer = await client.upload(path, folder=f"{folder}/{inside}", process=process)
        except (RequestRefusedError, OSError) as error:
            if isinstance(error, RequestRefusedError) and not _is_about_the_file(error):
                raise
            failed = True
            show({"filename": str(path), "status": "refused", "error": _cause(error)}, as_json=as_json)
            continue
        tell(f"uploaded {path}")
        accepted[UUID(answer["id"])] = {**answer["items"][0], "error": None}
        if not wait:
            show(accepted[UUID(answer["id"])], as_json=as_json)
    if wait and accepted:
        failed |= await wait_for(client, list(accepted), as_json=as_json)
    return failed


async def wait_for(client: Client, document_ids: Sequence[UUID], *, as_json: bool) -> bool:
    """Show each document when it has come to rest; whether one has failed."""
    failed = False
    async with aclosing(_resting(client, document_ids)) as documents:
        async for document in documents:
            show(document, as_json=as_json)
            failed |= document["status"] in _FAILED
    return failed


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
        typer.echo(json.dumps(document) if as_json else "\n".join(_paragraph(document)))
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
            typer.echo(json.dumps(fields) if as_json else _event_line(event))
            shown += 1
            if shown == limit:
                break
    return False


async def process(client: Client, document_ids: Sequence[UUID], *, force: bool, wait: bool, as_json: bool) -> bool:
    for document_id in document_ids:
        started = await client.process(document_id, force=force)
        if not wait:
            show(started, as_json=as_json)
    return await wait_for(client, document_ids, as_json=as_json) if wait else False


async def delete(client: Client, document_ids: Sequence[UUID]) -> bool:
    for document_id in document_ids:
        await client.delete(document_id)
        tell(f"deleted {document_id}")
    return False


async def insight(client: Client, folder: str, *, as_json: bool) -> bool:
    found = await client.insight(folder)
    typer.echo(json.dumps(found) if as_json else "\n".join(_flat(found)))
    return False


async def doctor(client: Client) -> bool:
    """Look at the server step by step; whether something is wrong with it."""
    served, own = (await client.health("version"))["version"], version("docrelay")
    typer.echo(f"ok      the server answers, version {served}")
    if served != own:
        typer.echo(f"note    this is version {own}")
    typer.echo(f"ok      logged in as {(await client.me())['username']}")
    page = await client.documents(limit="1")
    typer.echo(f"ok      documents can be listed, the stream is at {page.feed_cursor}")
    try:
        await client.health("readyz")
    except RequestRefusedError as error:
        typer.echo(f"wrong   {error}")
        return True
    typer.echo("ok      store, bucket and queue answer")
    return False


async def _resting(client: Client, document_ids: Sequence[UUID]) -> AsyncGenerator[JSON]:
    """Each document as it comes to rest, by the stream: looked at once before, and again at each end of its."""
    cursor = (await client.documents(limit="1")).feed_cursor
    waiting = dict.fromkeys(document_ids)
    async with aclosing(client.events(cursor=cursor)) as events:
        looked_at: Iterable[UUID] = list(waiting)
        while True:
            for document_id in looked_at:
                document = await _state(client, document_id)
                if document["status"] in _RESTING:
                    del waiting[document_id]
                    yield document
            if not waiting:
                return
            looked_at = await _news(events, waiting)


async def _news(events: Any, waiting: dict[UUID, None]) -> list[UUID]:
    """Which of the documents have to be looked at after the next event."""
    event = await anext(events)
    if isinstance(event, Reset):
        return list(waiting)
    if event.document_id not in waiting:
        return []
    tell(_event_line(event))
    return [event.document_id] if event.status in _RESTING else []


async def _state(client: Client, document_id: UUID) -> JSON:
    try:
        return await client.document(document_id)
    except RequestRefusedError as error:
        if error.status != 404:
            raise
        return {"id": str(document_id), "status": "deleted", "error": None}


def _placed(paths: Iterable[Path]) -> Iterator[tuple[Path, str]]:
    """Each file, and where it lies below the path that was named."""
    for named in paths:
        for path in files_in([named]):
            # A folder that cannot be looked into stands for itself.
            below = named.is_dir() and path != named
            yield path, path.parent.relative_to(named).as_posix() if below else ""


def _is_about_the_file(error: RequestRefusedError) -> bool:
    return error.status in {413, 415, 422}


def _cause(error: RequestRefusedError | OSError) -> JSON:
    if isinstance(error, RequestRefusedError):
        return {"code": error.problem.get("code"), "detail": error.problem.get("detail")}
    return {"code": "unreadable", "detail": str(error.strerror)}


def _line(fields: JSON) -> str:
    name = "/".join(filter(None, [fields.get("folder"), fields.get("filename")]))
    error = fields.get("error")
    cause = f"{error['code']}: {error['detail']}" if error else ""
    return "  ".join([fields.get("id", "-"), f"{fields['status']:<10}", name, cause]).rstrip()


def _event_line(event: Event) -> str:
    at = event.at.isoformat(timespec="milliseconds") if event.at else "-"
    return f"{at}  {event.document_id}  {event.status:<10}  {event.filename}".rstrip()


def _paragraph(document: JSON) -> list[str]:
    analysis = document["analysis"] or {}
    lines = [_line(document), f"{document['content_type']}, {document['size']} bytes, {document['pages'] or '-'} pages"]
    if analysis:
        lines += [analysis["summary"], f"{analysis['classification']['label']}; {', '.join(analysis['topics'])}"]
        lines += [f"- {item['text']}" for item in analysis["action_items"]]
    return lines + [f"{entry['at']}  {entry['to']}" for entry in document["history"]]


def _flat(fields: JSON, above: str = "") -> list[str]:
    """`name: value` for each value that there is, however deep."""
    lines = []
    for name, value in fields.items():
        if isinstance(value, dict):
            lines += _flat(value, f"{above}{name}.")
        elif value is not None:
            lines.append(f"{above}{name}: {value}")
    return lines


async def within(seconds: float | None, work: Any) -> bool:
    """The outcome of the work, or failure when it takes longer."""
    try:
        async with asyncio.timeout(seconds):
            return bool(await work)
    except TimeoutError:
        tell(f"not all of it was done within {seconds:g} seconds")
        return True
