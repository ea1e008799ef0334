"""`python -m worker_service`: the polling worker; with --check, one question to its model instead."""

from __future__ import annotations

import asyncio
import sys

from shared.process import run_service
from worker_service.check import check
from worker_service.serve import serve


def main() -> int:
    if sys.argv[1:] not in ([], ["--check"]):
        print("worker: takes no arguments but --check", file=sys.stderr)  # noqa: T201
        return 2
    return run_service("worker", check if sys.argv[1:] else serve, run=asyncio.run)


if __name__ == "__main__":
    sys.exit(main())
