"""P9: CPU that importing the API's Lambda function costs, against the libraries alone that any such function needs.

A fresh interpreter for each, with its caches warm. What the function imports when it opens its store counts as well.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import subprocess
import sys
from pathlib import Path

from benchmarks.rounds import Contender, interleaved

ROOT = Path(__file__).resolve().parents[1]
OURS = "the API's function"
BASELINE = "fastapi + mangum + aiobotocore + pydantic-settings"
EVERYTHING = "the API's function with all of Docrelay"
UNCOMPILED = "the API's function, compiled as it starts"
# structlog takes rich wherever it is installed, PyJWT cryptography, FastAPI pydantic.v1; in the bundle they are not.
_AS_IN_THE_BUNDLE = "import sys; sys.modules.update(dict.fromkeys(('rich', 'cryptography', 'pydantic.v1')));"
MODULES = {
    OURS: "api_service.lambda_handler, shared.adapters.dynamodb.documents",
    BASELINE: "fastapi, mangum, aiobotocore.session, pydantic_settings",
    EVERYTHING: "api_service.lambda_handler, shared.adapters.dynamodb.documents, openai, sqlalchemy.ext.asyncio, pypdf",
}


def importing(modules: str, times: int, *options: str) -> Contender:
    command = [sys.executable, *options, "-c", f"{_AS_IN_THE_BUNDLE} import {modules}"]

    def run() -> None:
        for _ in range(times):
            subprocess.run(command, cwd=ROOT, check=True)

    async def milliseconds() -> float:
        before = _cpu_seconds()
        await asyncio.to_thread(run)
        return (_cpu_seconds() - before) * 1000 / times

    return milliseconds


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--times", type=int, default=2, help="imports of each in each round")
    args = parser.parse_args()
    print(f"P9  {args.times} fresh interpreters for each in each round")
    contenders = {name: importing(modules, args.times) for name, modules in MODULES.items()}
    # As from a bundle without bytecode: none is found, and none is kept.
    contenders[UNCOMPILED] = importing(MODULES[OURS], args.times, "-B", "-X", "pycache_prefix=/nonexistent")
    figures = await interleaved(contenders, unit="ms of CPU", rounds=args.rounds)
    figures.show()
    figures.show_ratio(OURS, BASELINE, at_most=1.15)
    figures.show_ratio(EVERYTHING, BASELINE)
    figures.show_ratio(UNCOMPILED, OURS)


if __name__ == "__main__":
    asyncio.run(main())
