"""`python -m worker_service`: the polling worker."""

from __future__ import annotations

import asyncio
import sys

from shared.process import run_service
from worker_service.serve import serve


def main() -> int:
    return run_service("worker", serve, run=asyncio.run)


if __name__ == "__main__":
    sys.exit(main())
