"""P4: a thousand uploads of 10 MB at once to one API process: errors, memory for each connection, bytes spooled.

The S3 keeps nothing. The baseline, FastAPI's UploadFile with boto3's put_object, gets the same crowd afterwards.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from benchmarks.bench_upload import BASELINE, BOUNDARY, OURS, form, log_in, null_s3, other_api
from benchmarks.testbed import api, backends, scratch, set_up

_GOAL_MEGABYTES = 0.35
_PIECE_BYTES = 262_144
# A crowd connects within a moment, not within one backlog of the kernel.
_CONNECTING_AT_ONCE = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Crowd:
    """What the clients saw, and what it cost the server. Memory is in MB over what it had before."""

    answers: Counter[str]
    seconds: float
    peak_megabytes: float
    written_megabytes: float

    def show(self, name: str, clients: int) -> None:
        said = ", ".join(f"{count} x {answer}" for answer, count in self.answers.most_common())
        print(
            f"  {name:<30} {said}; {self.seconds:.0f} s; {self.peak_megabytes / clients:.2f} MB of memory a connection"
            f" ({self.peak_megabytes:.0f} in all); {self.written_megabytes:.0f} MB written to disk",
            flush=True,
        )


async def crowd(pid: int, port: int, request: Sequence[bytes], *, clients: int, timeout_seconds: float) -> Crowd:
    process, connecting, began = psutil.Process(pid), asyncio.Semaphore(_CONNECTING_AT_ONCE), time.monotonic()
    before, written = process.memory_info().rss, process.io_counters().write_bytes

    async def client() -> str:
        try:
            async with asyncio.timeout(timeout_seconds):
                return await upload(port, request, connecting)
        except (OSError, TimeoutError) as exc:
            return type(exc).__name__

    sizes = [before]
    watch = asyncio.create_task(watch_memory(process, sizes))
    answers = Counter(await asyncio.gather(*(client() for _ in range(clients))))
    seconds = time.monotonic() - began
    watch.cancel()
    return Crowd(
        answers=answers,
        seconds=seconds,
        peak_megabytes=(max(sizes) - before) / 1e6,
        written_megabytes=(process.io_counters().write_bytes - written) / 1e6,
    )


async def watch_memory(process: psutil.Process, sizes: list[int]) -> None:
    while True:
        sizes.append(process.memory_info().rss)
        await asyncio.sleep(0.05)


async def upload(port: int, request: Sequence[bytes], connecting: asyncio.Semaphore) -> str:
    """The status of the answer."""
    async with connecting:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in request:
            writer.write(piece)
            await writer.drain()
        status = (await reader.readline()).decode().split()
        return status[1] if len(status) > 1 else "no answer"
    finally:
        writer.transport.abort()


def request_of(path: str, token: str, body: bytes) -> list[bytes]:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n"
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return [head.encode(), *(body[at : at + _PIECE_BYTES] for at in range(0, len(body), _PIECE_BYTES))]


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--megabytes", type=int, default=10)
    parser.add_argument("--timeout-seconds", type=float, default=300)
    args = parser.parse_args()
    body = form(args.megabytes * 1_000_000)
    crowd_size = {"clients": args.clients, "timeout_seconds": args.timeout_seconds}
    print(f"P4  {args.clients} uploads of {args.megabytes} MB at once, each given {args.timeout_seconds:g} s")
    with scratch() as folder, backends(folder) as settings, null_s3(settings, folder) as s3:
        await set_up(settings)
        with api(settings.model_copy(update={"aws_endpoint_url": s3}), folder) as ours:
            request = request_of("/api/v1/documents", log_in(settings.port), body)
            result = await crowd(ours.pid, settings.port, request, **crowd_size)
        result.show(OURS, args.clients)
        with other_api(s3, folder) as other:
            (await crowd(other.pid, other.port, request_of("/documents", "", body), **crowd_size)).show(
                BASELINE, args.clients
            )
    met = result.answers["202"] == args.clients and result.peak_megabytes / args.clients <= _GOAL_MEGABYTES
    print(f"  goal: no error, <= {_GOAL_MEGABYTES} MB a connection, nothing spooled: {'met' if met else 'MISSED'}")


if __name__ == "__main__":
    asyncio.run(main())
