"""The audit log: one line for whatever lets somebody in, keeps somebody out, or changes who may do what.

When, who and from where are on every line of a request. Never a secret, never what a user typed.
"""

from __future__ import annotations

from typing import Any, Literal

from shared import log

Action = Literal[
    "login",
    "refresh",
    "logout",
    "stream_ticket",
    "access",
    "user.add",
    "user.change",
    "document.delete",
    "admin_stream",
]
Result = Literal["accepted", "refused", "limited", "reused"]

_log = log.at_any_level(__name__)


def record(action: Action, result: Result, **facts: Any) -> None:
    _log.info("audit", action=action, result=result, **facts)
