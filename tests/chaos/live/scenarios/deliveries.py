"""Every message delivered several times while workers are killed: what that costs, to the micro-dollar."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from dataclasses import dataclass, replace

from shared.ledger import Call, CallState
from tests.chaos.history import Billed, History
from tests.chaos.live.fault_proxy import Faults
from tests.chaos.live.ground import Ground
from tests.chaos.live.recorder import text_of
from tests.chaos.live.stage import names, stage
from tests.chaos.live.waiting import holds
from worker_service.pricing import price_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Deliveries:
    """Each message comes `copies` times more than the queue delivers it, within seconds, to whoever asks."""

    documents: int = 200
    copies: int = 4
    owners: int = 8
    workers: int = 3
    concurrency: int = 2
    kill_every_seconds: float = 2.0
    kills: int | None = None
    seconds: float = 900.0

    async def run(self, ground: Ground, chance: random.Random) -> History:
        faults = Faults(copies=self.copies)
        async with stage(
            ground,
            chance,
            apis=1,
            workers=self.workers,
            owners=self.owners,
            faults=faults,
            concurrency=self.concurrency,
        ) as on:
            on.model_takes(0.1, 0.5, calls=3 * self.documents)
            async with on.killing(self.kill_every_seconds, at_most=self.kills):
                files = names(self.documents, self.owners)
                await asyncio.gather(*(on.users[owner].upload(name, text_of(name)) for owner, name in files))
                await on.until_ended(seconds=self.seconds)
            await on.cluster.until_all_run()
            await holds(lambda: not on.cluster.proxy.waiting, seconds=60)
            history = await on.history(quiet_seconds=60)
        prices = ground.settings.llm_prices
        return replace(history, faults={**history.faults, **money(history.ledger, history.billed, prices)})


def money(ledger: Iterable[Call], billed: Iterable[Billed], prices: dict[str, tuple[float, float]]) -> dict[str, int]:
    """What the provider's journal asks for, and what the ledger knows of it."""
    rows = {str(call.id): call for call in ledger}
    asked = {one.id: _micro_usd(one, rows[one.id].model, prices) for one in billed if one.id in rows}
    done = {name for name, call in rows.items() if call.state is CallState.DONE}
    return {
        "call keys": len({(call.owner, call.call_key) for call in rows.values()}),
        "micro-USD in journal": sum(asked.values()),
        "micro-USD in ledger": sum(rows[name].cost_micro_usd or 0 for name in done),
        "micro-USD in doubt": sum(cost for name, cost in asked.items() if name not in done),
    }


def _micro_usd(billed: Billed, model: str, prices: dict[str, tuple[float, float]]) -> int:
    price = price_of(model, prices)
    assert price is not None
    return price.micro_usd(input_tokens=billed.input_tokens, output_tokens=billed.output_tokens)
