"""Mutates documents and gives them to the sandbox for some minutes; exit 1 with the smallest file that it fails on.

With folders, it also mutates the documents that are in them.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings

from shared.errors import ExtractionCrashedError
from shared.filetype import DOCX, PDF, TEXT
from tests.support.fuzzing import Trial, trial
from tests.support.mutations import SEEDS, Seed, mutated

_TYPES = {".pdf": PDF, ".docx": DOCX, ".txt": TEXT}
_EXAMPLES = 2_000
_MAX_BYTES = 300_000


def main() -> int:
    args = arguments()
    seeds = [*SEEDS, *(found for folder in args.folders for found in seeds_in(folder))]
    deadline = time.monotonic() + 60 * args.minutes
    with trial() as files:
        round_number = args.seed
        while time.monotonic() < deadline:
            if failed := failing(files, seeds, round_number):
                return report(failed, args.findings)
            round_number += 1
        ends = ", ".join(f"{count} {end}" for end, count in files.ends.most_common())
        print(f"{files.ends.total():,} files mutated from {len(seeds)}, none ends without its cause: {ends}")
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="*", type=Path, help="folders of documents to mutate, beside our own")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same files")
    parser.add_argument("--findings", type=Path, default=Path("fuzz-findings"), help="where a failing file is put")
    return parser.parse_args()


def seeds_in(folder: Path) -> list[Seed]:
    found = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in _TYPES and path.is_file()]
    small = [path for path in found if path.stat().st_size <= _MAX_BYTES]
    return [Seed(content_type=_TYPES[path.suffix.lower()], data=path.read_bytes()) for path in small]


def failing(files: Trial, seeds: list[Seed], number: int) -> tuple[str, bytes] | None:
    """Return the smallest file that hypothesis can make of one that fails, or None if none does."""
    last: list[tuple[str, bytes]] = []

    @seed(number)
    @settings(
        max_examples=_EXAMPLES,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(file=mutated(seeds))
    def attempt(file: tuple[str, bytes]) -> None:
        last[:] = [file]
        files.give(*file)

    try:
        attempt()
    except (AssertionError, ExtractionCrashedError):
        # Hypothesis runs the smallest last.
        return last[0]
    return None


def report(failed: tuple[str, bytes], folder: Path) -> int:
    content_type, data = failed
    ending = next(ending for ending, known in _TYPES.items() if known == content_type)
    folder.mkdir(exist_ok=True)
    path = folder / f"finding{ending}"
    path.write_bytes(data)
    print(f"{path} ({len(data)} bytes) ends without its cause", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
