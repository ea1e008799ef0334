"""The results file: one section for each command, replaced when that command is run again."""

from __future__ import annotations

import fcntl
from collections.abc import Sequence
from pathlib import Path

_MARK = "$ python -m tests.chaos "
_HEAD = "Results of `make chaos`. Each section is a command with its output; a run replaces its section.\n"


def keep(path: Path, command: str, lines: Sequence[str]) -> None:
    """Write the section of `command`; other scenarios may be writing theirs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        sections = _sections(file.read())
        sections[command] = "\n".join(lines)
        file.truncate(0)
        file.write(_HEAD + "".join(f"\n{_MARK}{name}\n{text}\n" for name, text in sorted(sections.items())))


def _sections(text: str) -> dict[str, str]:
    sections = {}
    for part in text.split(f"\n{_MARK}")[1:]:
        command, _, output = part.partition("\n")
        sections[command] = output.rstrip("\n")
    return sections
