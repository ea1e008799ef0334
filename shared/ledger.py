"""Paid calls: what identifies one, how it stands, what it came to, and the answer that is kept. Pure.

The rules are in docs/delivery.md, "Paying once".
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

ANSWER_KEPT_FOR = timedelta(days=30)
# More than a year, for a comparison with the year before.
DAYS_KEPT_FOR = timedelta(days=400)


class CallState(StrEnum):
    """How a call stands. An intent that nobody settled by its `until` is as good as ambiguous."""

    INTENT = "intent"
    DONE = "done"
    ERROR = "error"
    # Perhaps billed: its answer was lost, with or without the worker that waited for it.
    AMBIGUOUS = "ambiguous"
    # No call at all: the document was served by a kept answer.
    CACHED = "cached"


class Admission(StrEnum):
    """What the ledger says to a call that somebody wants to make."""

    ACCEPTED = "accepted"
    FENCED = "fenced"
    STORED = "stored"
    IN_FLIGHT = "in_flight"
    BUDGET_HELD = "budget_held"
    BUDGET_SPENT = "budget_spent"


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One call to a model for one document, from the intent to the bill.

    `reserved_micro_usd` is the most that it may cost; `cost_micro_usd` is None until it is settled, or when the model
    has no price, or the API did not say what it counted. `profile` is the profile, or the arm of a split, that asked;
    `error` is the public code of what went wrong.
    """

    id: UUID
    owner: UUID
    document_id: UUID
    run: int
    fence: int
    call_key: str
    model: str
    profile: str = "default"
    started_at: datetime
    until: datetime
    state: CallState = CallState.INTENT
    reserved_micro_usd: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_micro_usd: int | None = None
    error: str | None = None
    ended_at: datetime | None = None

    @property
    def day(self) -> date:
        """The day, in UTC, whose budget it is charged to."""
        return self.started_at.date()

    @property
    def committed_micro_usd(self) -> int:
        """What to reckon with: the bill, or the reservation where there is none."""
        return self.reserved_micro_usd if self.cost_micro_usd is None else self.cost_micro_usd

    def superseded_by(self, other: Call) -> bool:
        """Whether this intent is over because `other`'s worker holds the document now, or its time has run out."""
        own = self.document_id == other.document_id
        return (own and self.fence < other.fence) or self.until <= other.started_at


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredAnswer:
    """An answer that was paid for, kept for its owner under the key of its call."""

    call_id: UUID
    answer: str
    model: str
    input_tokens: int
    output_tokens: int
    cost_micro_usd: int | None
    expires_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class DayUsage:
    """What a day's calls to one model by one profile came to. `cached` are the results that needed none, and `saved`
    what they cost before; ambiguous calls are among the calls, but what they cost nobody knows."""

    day: date
    model: str
    profile: str = "default"
    calls: int = 0
    ambiguous: int = 0
    cached: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_micro_usd: int = 0
    saved_micro_usd: int = 0


def call_key(*, model: str, prompt_version: str, schema_version: str, parameters: Mapping[str, Any], text: str) -> str:
    """Everything that an answer depends on, as one hash: the same key is the same question."""
    text_hash = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    parts = [model, prompt_version, schema_version, parameters, text_hash]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
