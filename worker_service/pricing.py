"""What calls to a model cost, in whole micro-USD. The prices are the operator's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Price:
    """USD per million tokens, which is micro-USD per token."""

    per_input: float
    per_output: float

    def micro_usd(self, *, input_tokens: int, output_tokens: int) -> int:
        return round(input_tokens * self.per_input + output_tokens * self.per_output)


def price_of(model: str, prices: Mapping[str, tuple[float, float]]) -> Price | None:
    """The price under the longest prefix of the model's name; None when there is none."""
    prefix = max((name for name in prices if model.startswith(name)), key=len, default=None)
    if prefix is None:
        return None
    per_input, per_output = prices[prefix]
    return Price(per_input=per_input, per_output=per_output)
