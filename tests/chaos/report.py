"""Counts a history by category, in the words of Jepsen's queue checker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from shared.document import DocumentStatus
from tests.chaos.checker import Finding, ambiguous_windows
from tests.chaos.history import History

S = DocumentStatus
# Always printed, so that a zero can be seen.
_BREACHES = ("lost", "unexpected", "illegal", "stuck", "duplicated", "stale writes", "avoidable calls")


def counts(history: History, found: Sequence[Finding]) -> dict[str, int]:
    ends = Counter(life.document.status for life in history.lives.values())
    attempted = {answer.name for answer in history.asked("upload")}
    breaches = Counter(finding.kind for finding in found)
    return {
        "attempted": len(attempted),
        "acknowledged": len(history.kept("upload")),
        "completed": ends[S.COMPLETED],
        "failed": ends[S.FAILED],
        "cancelled": ends[S.CANCELLED],
        "deleted": len(history.kept("delete")),
        **{name: breaches.pop(name, 0) for name in _BREACHES},
        **breaches,
        "calls billed": len(history.billed),
        "ambiguous windows": ambiguous_windows(history),
        "claims": sum(entry.status is S.PROCESSING for life in history.lives.values() for entry in life.entries),
        "stream frames": sum(len(frames) for frames in history.seen.values()),
        **{f"{act}s" if act != "kill" else "kills": history.counted(act) for act in {a.what for a in history.acts}},
        **history.faults,
        **_seconds(history),
    }


def _seconds(history: History) -> dict[str, int]:
    """How long things took, at most, in milliseconds."""
    longest = {
        "slowest exit, ms": [stop.seconds for stop in history.stops],
        "slowest ready, ms": [recovery.ready_seconds for recovery in history.recoveries],
        "slowest recovery, ms": [recovery.seconds for recovery in history.recoveries],
    }
    return {name: round(1_000 * max(seconds)) for name, seconds in longest.items() if seconds}
