"""JSON log lines: a dotted event name plus fields. Never document text, file names, tokens or whole events.

A trace id (W3C Trace Context) joins a request's lines to those of the worker that serves it later.
"""

from __future__ import annotations

import logging
import re
import secrets
import sys
import traceback
from contextlib import AbstractContextManager
from typing import TextIO

import structlog

_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
# A line is read from the left.
_FIRST = ("timestamp", "level", "event", "service")
_NOISY = ("aiobotocore", "botocore", "httpcore", "httpcore2", "httpx", "httpx2", "mangum", "openai", "uvicorn.access")


def configure(*, level: str, service: str, stream: TextIO = sys.stderr) -> None:
    """Send every log line of this process, the libraries' included, to `stream` as one JSON object."""
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _without_words,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _in_order,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    # Their lines repeat ours (one per request), name every credential look-up, or quote addresses, headers and bodies.
    for noisy in _NOISY:
        logging.getLogger(noisy).setLevel(logging.WARNING)
    structlog.contextvars.bind_contextvars(service=service)


def get(name: str) -> structlog.stdlib.BoundLogger:
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def at_any_level(name: str) -> structlog.stdlib.BoundLogger:
    """A logger whose lines are written even where `configure` was asked for warnings or errors alone."""
    logging.getLogger(name).setLevel(logging.INFO)
    everything = structlog.make_filtering_bound_logger(logging.INFO)
    logger: structlog.stdlib.BoundLogger = structlog.wrap_logger(
        None, wrapper_class=everything, logger_factory_args=(name,)
    )
    return logger


def bound(**fields: str | None) -> AbstractContextManager[None]:
    """Put these fields on every line that is logged inside, by whatever module."""
    return structlog.contextvars.bound_contextvars(**fields)


def identify(user_id: str) -> None:
    """Name the user on every further line, to the end of what `bound` has begun with a `user_id` of None."""
    structlog.contextvars.bind_contextvars(user_id=user_id)


def trace_id_of(traceparent: str | None) -> str:
    """The trace id of a `traceparent` header or field; a new one when there is none or it is malformed."""
    match = _TRACEPARENT.fullmatch(traceparent or "")
    return match[1] if match else secrets.token_hex(16)


def traceparent() -> str | None:
    """The `traceparent` to send along with what is done for the current request."""
    trace_id = structlog.contextvars.get_contextvars().get("trace_id")
    return f"00-{trace_id}-{secrets.token_hex(8)}-01" if trace_id else None


def request_id() -> str | None:
    found: str | None = structlog.contextvars.get_contextvars().get("request_id")
    return found


def _in_order(_logger: object, _method: str, line: structlog.types.EventDict) -> structlog.types.EventDict:
    return {**{name: line[name] for name in _FIRST if name in line}, **line}


def _without_words(_logger: object, _method: str, line: structlog.types.EventDict) -> structlog.types.EventDict:
    """Render an exception as types and frames: its message may quote a document, a name or a token."""
    given = line.pop("exc_info", None)
    error = sys.exc_info()[1] if given is True else given[1] if isinstance(given, tuple) else given
    if isinstance(error, BaseException):
        line["exception"] = [_frames(link) for link in _chain(error)]
    return line


def _chain(error: BaseException) -> list[BaseException]:
    """The error, what it came from, and what these are groups of."""
    chain = [error]
    for link in chain:
        members = link.exceptions if isinstance(link, BaseExceptionGroup) else ()
        chain += [one for one in (link.__cause__ or link.__context__, *members) if one and one not in chain]
    return chain


def _frames(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    places = " < ".join(f"{frame.filename}:{frame.lineno} {frame.name}" for frame in reversed(frames))
    return f"{type(error).__qualname__} at {places}"
