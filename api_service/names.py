"""What clients call their files and folders, as it is kept. Knows no request."""

from __future__ import annotations

import unicodedata
from pathlib import PurePosixPath

MAX_FOLDER_CHARS = 1024
MAX_FOLDER_LEVELS = 32
_MAX_NAME_CHARS = 255


def clean_name(raw: str | None) -> str | None:
    """The last component of what a client calls the file, without control characters; None when nothing is left."""
    return _printable(PurePosixPath((raw or "").replace("\\", "/")).name)[-_MAX_NAME_CHARS:] or None


def clean_text(raw: str) -> str:
    """What somebody looks for, as names and labels are kept."""
    return _printable(raw)


def clean_folder(raw: str) -> str:
    """A folder as a `/`-separated path without empty, `.` or `..` parts and without control characters."""
    parts = (_printable(part) for part in raw.split("/"))
    return "/".join(part for part in parts if part not in {"", ".", ".."})


def _printable(text: str) -> str:
    return "".join(char for char in unicodedata.normalize("NFC", text) if unicodedata.category(char)[0] != "C").strip()
