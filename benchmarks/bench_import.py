"""P9: CPU that importing the API's Lambda function costs, against the libraries alone that any such function needs.

Both are imported from the function's bundle, made as `sam build` makes it, by a fresh interpreter that sees nothing
else and ends right there: what it would tidy up is no part of a start. What the function imports when it opens its
store counts as well.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.rounds import Contender, interleaved

ROOT = Path(__file__).resolve().parents[1]
OURS = "the API's function"
BASELINE = "fastapi + mangum + aiobotocore + pydantic-settings"
UNCOMPILED = "the API's function, compiled as it starts"
MODULES = {
    OURS: "api_service.lambda_handler, shared.adapters.dynamodb.documents",
    BASELINE: "fastapi, mangum, aiobotocore.session, pydantic_settings",
}


def make_bundle(python: str, bundle: str) -> None:
    version = subprocess.check_output([python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], text=True)
    # What compiles the bundle is looked for on the path.
    path = f"{Path(python).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"ARTIFACTS_DIR": bundle, "LOCAL_PYTHON": version.strip(), "PATH": path}
    command = ["infra/bundle.sh", "lambda-api", "api_service", "shared"]
    subprocess.run(command, cwd=ROOT, check=True, env=environment, stdout=subprocess.DEVNULL)


def importing(modules: str, python: str, bundle: str, times: int, *options: str) -> Contender:
    command = [python, "-S", *options, "-c", f"import os, {modules}; os._exit(0)"]

    def run() -> None:
        for _ in range(times):
            subprocess.run(command, cwd=bundle, check=True)

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
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--times", type=int, default=2, help="imports of each in each round")
    parser.add_argument("--python", default=sys.executable, help="the interpreter, and the one of the bundle")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as bundle:
        make_bundle(args.python, bundle)
        given = (args.python, bundle, args.times)
        contenders = {name: importing(modules, *given) for name, modules in MODULES.items()}
        # As from a bundle without bytecode: none is found, and none is kept.
        contenders[UNCOMPILED] = importing(MODULES[OURS], *given, "-B", "-X", "pycache_prefix=/nonexistent")
        print(f"P9  {args.times} fresh interpreters for each in each round")
        figures = await interleaved(contenders, unit="ms of CPU", rounds=args.rounds)
    figures.show()
    figures.show_ratio(OURS, BASELINE, at_most=1.15)
    figures.show_ratio(UNCOMPILED, OURS)


if __name__ == "__main__":
    asyncio.run(main())
