"""Packages of tests that offer stages, installed for a while: found on the path by the metadata that pip leaves."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PACKAGES = Path(__file__).resolve().parents[1] / "packages"


@contextmanager
def installed(folder: Path) -> Iterator[None]:
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in set(sys.modules) - before:
            if name.startswith("docrelay_"):
                del sys.modules[name]


def package(folder: Path, name: str, code: str = "", **stages: str) -> Path:
    """A package with one module of this code that offers these stages."""
    metadata = folder / f"{name}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (folder / f"{name}.py").write_text(code)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    points = "".join(f"{stage} = {value}\n" for stage, value in stages.items())
    (metadata / "entry_points.txt").write_text(f"[docrelay.stages]\n{points}")
    return folder
