"""Schemathesis on a running embedded stack, all phases: no error of ours, no undocumented answer, no ignored token.

`make fuzz-api` runs it. What it reports is reproduced by the curl command beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

from tests.support.embedded import EmbeddedStack

_CHECKOUT = Path(__file__).resolve().parents[2]
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "allow_header_conformance",
    "ignored_auth",
    "use_after_free",
    "ensure_resource_availability",
)
# Streams that end soon, and no limit that would answer instead of the route.
SETTINGS = {
    "DOCRELAY_STREAM_SECONDS": "0.5",
    "DOCRELAY_ADMIN_STREAM_TICK_SECONDS": "0.1",
    "DOCRELAY_LOGIN_LIMIT_NAME": "off",
    "DOCRELAY_LOGIN_LIMIT_ADDRESS": "off",
}


def token(stack: EmbeddedStack) -> str:
    """An admin's, so that every route is let through to."""
    body = json.dumps({name: stack.credentials[name] for name in ("username", "password")}).encode()
    request = urllib.request.Request(f"{stack.base_url}/api/v1/auth/login", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return str(json.load(answer)["access_token"])


def command(stack: EmbeddedStack, given: argparse.Namespace) -> list[str]:
    program = Path(sys.executable).with_name("schemathesis")
    return [
        *(str(program), "run", f"{stack.base_url}/openapi.json"),
        *("--header", f"Authorization: Bearer {token(stack)}"),
        *("--phases", "examples,coverage,fuzzing,stateful", "--checks", ",".join(CHECKS)),
        *("--max-examples", str(given.examples), "--workers", "2"),
        *("--request-timeout", "30"),
        *(("--seed", str(given.seed)) if given.seed is not None else ()),
        *("--continue-on-failure", "--suppress-health-check", "all", "--warnings", "off", "--no-color"),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=20, help="examples for each operation and phase")
    parser.add_argument("--seed", type=int, help="the same seed gives the same requests; without one, others each time")
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="docrelay-fuzz-") as folder,
        EmbeddedStack(Path(folder) / "home", environment=SETTINGS) as stack,
    ):
        environment = {**os.environ, "PYTHONPATH": str(_CHECKOUT), "SCHEMATHESIS_HOOKS": "tests.chaos.fuzz_hooks"}
        return subprocess.run(command(stack, given), cwd=folder, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
