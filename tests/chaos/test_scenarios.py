"""Small versions of the chaos scenarios, with real processes. The full ones are `make chaos`."""

from __future__ import annotations

import random

import pytest

from tests.chaos.checker import ambiguous_windows, findings
from tests.chaos.history import History
from tests.chaos.live.ground import Ground, ground
from tests.chaos.live.scenarios import Scenario
from tests.chaos.live.scenarios.deliveries import Deliveries
from tests.chaos.live.scenarios.fifo import Fifo
from tests.chaos.live.scenarios.fire import Fire
from tests.chaos.live.scenarios.keys import Keys
from tests.chaos.live.scenarios.lost_replies import LostReplies
from tests.chaos.live.scenarios.zombies import Zombies

_DOCUMENTS = 30
FIRE = Fire(
    documents=_DOCUMENTS,
    owners=8,
    workers=2,
    apis=1,
    kill_every_seconds=3,
    delay_seconds=3,
    restart_seconds_min=2,
    restart_seconds_max=4,
    deletions=0.1,
    cancellations=0.1,
    listeners=2,
    strikes=6,
)


async def play(scenario: Scenario, on: Ground, chance: random.Random) -> History:
    """Run the scenario; whatever breaks an invariant fails the test."""
    history = await scenario.run(on, chance)
    assert findings(history) == []
    return history


def promised(history: History) -> int:
    """How many uploads were acknowledged; that each has ended is I1."""
    return len(history.kept("upload"))


async def test_under_fire_with_a_database_that_is_restarted_loses_nothing(chance: random.Random) -> None:
    async with ground("postgres") as on:
        history = await play(FIRE, on, chance)
    assert promised(history) == _DOCUMENTS
    assert history.counted("kill") >= 1
    assert history.counted("restart") >= 1


@pytest.mark.parametrize("store", ["dynamodb"])
async def test_under_fire_on_dynamodb_loses_nothing(small: Ground, chance: random.Random) -> None:
    history = await play(FIRE, small, chance)
    assert promised(history) == _DOCUMENTS
    assert history.counted("kill") >= 1


@pytest.mark.parametrize("store", ["postgres"])
async def test_first_claims_come_in_the_order_of_the_queue(small: Ground, chance: random.Random) -> None:
    scenario = Fifo(documents=_DOCUMENTS, owners=4, workers=2, kill_every_seconds=0, delay_seconds=2)
    history = await play(scenario, small, chance)
    assert promised(history) == _DOCUMENTS
    assert history.faults.get("duplicates", 0) > 0


@pytest.mark.parametrize("store", ["postgres"])
async def test_one_key_from_many_threads_is_one_run_and_one_answer(small: Ground, chance: random.Random) -> None:
    history = await play(Keys(threads=10, keys=4, apis=2), small, chance)
    assert len(history.keyed) == 2 * 4 * 12


@pytest.mark.parametrize("store", ["postgres"])
async def test_message_that_comes_five_times_is_paid_for_once(small: Ground, chance: random.Random) -> None:
    history = await play(Deliveries(documents=8, owners=4, workers=2, kill_every_seconds=4, kills=6), small, chance)
    told = history.faults
    assert told["duplicates"] >= 4 * 8
    assert told["call keys"] == promised(history) == 8
    assert len(history.billed) <= told["call keys"] + ambiguous_windows(history)
    assert told["micro-USD in journal"] == told["micro-USD in ledger"] + told["micro-USD in doubt"] > 0


# On PostgreSQL, tests/contracts/test_document_store.py loses the reply of every kind of write.
@pytest.mark.parametrize("store", ["dynamodb"])
async def test_lost_replies_fail_nothing_and_run_nothing_twice(small: Ground, chance: random.Random) -> None:
    history = await play(LostReplies(documents=_DOCUMENTS, owners=8, workers=1), small, chance)
    assert promised(history) == _DOCUMENTS
    assert history.faults["lost replies"] > 5


@pytest.mark.parametrize("store", ["postgres"])
async def test_writes_of_zombies_are_refused(small: Ground, chance: random.Random) -> None:
    history = await play(Zombies(zombies=5, concurrency=5), small, chance)
    assert history.faults["zombies"] >= 5
    assert history.faults["writes refused"] >= 5
