"""`python -m worker_service`: the polling worker."""

from __future__ import annotations

import asyncio
import sys

from shared import log
from shared.errors import BackendUnavailableError, ConfigurationError
from shared.settings import Settings
from worker_service.serve import serve


def main() -> int:
    try:
        settings = Settings.load()
        log.configure(level=settings.log_level, service="worker")
        asyncio.run(serve(settings))
    except (BackendUnavailableError, ConfigurationError) as exc:
        print(f"worker: {exc}", file=sys.stderr)  # noqa: T201
        return 2 if isinstance(exc, ConfigurationError) else 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
