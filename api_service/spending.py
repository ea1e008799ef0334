"""What the API answers about what analyses have cost, as pydantic models."""

from __future__ import annotations

from datetime import date

from api_service.schemas import Schema
from shared.ledger import DayUsage


class DayUsageOut(Schema):
    """One day's calls to one model by one profile, or one arm of a split, as `<split>/<arm>`.

    Ambiguous calls are among them; what those cost nobody knows.
    """

    day: date
    model: str
    profile: str
    calls: int
    ambiguous: int
    cached: int
    input_tokens: int
    output_tokens: int
    cost_usd: float
    saved_usd: float

    @classmethod
    def of(cls, usage: DayUsage) -> DayUsageOut:
        facts = {name: getattr(usage, name) for name in cls.model_fields if not name.endswith("_usd")}
        return cls(**facts, cost_usd=usage.cost_micro_usd / 1_000_000, saved_usd=usage.saved_micro_usd / 1_000_000)


class UsageTotal(Schema):
    calls: int
    cached: int
    input_tokens: int
    output_tokens: int
    cost_usd: float
    saved_usd: float


class UsageOut(Schema):
    """Calls, tokens and cost by day and by model, newest first; days are UTC's."""

    since: date
    until: date
    items: list[DayUsageOut]
    total: UsageTotal
