"""The files that a command's paths stand for."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path


def files_in(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield every regular file, and folders that cannot be looked into. A link to a folder is entered if named."""
    unreadable: list[Path] = []
    for path in paths:
        if path.is_dir():
            for folder, folders, names in os.walk(path, onerror=lambda error: unreadable.append(Path(error.filename))):
                folders.sort()
                yield from filter(_is_file, [Path(folder, name) for name in sorted(names)])
        elif _is_file(path):
            yield path
    yield from unreadable


def without_files(paths: Iterable[Path]) -> list[Path]:
    """Those of the paths that stand for no file at all: an empty folder, a pipe."""
    return [path for path in paths if next(files_in([path]), None) is None]


def _is_file(path: Path) -> bool:
    """Whether there is something to read: not a socket, a pipe, a device or a broken link."""
    try:
        return path.is_file()
    except PermissionError:
        return True
