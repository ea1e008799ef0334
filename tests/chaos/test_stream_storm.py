"""A small storm; the large one is `make storm`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from shared.bootstrap import provision
from shared.settings import Settings
from tests.chaos.storm import Plan, storm

SMALL = Plan(
    clients=20,
    owners=2,
    processes=2,
    events=300,
    events_per_second=60,
    cut_seconds=(0.3, 1),
    kill_seconds=3,
    give_up_seconds=150,
)


# The emulator's DynamoDB answers a hundred requests a second, and a client that comes back needs three.
SMALLER = replace(SMALL, clients=6, events=100, cut_seconds=(1, 2))


@pytest.mark.parametrize(("store", "plan"), [("postgres", SMALL), ("dynamodb", SMALLER)], ids=["postgres", "dynamodb"])
async def test_no_client_misses_or_repeats_an_event_in_a_storm(
    own_settings: Settings, store: str, plan: Plan, tmp_path: Path
) -> None:
    settings = own_settings.model_copy(update={"store": store, "table": own_settings.bucket})
    await provision(settings)
    outcome = await storm(settings, plan, tmp_path)
    assert outcome.faults.total() == 0, outcome.faults
    assert outcome.feed_agrees
    assert outcome.cuts > 0
