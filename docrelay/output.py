"""How the commands that talk to a server show things: data to stdout, what happens meanwhile to stderr."""

from __future__ import annotations

import io
import json
import os
import sys
from typing import TYPE_CHECKING, NoReturn

import typer

if TYPE_CHECKING:
    from docrelay.client import JSON, Event


def show_what_can_be_shown() -> None:
    """Have question marks on stdout for what the terminal cannot show, and for file names that are no text."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def tell(line: str) -> None:
    typer.echo(line, err=True)


def show(fields: JSON, *, as_json: bool) -> None:
    """One document a line."""
    typer.echo(json.dumps(fields) if as_json else _line(fields))


def end_unread(error: OSError) -> NoReturn:
    """Exit 1: nobody takes the answers any more, as the reader has gone or the disk is full."""
    # Python would try again at exit.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(f"docrelay: {error.strerror}" + (f": {error.filename}" if error.filename else ""))


def event_line(event: Event) -> str:
    at = event.at.isoformat(timespec="milliseconds") if event.at else "-"
    return f"{at}  {event.document_id}  {event.status:<10}  {event.filename}".rstrip()


def paragraph(document: JSON) -> list[str]:
    analysis = document["analysis"] or {}
    lines = [_line(document), f"{document['content_type']}, {document['size']} bytes{_pages(document['pages'])}"]
    if analysis:
        lines += [analysis["summary"], f"{analysis['classification']['label']}; {', '.join(analysis['topics'])}"]
        lines += [f"- {item['text']}" for item in analysis["action_items"]]
    if classified := document.get("classification"):
        lines.append(f"Your labels: {classified['label'] or 'none fits'} ({classified['confidence']:.0%})")
    return lines + [f"{entry['at']}  {entry['to']}" for entry in document["history"]]


def _pages(pages: int | None) -> str:
    """A text file has none."""
    return "" if pages is None else f", {pages} page{'s' * (pages != 1)}"


def flat(fields: JSON, above: str = "") -> list[str]:
    """`name: value` for each value that there is, however deep."""
    lines = []
    for name, value in fields.items():
        if isinstance(value, dict):
            lines += flat(value, f"{above}{name}.")
        elif value is not None:
            lines.append(f"{above}{name}: {value}")
    return lines


def _line(fields: JSON) -> str:
    name = "/".join(filter(None, [fields.get("folder"), fields.get("filename")]))
    error = fields.get("error")
    remark = f"{error['code']}: {error['detail']}" if error else what_is_missing(fields.get("coverage"))
    return "  ".join([fields.get("id", "-"), f"{fields['status']:<10}", name, remark]).rstrip()


def what_is_missing(coverage: JSON | None) -> str:
    """What a result does not cover, or nothing if it covers the document."""
    if coverage is None or coverage["verdict"] == "complete":
        return ""
    analyzed = f"partial: {coverage['chars_analyzed']:,} of {coverage['chars_extracted']:,} characters analyzed"
    pages = f", {coverage['pages_with_text']} of {coverage['pages_total']} pages with text"
    # A page may have text and yet break off in damage.
    unread = "" if coverage["chars_analyzed"] < coverage["chars_extracted"] else ", but not all that they show was read"
    return analyzed + (pages + unread if coverage["pages_total"] else "")
