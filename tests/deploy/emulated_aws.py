"""An AWS on this machine to deploy to: MiniStack in an environment of its own, whose Lambda runs what is deployed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import boto3

from docrelay.embedded.emulator import Emulator

ROOT = Path(__file__).resolve().parents[2]
STACK = "docrelay"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_REGION": "us-east-1",
}


class EmulatedAWS(Emulator):
    """Functions run in the emulator's interpreter: nothing of ours may be installed beside it."""

    def command(self) -> Sequence[str]:
        return (str(ROOT / ".venv-emulator/bin/python"), "-m", "ministack")

    def environment(self) -> Mapping[str, str]:
        return {**super().environment(), "LAMBDA_EXECUTOR": "local"}

    def client(self, service: str) -> Any:
        return boto3.client(  # type: ignore[call-overload]
            service,
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def sam(self, *arguments: str) -> None:
        """Run the real SAM CLI against it. Its output appears only when it fails."""
        run(str(ROOT / ".venv-sam/bin/sam"), *arguments, AWS_ENDPOINT_URL=self.url)

    def outputs(self) -> dict[str, str]:
        stack = self.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"][0]
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    def function(self, logical_id: str) -> dict[str, Any]:
        """A deployed function's configuration."""
        names = self.client("lambda").list_functions()["Functions"]
        found: dict[str, Any] = next(one for one in names if one["FunctionName"].startswith(f"{STACK}-{logical_id}-"))
        return found


def run(*command: str, **environment: str) -> str:
    """Raises CalledProcessError, after showing what the command said."""
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **CREDENTIALS, "SAM_CLI_TELEMETRY": "0", **environment},
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        print(done.stdout)
    done.check_returncode()
    return done.stdout
