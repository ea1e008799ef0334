"""P3: the API's CPU for each megabyte uploaded, against FastAPI's UploadFile with boto3's put_object.

Both are uvicorn processes of their own with the same S3, which keeps nothing. Ours also authenticates, looks at the
type, writes rows and sends a message to the queue; the baseline hashes and puts, and does nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import http.client
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import boto3
import psutil
from fastapi import FastAPI, File, UploadFile

from benchmarks.rounds import interleaved
from benchmarks.testbed import USER, Program, api, backends, scratch, set_up
from shared.settings import Settings

OURS = "Docrelay's API"
BASELINE = "UploadFile + boto3 put_object"
BOUNDARY = "a-boundary-of-the-benchmark"


def baseline() -> FastAPI:
    """The application that most would write; uvicorn calls this in its own process."""
    app = FastAPI()
    s3 = boto3.client("s3", endpoint_url=os.environ["NULL_S3"], region_name="us-east-1")

    @app.get("/livez")
    def live() -> str:
        return "ok"

    @app.post("/documents")
    def upload(file: Annotated[UploadFile, File()]) -> dict[str, str]:
        data = file.file.read()
        digest = hashlib.sha256(data).hexdigest()
        s3.put_object(Bucket="documents", Key=digest, Body=data, ContentType=file.content_type or "")
        return {"id": digest}

    return app


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """One server and what is uploaded to it in each round."""

    pid: int
    port: int
    path: str
    token: str = ""
    megabytes: int
    uploads: int

    async def cpu_per_megabyte(self) -> float:
        body = form(self.megabytes * 1_000_000)
        headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}", "Authorization": f"Bearer {self.token}"}
        before = cpu_seconds(self.pid)
        with ThreadPoolExecutor(max_workers=4) as clients:
            sent = [clients.submit(post, self.port, self.path, body, headers) for _ in range(self.uploads)]
            await asyncio.gather(*map(asyncio.wrap_future, sent))
        return (cpu_seconds(self.pid) - before) * 1000 / (self.uploads * self.megabytes)


async def main() -> None:
    args = arguments()
    size = {"megabytes": args.megabytes, "uploads": args.uploads}
    with scratch() as folder, backends(folder) as settings, null_s3(settings, folder) as s3:
        await set_up(settings)
        with api(settings.model_copy(update={"aws_endpoint_url": s3}), folder) as ours, other_api(s3, folder) as other:
            target = Target(
                pid=ours.pid, port=settings.port, path="/api/v1/documents", token=log_in(settings.port), **size
            )
            baseline_target = Target(pid=other.pid, port=other.port, path="/documents", **size)
            contenders = {OURS: target.cpu_per_megabyte, BASELINE: baseline_target.cpu_per_megabyte}
            print(f"P3  {args.uploads} uploads of {args.megabytes} MB in each round, four at a time")
            figures = await interleaved(contenders, unit="ms of CPU per MB", rounds=args.rounds)
    figures.show()
    figures.show_ratio(OURS, BASELINE, at_most=0.45)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=10)
    parser.add_argument("--uploads", type=int, default=16, help="in each round")
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


@contextmanager
def null_s3(settings: Settings, folder: Path) -> Iterator[str]:
    """The URL of an S3 that keeps nothing, and passes the queue's requests on to the emulator."""
    behind = settings.aws_endpoint_url or ""
    with Program("benchmarks.null_s3", "--behind", behind, folder=folder, path="/_ministack/health") as program:
        yield f"http://127.0.0.1:{program.port}"


def other_api(s3: str, folder: Path) -> Program:
    environment = {"NULL_S3": s3, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    command = ("uvicorn", "--factory", "benchmarks.bench_upload:baseline", "--no-access-log")
    return Program(*command, folder=folder, path="/livez", environment=environment)


def form(size_bytes: int) -> bytes:
    line = b"The turbine hall was inspected in March, and every valve of the harbour pumps needs oil.\n"
    text = (line * (size_bytes // len(line) + 1))[:size_bytes]
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="report.txt"\r\n'
    return head.encode() + b"Content-Type: text/plain\r\n\r\n" + text + f"\r\n--{BOUNDARY}--\r\n".encode()


def log_in(port: int) -> str:
    body = json.dumps({"username": USER[0], "password": USER[1]}).encode()
    answer = post(port, "/api/v1/auth/login", body, {"Content-Type": "application/json"})
    token: str = json.loads(answer)["access_token"]
    return token


def post(port: int, path: str, body: bytes, headers: dict[str, str]) -> bytes:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        assert answer.status in {200, 202}, content
        return content


def cpu_seconds(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


if __name__ == "__main__":
    asyncio.run(main())
