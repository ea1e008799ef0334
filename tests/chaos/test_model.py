"""The protocol holds in every order of steps and faults within bounds; every rule that matters is needed."""

from __future__ import annotations

import pytest

from tests.chaos.model import Bounds, Rules, explore
from tests.chaos.model_mutants import HARMLESS, MUTANTS, finds

BOUNDS = [Bounds(deletes=0), Bounds(kills=1), Bounds(workers=3, kills=1, wishes=0, deletes=0)]
# Small, so that each mutant takes less than a second.
SMALL = Bounds(kills=1, wishes=0)


def test_protocol_holds_in_a_hundred_thousand_states() -> None:
    explorations = [explore(Rules(), bounds) for bounds in BOUNDS]
    assert [found.broken for found in explorations] == [{}] * len(BOUNDS)
    assert [found.stuck for found in explorations] == [0] * len(BOUNDS)
    assert sum(found.states for found in explorations) >= 100_000


@pytest.mark.parametrize("name", MUTANTS)
def test_broken_rule_is_noticed(name: str) -> None:
    mutant = MUTANTS[name]
    found = explore(mutant.rules, SMALL)
    assert finds(found, mutant.breaks), found


@pytest.mark.parametrize("name", HARMLESS)
def test_second_line_breaks_nothing_by_itself(name: str) -> None:
    rules, reason = HARMLESS[name]
    found = explore(rules, SMALL)
    assert (found.broken, found.stuck) == ({}, 0), reason
