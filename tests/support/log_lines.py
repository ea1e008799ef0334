"""The lines that this process logs, as the services write them."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from shared import log


@contextmanager
def logged(*, level: str = "info") -> Iterator[io.StringIO]:
    """Every line from now on, one JSON object each."""
    root, stream = logging.getLogger(), io.StringIO()
    before, level_before = root.handlers, root.level
    log.configure(level=level, service="tests", stream=stream)
    try:
        yield stream
    finally:
        log.configure(level="info", service="tests")
        root.handlers = before
        root.setLevel(level_before)
