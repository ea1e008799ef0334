"""`python -m tests.chaos SCENARIO`: runs one scenario and prints its seed, its counts and every violation.

`all` runs those of `make chaos` one after the other. The exit code is 1 when anything was violated.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import logging
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvloop

from tests.chaos import results
from tests.chaos.checker import findings
from tests.chaos.live.ground import ground
from tests.chaos.live.scenarios import Scenario
from tests.chaos.live.scenarios.deliveries import Deliveries
from tests.chaos.live.scenarios.fifo import Fifo
from tests.chaos.live.scenarios.fire import Fire
from tests.chaos.live.scenarios.keys import Keys
from tests.chaos.live.scenarios.laptop import Laptop
from tests.chaos.live.scenarios.lost_replies import LostReplies
from tests.chaos.live.scenarios.rolling import Rolling
from tests.chaos.live.scenarios.zombies import Zombies
from tests.chaos.model import Bounds, Rules, explore
from tests.chaos.report import counts

SCENARIOS: dict[str, type[Scenario]] = {
    "fire": Fire,
    "zombies": Zombies,
    "lost-replies": LostReplies,
    "keys": Keys,
    "deliveries": Deliveries,
    "rolling": Rolling,
    "fifo": Fifo,
    "laptop": Laptop,
}
# What `make chaos` runs.
ALL = (
    "fire --store dynamodb",
    "fire --store postgres",
    "zombies --store postgres",
    "zombies --store dynamodb",
    "fifo --store dynamodb --order global --kill-every-seconds 20",
    "fifo --store postgres --order owner",
    "rolling --store postgres",
    "rolling --store dynamodb",
    "lost-replies --store postgres",
    "lost-replies --store dynamodb",
    "keys --store postgres",
    "keys --store dynamodb",
    "deliveries --store postgres",
    "deliveries --store dynamodb",
    "model --kills 3 --lost-leases 2 --duplicates 2 --wishes 0",
    "laptop --store postgres",
)
_FILE = Path(__file__).resolve().parents[2] / "docs" / "results" / "chaos.txt"


def main() -> int:
    options = vars(_parser().parse_args())
    name, written = options.pop("scenario"), options.pop("write")
    if name == "all":
        with ThreadPoolExecutor(max_workers=options["at_once"]) as pool:
            return max(pool.map(_run, ALL))
    # Of processes that are killed and servers that are away, libraries have much to say.
    logging.disable(logging.CRITICAL)
    began = time.monotonic()
    lines, violated = _explore(**options) if name == "model" else uvloop.run(_play(name, **options))
    lines.append(f"{'VIOLATIONS' if violated else 'no violation'}, {time.monotonic() - began:.0f} s")
    print("\n".join(lines), flush=True)
    if written:
        command = " ".join(argument for argument in sys.argv[1:] if argument != "--write")
        results.keep(_FILE, command, [f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", *lines])
    return int(violated)


def _run(command: str) -> int:
    """One scenario in a process of its own; its result goes into the file as soon as there is one."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos", *command.split(), "--write"], check=False, capture_output=True, text=True
    )
    print(f"$ python -m tests.chaos {command}\n{done.stdout}{done.stderr if done.returncode else ''}", flush=True)
    return done.returncode


async def _play(name: str, *, store: str, seed: int, **parameters: Any) -> tuple[list[str], bool]:
    scenario = SCENARIOS[name](**parameters)
    playing = asyncio.current_task()
    assert playing is not None
    # Also when it is told to end, it leaves no process behind.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, playing.cancel)
    async with ground(store) as stands_on:
        history = await asyncio.wait_for(scenario.run(stands_on, random.Random(seed)), timeout=3_600)
    found = findings(history)
    lines = [f"seed {seed}", *(f"  {kind:<24}{count:>7}" for kind, count in counts(history, found).items())]
    return [*lines, *(f"  {one.invariant}: {one.what}" for one in found)], bool(found)


def _explore(**bounds: int) -> tuple[list[str], bool]:
    found = explore(Rules(), Bounds(**bounds))
    lines = [f"  states                  {found.states:>9}", f"  stuck                   {found.stuck:>9}"]
    return [*lines, *(f"  {violation}: {count}" for violation, count in found.broken.items())], bool(
        found.broken or found.stuck
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parsers = parser.add_subparsers(dest="scenario", required=True)
    _add(parsers, "all", None).add_argument("--at-once", type=int, default=2)
    _add(parsers, "model", Bounds)
    for name, scenario in SCENARIOS.items():
        sub = _add(parsers, name, scenario)
        sub.add_argument("--store", choices=["postgres", "dynamodb"], default="postgres")
        sub.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    return parser


def _add(parsers: Any, name: str, parameters: Any) -> argparse.ArgumentParser:
    """A subcommand with a flag for each field of a dataclass."""
    sub: argparse.ArgumentParser = parsers.add_parser(name, help=parameters and parameters.__doc__.splitlines()[0])
    sub.add_argument("--write", action="store_true", help="put the result into docs/results/chaos.txt")
    for field in dataclasses.fields(parameters) if parameters else ():
        sub.add_argument(f"--{field.name.replace('_', '-')}", type=type(field.default), default=field.default)
    return sub


if __name__ == "__main__":
    sys.exit(main())
