"""Broken rules for the model: what each of them breaks, and the ones that break nothing, with the reason."""

from __future__ import annotations

from dataclasses import dataclass

from tests.chaos.model import Exploration, Rules

STUCK = "stuck"


@dataclass(frozen=True, kw_only=True, slots=True)
class Mutant:
    """`breaks` is the begin of the violation that the search has to find."""

    rules: Rules
    breaks: str


MUTANTS = {
    "writes without the fence": Mutant(rules=Rules(writes_carry_fence=False), breaks="a stale write is accepted"),
    "writes without fence and status": Mutant(
        rules=Rules(writes_carry_fence=False, writes_expect_status=False), breaks="illegal: completed -> completed"
    ),
    "delete and cancel raise no fence, writes expect no status": Mutant(
        rules=Rules(taking_raises_fence=False, writes_expect_status=False), breaks="illegal: deleting -> completed"
    ),
    "no look at stored results": Mutant(
        rules=Rules(stored_result_is_used=False), breaks="a call begins although its result is stored"
    ),
    "no fence before paying": Mutant(
        rules=Rules(call_needs_fence=False), breaks="a call begins for a document that was taken away"
    ),
    "same deduplication id on resend": Mutant(rules=Rules(resend_has_new_id=False), breaks=STUCK),
    "message deleted at claim, same deduplication id on resend": Mutant(
        rules=Rules(acknowledge_last=False, resend_has_new_id=False), breaks=STUCK
    ),
    "pending is never due": Mutant(rules=Rules(sweep_looks_at_pending=False), breaks=STUCK),
    "processing and analyzing are never due": Mutant(rules=Rules(sweep_looks_at_working=False), breaks=STUCK),
}

HARMLESS = {
    "message deleted at claim (or before complete)": (
        Rules(acknowledge_last=False),
        "The sweep sends a new one when the lease has ended: it costs time, up to the resend's, and no document.",
    ),
    "writes carry the fence, and expect no status": (
        Rules(writes_expect_status=False),
        "Every move but its holder's own progress raises the fence, so the status says nothing more. A second line.",
    ),
    "delete and cancel raise no fence": (
        Rules(taking_raises_fence=False),
        "A worker's next write expects the status of its work. A second line; without both, see above.",
    ),
    "claims do not wait for the lease": (
        Rules(claim_waits_for_lease=False),
        "The fence keeps the loser out. It costs double work and ambiguous windows: what the lease is there to save.",
    ),
    "a late result is thrown away": (
        Rules(late_result_is_kept=False),
        "Its window counts as ambiguous either way. It costs the money of the second call.",
    ),
}


def finds(exploration: Exploration, breaks: str) -> bool:
    if breaks == STUCK:
        return exploration.stuck > 0
    return any(violation.startswith(breaks) for violation in exploration.broken)
