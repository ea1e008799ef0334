"""MiniStack as a child process: what of its data survives which end, as the stack's recovery relies on it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from mypy_boto3_s3 import S3Client
from mypy_boto3_sqs import SQSClient

from docrelay.embedded.emulator import Emulator
from tests.support.embedded import eventually

ACCESS: dict[str, Any] = {"region_name": "us-east-1", "aws_access_key_id": "test", "aws_secret_access_key": "test"}


@pytest.fixture
def emulator(tmp_path: Path) -> Iterator[Emulator]:
    with Emulator(folder=tmp_path) as started:
        yield started


@pytest.fixture
def sqs(emulator: Emulator) -> Iterator[SQSClient]:
    client = boto3.client("sqs", endpoint_url=emulator.url, **ACCESS)
    yield client
    client.close()


@pytest.fixture
def s3(emulator: Emulator) -> Iterator[S3Client]:
    client = boto3.client("s3", endpoint_url=emulator.url, **ACCESS)
    yield client
    client.close()


def kill(emulator: Emulator) -> None:
    os.kill(emulator.pid, signal.SIGKILL)
    eventually(lambda: not emulator.running, "the emulator is dead")


def queues(sqs: SQSClient) -> list[str]:
    return sqs.list_queues().get("QueueUrls", [])


def test_object_survives_a_kill(emulator: Emulator, s3: S3Client) -> None:
    s3.create_bucket(Bucket="kept")
    s3.put_object(Bucket="kept", Key="a/b.txt", Body=b"text")
    kill(emulator)
    emulator.start()
    assert s3.get_object(Bucket="kept", Key="a/b.txt")["Body"].read() == b"text"


@pytest.mark.parametrize("ended", [kill, Emulator.stop])
def test_queues_are_new_at_each_start(ended: Callable[[Emulator], None], emulator: Emulator, sqs: SQSClient) -> None:
    sqs.create_queue(QueueName="jobs")
    ended(emulator)
    emulator.start()
    assert queues(sqs) == []


def test_port_stays_the_same(emulator: Emulator) -> None:
    url = emulator.url
    kill(emulator)
    emulator.start()
    assert emulator.url == url
