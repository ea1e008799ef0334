"""Failpoints: the process dies by SIGKILL right after a chosen call of a port.

All that a service reads, writes and sends goes through a port, so the calls of its ports are the boundaries of its
steps, and a new step is a new point by itself. Nothing of this is in the product.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any

from shared.bootstrap import Backends

# What these bring is a step only when they bring something.
_LOOKS = {"receive", "due"}
# A heartbeat is one step, however often it beats.
_BEATS = {"documents.extend_lease", "queue.extend"}


@dataclass(kw_only=True)
class Failpoints:
    """Notes every point in `passed`, and dies at `fatal`. The second call of the same kind is `<point> #2`."""

    fatal: str | None = None
    passed: list[str] = field(default_factory=list)
    times: Counter[str] = field(default_factory=Counter)

    def wrap(self, backends: Backends) -> Backends:
        """The same backends, with a point after every call."""
        ports = {one.name: _Port(one.name, getattr(backends, one.name), self._pass) for one in fields(backends)}
        return replace(backends, **ports)

    def _pass(self, point: str) -> None:
        self.times[point] += 1
        if self.times[point] > 1:
            if point in _BEATS:
                return
            point = f"{point} #{self.times[point]}"
        self.passed.append(point)
        if point == self.fatal:
            os.kill(os.getpid(), signal.SIGKILL)


class _Port:
    def __init__(self, name: str, port: Any, passing: Callable[[str], None]) -> None:
        self._name = name
        self._port = port
        self._pass = passing

    def __getattr__(self, method: str) -> Any:
        call = getattr(self._port, method)

        async def called(*given: Any, **named: Any) -> Any:
            answer = await call(*given, **named)
            if answer or method not in _LOOKS:
                self._pass(f"{self._name}.{method}{_what(method, given)}")
            return answer

        return called


def _what(method: str, given: tuple[Any, ...]) -> str:
    """What tells two calls of one method apart: where a move leads, which object is meant."""
    match method:
        case "apply":
            return f" {given[-1].after.status}"
        case "put" | "get" if isinstance(given[0], str):
            return f" {given[0].rsplit('/', 1)[1].split('-')[0]}"
        case _:
            return ""
