"""`python -m worker_service`: the polling worker.

Every child process of the sandbox imports this module's name again: nothing heavy may stand at the top.
"""

from __future__ import annotations

import asyncio
import sys


def main() -> int:
    from shared import log  # noqa: PLC0415
    from shared.errors import BackendUnavailableError, ConfigurationError  # noqa: PLC0415
    from shared.settings import Settings  # noqa: PLC0415
    from worker_service.serve import serve  # noqa: PLC0415

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
