"""The frame of every process of ours: settings, log, and an error at start as one line and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from typing import Any

from shared import log
from shared.adapters.secrets import resolved
from shared.errors import BackendUnavailableError, ConfigurationError
from shared.settings import Settings

_log = log.get(__name__)

Run = Callable[[Coroutine[Any, Any, None]], None]


def run_service(name: str, serve: Callable[[Settings], Coroutine[Any, Any, None]], *, run: Run) -> int:
    """Run `serve` with the settings of the environment; returns the exit code.

    0, 2 for a configuration that will not do, 3 for a backend that does not answer, 1 for a bug.
    """
    try:
        settings = resolved(Settings.load())
        log.configure(level=settings.log_level, service=name)
        for variable in Settings.unknown():
            _log.warning("settings.unknown", variable=variable)
        run(serve(settings))
    except (BackendUnavailableError, ConfigurationError) as exc:
        print(f"{name}: {exc}", file=sys.stderr)  # noqa: T201
        return 2 if isinstance(exc, ConfigurationError) else 3
    except Exception as exc:  # noqa: BLE001 - Python itself would print its words, which may be a document's
        _log.exception("process.failed", cause=type(exc).__name__)
        return 1
    return 0
