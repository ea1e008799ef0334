"""The checkout as data: where it is, what git tracks in it, and the code that its prose shows."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("api_service", "docrelay", "shared", "worker_service")

_FENCED = re.compile(r"^```[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`\n]+)`")
_SHELL_COMMENT = re.compile(r"(^|\s)# .*$", re.MULTILINE)


def tracked() -> list[Path]:
    """Every file that git tracks and that is still there."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True)
    paths = (ROOT / name for name in listed.stdout.split("\0") if name)
    return [path for path in paths if path.is_file()]


def prose() -> list[Path]:
    return [path for path in tracked() if path.suffix == ".md"]


def modules() -> Iterator[Path]:
    """Every Python file of the four packages."""
    for package in PACKAGES:
        yield from sorted((ROOT / package).rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def code_in(markdown: str) -> str:
    """The commands of a Markdown text: fenced blocks without shell comments, and inline code."""
    blocks = (_SHELL_COMMENT.sub("", block) for block in _FENCED.findall(markdown))
    return "\n".join([*blocks, *_INLINE.findall(_FENCED.sub("", markdown))])


def without_code(markdown: str) -> str:
    return _INLINE.sub("", _FENCED.sub("", markdown))
