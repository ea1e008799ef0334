"""The init script for people who run LocalStack alone makes exactly what `docrelay bootstrap` makes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import boto3
import pytest

from docrelay.embedded.emulator import Emulator
from shared.bootstrap import provision
from shared.settings import Settings
from tests.support.localstack import PROGRAMS

SCRIPT = Path(__file__).parents[2] / "localstack" / "init" / "ready.d" / "init_sqs.sh"


def client(emulator: Emulator, service: str) -> Any:
    return boto3.client(  # type: ignore[call-overload]
        service,
        endpoint_url=emulator.url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


def made(emulator: Emulator, name: str) -> dict[str, Any]:
    """What bucket and queues named `name` are like; their name, and what no two of them share, left out."""
    sqs, s3 = client(emulator, "sqs"), client(emulator, "s3")
    found: dict[str, Any] = {}
    for queue in (f"{name}.fifo", f"{name}-dead.fifo"):
        url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
        attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        kept = {key: value for key, value in attributes.items() if "Timestamp" not in key}
        found[queue.replace(name, "")] = {key: value.replace(name, "") for key, value in kept.items()}
    found["access"] = s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"]
    return found


def run_script(emulator: Emulator, name: str) -> None:
    environment = {
        "PATH": f"{PROGRAMS}:{os.defpath}",
        "AWS_ENDPOINT_URL": emulator.url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "DOCRELAY_BUCKET": name,
        "DOCRELAY_QUEUE_NAME": name,
    }
    done = subprocess.run(["bash", SCRIPT], env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("times", [1, 2])
async def test_script_makes_what_bootstrap_makes(emulator: Emulator, stack_settings: Settings, times: int) -> None:
    by_script, by_bootstrap = f"script-{times}", f"bootstrap-{times}"
    for _ in range(times):
        run_script(emulator, by_script)
    await provision(stack_settings.model_copy(update={"bucket": by_bootstrap, "queue_name": by_bootstrap}))
    assert made(emulator, by_script) == made(emulator, by_bootstrap)
