"""What lists of documents may be narrowed to, from a request's query."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated

from fastapi import Depends, Query

from api_service.dependencies import folder_path, status_filter
from api_service.names import clean_text
from api_service.problems import invalid
from shared.filetype import DOCX, PDF, TEXT
from shared.lists import ListFilter

_TYPES = {"pdf": PDF, "docx": DOCX, "txt": TEXT, "text": TEXT} | {name: name for name in (PDF, DOCX, TEXT)}


async def document_filter(
    status: Annotated[str | None, Query(description="Only documents in this status, in any case.")] = None,
    folder: Annotated[str | None, Query(description="Only documents in this folder and below.")] = None,
    type_: Annotated[str | None, Query(alias="type", description="Only `pdf`, `docx` or `text`.")] = None,
    label: Annotated[str | None, Query(max_length=200, description="Only this class, in any case.")] = None,
    name: Annotated[str | None, Query(max_length=255, description="Part of the file's name, in any case.")] = None,
    since: Annotated[str | None, Query(alias="from", description="A date or time: uploaded then or later.")] = None,
    until: Annotated[str | None, Query(alias="to", description="A date, that day included; or a time.")] = None,
) -> ListFilter:
    return ListFilter(
        status=status_filter(status),
        folder=folder_path(folder or "") or None,
        content_type=_content_type(type_),
        label=clean_text(label or "") or None,
        name=clean_text(name or "") or None,
        since=_moment("from", since, days=0),
        until=_moment("to", until, days=1),
    )


FilterDep = Annotated[ListFilter, Depends(document_filter)]


def _content_type(raw: str | None) -> str | None:
    if not raw:
        return None
    if raw.lower() not in _TYPES:
        raise invalid("type", "Must be pdf, docx or text.")
    return _TYPES[raw.lower()]


def _moment(field: str, raw: str | None, *, days: int) -> datetime | None:
    """A time as it is, a date as the beginning of the day that comes so many days later; without a zone, in UTC."""
    if not raw:
        return None
    try:
        try:
            return datetime.combine(date.fromisoformat(raw) + timedelta(days=days), time(), UTC)
        except ValueError:
            given = datetime.fromisoformat(raw)
        return given.astimezone(UTC) if given.tzinfo else given.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise invalid(field, "Must be a date or a time in ISO 8601, such as 2026-01-31.") from None
