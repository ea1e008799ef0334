"""P2: DOCX documents per second through the sandbox, against python-docx on the same files."""

from __future__ import annotations

import argparse
import asyncio
import io
import random
import sys
import time
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from pathlib import Path
from zipfile import BadZipFile

import docx
from docx.opc.exceptions import OpcError

from benchmarks.bench_extraction import TEXT
from benchmarks.rounds import interleaved
from shared.errors import DocumentError
from shared.filetype import DOCX
from shared.settings import Settings
from worker_service.sandbox import Sandbox

OURS = "Docrelay's sandbox"
PYTHON_DOCX = f"python-docx {version('python-docx')}"

Engine = Callable[[bytes], Awaitable[object]]


async def main() -> None:
    args = arguments()
    settings = Settings(_env_file=None)
    sandbox = Sandbox(timeout_seconds=settings.extraction_seconds, memory_bytes=settings.extraction_memory_bytes)
    engines: dict[str, Engine] = {OURS: lambda data: sandbox.extract(data, DOCX), PYTHON_DOCX: with_python_docx}
    try:
        files = await readable_by_all(read(args.folder) if args.folder else made(), engines)
        print(f"P2  {len(files)} DOCX, {sum(map(len, files)) / 1e6:.1f} MB")
        contenders = {name: lambda engine=engine: files_per_second(engine, files) for name, engine in engines.items()}
        figures = await interleaved(contenders, unit="documents/s", rounds=args.rounds)
    finally:
        await sandbox.close()
    figures.show()
    figures.show_ratio(OURS, PYTHON_DOCX, at_least=5)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="a folder of DOCX files, searched with its subfolders")
    parser.add_argument("--rounds", type=int, default=9)
    return parser.parse_args()


def read(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(folder.rglob("*.docx"))]


def made() -> list[bytes]:
    """Twenty documents of sixty paragraphs of three runs and a table of twenty rows, in python-docx's own template."""
    words = random.Random(1)
    return [made_one(words) for _ in range(20)]


def made_one(words: random.Random) -> bytes:
    document = docx.Document()
    for number in range(60):
        paragraph = document.add_paragraph(style="Heading 1" if number % 12 == 0 else None)
        for _ in range(3):
            paragraph.add_run(" ".join(words.choices(TEXT.split(), k=15)) + " ")
    table = document.add_table(rows=20, cols=4)
    for row in table.rows:
        for cell in row.cells:
            cell.text = " ".join(words.choices(TEXT.split(), k=3))
    target = io.BytesIO()
    document.save(target)
    return target.getvalue()


async def with_python_docx(data: bytes) -> str:
    document = docx.Document(io.BytesIO(data))
    lines = [paragraph.text for paragraph in document.paragraphs]
    for table in document.tables:
        lines += ["\t".join(cell.text for cell in row.cells) for row in table.rows]
    return "\n".join(lines)


async def readable_by_all(files: list[bytes], engines: dict[str, Engine]) -> list[bytes]:
    """The files that both read: a refusal is quick and would count as speed."""
    kept = []
    for data in files:
        try:
            for extract in engines.values():
                await extract(data)
        except (DocumentError, OpcError, BadZipFile, LookupError, ValueError):
            continue
        kept.append(data)
    if not kept:
        sys.exit("There is no DOCX that both can read.")
    return kept


async def files_per_second(engine: Engine, files: list[bytes]) -> float:
    """Read all files, over and over for half a second at least."""
    began, count = time.perf_counter(), 0
    while (elapsed_seconds := time.perf_counter() - began) < 0.5:
        for data in files:
            await engine(data)
            count += 1
    return count / elapsed_seconds


if __name__ == "__main__":
    asyncio.run(main())
