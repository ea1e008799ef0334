"""`python -m tests.chaos SCENARIO`: runs one scenario and prints its seed, its counts and every violation.

The exit code is 1 when there was one.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import random
import sys
import time
from datetime import UTC, datetime

import uvloop

from tests.chaos.checker import findings
from tests.chaos.live.ground import ground
from tests.chaos.live.scenarios import Scenario
from tests.chaos.live.scenarios.fifo import Fifo
from tests.chaos.live.scenarios.keys import Keys
from tests.chaos.live.scenarios.laptop import Laptop
from tests.chaos.live.scenarios.lost_replies import LostReplies
from tests.chaos.live.scenarios.rolling import Rolling
from tests.chaos.live.scenarios.storm import Storm
from tests.chaos.live.scenarios.zombies import Zombies
from tests.chaos.report import counts

SCENARIOS: dict[str, type[Scenario]] = {
    "storm": Storm,
    "fifo": Fifo,
    "keys": Keys,
    "lost-replies": LostReplies,
    "zombies": Zombies,
    "rolling": Rolling,
    "laptop": Laptop,
}


def main() -> int:
    options = _options()
    scenario = SCENARIOS[options.scenario](
        **{name: value for name, value in vars(options).items() if name not in {"scenario", "store", "seed"}}
    )
    # Of processes that are killed and servers that are away, libraries have much to say.
    logging.disable(logging.CRITICAL)
    return uvloop.run(_run(scenario, options))


async def _run(scenario: Scenario, options: argparse.Namespace) -> int:
    print(f"{options.scenario} on {options.store}, seed {options.seed}, {datetime.now(UTC):%Y-%m-%d}")
    began = time.monotonic()
    async with ground(options.store) as stands_on:
        history = await scenario.run(stands_on, random.Random(options.seed))
    found = findings(history)
    for name, count in counts(history, found).items():
        print(f"  {name:<22}{count:>7}")
    for finding in found:
        print(f"  {finding.invariant}: {finding.what}")
    print(f"  {'violations' if found else 'no violation'}, {time.monotonic() - began:.0f} s")
    return 1 if found else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parsers = parser.add_subparsers(dest="scenario", required=True)
    for name, scenario in SCENARIOS.items():
        sub = parsers.add_parser(name, help=scenario.__doc__)
        sub.add_argument("--store", choices=["postgres", "dynamodb"], default="postgres")
        sub.add_argument("--seed", type=int, default=random.randrange(1_000_000))
        for field in dataclasses.fields(scenario):
            if isinstance(field.default, int | float | str):
                flag = f"--{field.name.replace('_', '-')}"
                sub.add_argument(flag, type=type(field.default), default=field.default)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
