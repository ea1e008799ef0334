"""What a second job brings: files per second of `docrelay analyze --jobs 2` against `--jobs 1`, start-up included.

Without an argument it makes its own documents, which keep a processor busy; give it a folder of real ones.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.bench_docx import made_one as made_docx
from benchmarks.bench_extraction import made_one as made_pdf
from benchmarks.rounds import Contender, interleaved

ONE, TWO = "analyze --jobs 1", "analyze --jobs 2"
GOAL = 1.6


async def main() -> None:
    args = arguments()
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.folder or made(Path(scratch), copies=args.copies)
        files = sum(path.is_file() for path in folder.rglob("*"))
        print(f"jobs  {files} files on {os.cpu_count()} processors")
        contenders = {ONE: analyzing(folder, files, jobs=1), TWO: analyzing(folder, files, jobs=2)}
        figures = await interleaved(contenders, unit="files/s", rounds=args.rounds)
    figures.show()
    figures.show_ratio(TWO, ONE, at_least=GOAL)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="a folder of files for docrelay analyze")
    parser.add_argument("--copies", type=int, default=150, help="make that many documents of each kind")
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


def made(folder: Path, *, copies: int) -> Path:
    words = random.Random(1)
    for number in range(copies):
        (folder / f"{number}.pdf").write_bytes(made_pdf(words))
        (folder / f"{number}.docx").write_bytes(made_docx(words))
    return folder


def analyzing(folder: Path, files: int, *, jobs: int) -> Contender:
    command = (sys.executable, "-m", "docrelay", "analyze", "--json", "--jobs", str(jobs), str(folder))

    async def files_per_second() -> float:
        began = time.perf_counter()
        null = asyncio.subprocess.DEVNULL
        process = await asyncio.create_subprocess_exec(*command, stdout=null, stderr=null)
        # 1 says that some files failed, as real ones may.
        if await process.wait() not in {0, 1}:
            sys.exit("docrelay analyze does not run.")
        return files / (time.perf_counter() - began)

    return files_per_second


if __name__ == "__main__":
    asyncio.run(main())
