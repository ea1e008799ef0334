"""Runs contenders in turn, round after round, and prints their ratios. Knows nothing of what they do.

A ratio is taken within each round, so that a machine that is busy for a while slows both sides of it.
"""

from __future__ import annotations

import statistics
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

Contender = Callable[[], Awaitable[float]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """What each contender measured in each round."""

    unit: str
    rounds: Mapping[str, Sequence[float]] = field(default_factory=dict)

    def show(self) -> None:
        for name, values in self.rounds.items():
            print(f"  {name:<46} {_spread(values, digits=1)} {self.unit}")

    def show_ratio(
        self, ours: str, baseline: str, *, at_least: float | None = None, at_most: float | None = None
    ) -> None:
        ratios = [one / other for one, other in zip(self.rounds[ours], self.rounds[baseline], strict=True)]
        print(f"  {f'{ours} / {baseline}':<46} {_spread(ratios, digits=2)}{_verdict(ratios, at_least, at_most)}")


async def interleaved(contenders: Mapping[str, Contender], *, unit: str, rounds: int) -> Figures:
    """Measure every contender once a round, in an order that turns, after a round that does not count."""
    names = list(contenders)
    measured: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds + 1):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            value = await contenders[name]()
            if number:
                measured[name].append(value)
    return Figures(unit=unit, rounds=measured)


def _spread(values: Sequence[float], *, digits: int) -> str:
    low, high = min(values), max(values)
    return f"{statistics.median(values):9.{digits}f}  ({low:.{digits}f} to {high:.{digits}f} in {len(values)} rounds)"


def _verdict(ratios: Sequence[float], at_least: float | None, at_most: float | None) -> str:
    median = statistics.median(ratios)
    if at_least is not None:
        return f"  goal >= {at_least:g}: {'met' if median >= at_least else 'MISSED'}"
    if at_most is not None:
        return f"  goal <= {at_most:g}: {'met' if median <= at_most else 'MISSED'}"
    return ""
