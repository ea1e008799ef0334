"""P1: PDF pages per second through the sandbox, against pypdf and bare pypdfium2 on the same files.

Without an argument it makes its own documents; give it a folder of real ones to know what yours cost.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import logging
import random
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pypdf
import pypdfium2
import pypdfium2.version
from pypdf.generic import DecodedStreamObject

from benchmarks.rounds import interleaved
from shared.errors import DocumentError
from shared.filetype import PDF
from shared.settings import Settings
from tests.support.documents import pdf
from worker_service.sandbox import Sandbox

TEXT = "the turbine was inspected in march and the report of harbour pumps says that every valve needs oil"
OURS = "Docrelay's sandbox"
PYPDF = f"pypdf {pypdf.__version__}"
PDFIUM = f"bare pypdfium2 {pypdfium2.version.PYPDFIUM_INFO}"

Engine = Callable[[bytes], Awaitable[int]]


async def main() -> None:
    args = arguments()
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    files = read(args.folder) if args.folder else made()
    settings = Settings(_env_file=None)
    sandbox = Sandbox(timeout_seconds=settings.extraction_seconds, memory_bytes=settings.extraction_memory_bytes)
    engines: dict[str, Engine] = {OURS: with_sandbox(sandbox), PYPDF: with_pypdf, PDFIUM: with_pdfium}
    try:
        files, pages = await readable_by_all(files, engines, max_pages=args.pages)
        print(f"P1  {len(files)} PDFs, {pages} pages, {sum(map(len, files)) / 1e6:.1f} MB")
        contenders = {name: lambda engine=engine: pages_per_second(engine, files) for name, engine in engines.items()}
        figures = await interleaved(contenders, unit="pages/s", rounds=args.rounds)
    finally:
        await sandbox.close()
    figures.show()
    figures.show_ratio(OURS, PYPDF, at_least=6)
    figures.show_ratio(OURS, PDFIUM, at_least=0.6)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="a folder of PDFs, searched with its subfolders")
    parser.add_argument("--pages", type=int, default=80, help="stop adding files after that many pages")
    parser.add_argument("--rounds", type=int, default=9)
    return parser.parse_args()


def read(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(folder.rglob("*.pdf"))]


def made() -> list[bytes]:
    """Twenty documents of four pages of 45 lines, set as TeX and word processors set them: kerned inside the words."""
    words = random.Random(1)
    return [made_one(words) for _ in range(20)]


def made_one(words: random.Random) -> bytes:
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(pdf([""] * 4)))
    for page in writer.pages:
        lines = [f"1 0 0 1 72 {720 - 14 * number} Tm [{kerned(words)}] TJ" for number in range(45)]
        content = DecodedStreamObject()
        content.set_data(f"BT /F1 10 Tf {' '.join(lines)} ET".encode())
        page.replace_contents(content.flate_encode())
    target = io.BytesIO()
    writer.write(target)
    return target.getvalue()


def kerned(words: random.Random) -> str:
    parts = ((word[:2], words.randint(-30, 30), word[2:]) for word in words.choices(TEXT.split(), k=14))
    return " -333 ".join(f"({head}) {kern} ({tail})" for head, kern, tail in parts)


def with_sandbox(sandbox: Sandbox) -> Engine:
    async def count_pages(data: bytes) -> int:
        return (await sandbox.extract(data, PDF)).pages or 0

    return count_pages


async def with_pypdf(data: bytes) -> int:
    return len([page.extract_text() for page in pypdf.PdfReader(io.BytesIO(data)).pages])


async def with_pdfium(data: bytes) -> int:
    document = pypdfium2.PdfDocument(data)
    texts = []
    for page in document:
        textpage = page.get_textpage()
        texts.append(textpage.get_text_range())
        textpage.close()
        page.close()
    document.close()
    return len(texts)


async def readable_by_all(files: list[bytes], engines: dict[str, Engine], *, max_pages: int) -> tuple[list[bytes], int]:
    """The files that every engine reads, and their pages: a refusal is quick and would count as speed."""
    kept, pages = [], 0
    for data in files:
        try:
            counts = {await read_pages(data) for read_pages in engines.values()}
        except (DocumentError, pypdf.errors.PyPdfError, pypdfium2.PdfiumError, ValueError, LookupError, TypeError):
            continue
        if len(counts) == 1 and pages < max_pages:
            kept.append(data)
            pages += counts.pop()
    if not kept:
        sys.exit("There is no PDF that all of them can read.")
    return kept, pages


async def pages_per_second(engine: Engine, files: list[bytes]) -> float:
    """Read all files, over and over for the quick engines: half a second is the least that says something."""
    began, pages = time.perf_counter(), 0
    while (elapsed_seconds := time.perf_counter() - began) < 0.5:
        for data in files:
            pages += await engine(data)
    return pages / elapsed_seconds


if __name__ == "__main__":
    asyncio.run(main())
