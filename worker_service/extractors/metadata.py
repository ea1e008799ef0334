"""Title, author and date as files state them: anything at all, so each is cleaned or left out. Knows no parser."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from worker_service.extractors import readable

_MAX_CHARS = 500
# Cleaning may join what it cut: a title may begin with that much of white space and control characters.
_READ_CHARS = 10_000
_PDF_DATE = re.compile(r"\s*(?:D:)?(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?\s*(?:Z|([+-]\d\d)'?(\d\d)?)?")
_OLDEST, _NEWEST = 1970, 2100


def label(raw: str | None) -> str | None:
    """Return a title or a name on one line, at most 500 characters of it; None if nothing readable is left."""
    return " ".join(readable((raw or "")[:_READ_CHARS]).split())[:_MAX_CHARS].strip() or None


def pdf_date(raw: str | None) -> datetime | None:
    """Return a PDF's date, `D:20260131120000+01'00'` or any beginning of it; without a zone it counts as UTC."""
    found = _PDF_DATE.match((raw or "")[:_MAX_CHARS])
    if not found:
        return None
    year, month, day, hour, minute, second, zone_hours, zone_minutes = found.groups()
    date = f"{year}-{month or '01'}-{day or '01'}"
    time = f"{hour or '00'}:{minute or '00'}:{second or '00'}"
    return iso_date(f"{date}T{time}{zone_hours or '+00'}:{zone_minutes or '00'}")


def iso_date(raw: str | None) -> datetime | None:
    """Return a date in ISO 8601's usual forms; without a zone it counts as UTC."""
    try:
        date = datetime.fromisoformat((raw or "").strip()[:_MAX_CHARS])
        date = date.astimezone(UTC) if date.tzinfo else date.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    return date if _OLDEST <= date.year <= _NEWEST else None
