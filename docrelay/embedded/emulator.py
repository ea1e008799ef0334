"""MiniStack, the AWS emulator, as a child process on loopback with its data in one folder."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from docrelay.embedded.child import Child, answers, free_port
from shared.errors import ConfigurationError


class Emulator(Child):
    """S3, SQS and DynamoDB on `url`; the port stays the same over restarts.

    Objects are on disk as they come. Tables are saved by a graceful stop only: after a kill they are as they were at
    the last start. Queues are new at each start: who makes them sees that, and has every message sent again.
    """

    def __init__(self, *, folder: Path, port: int | None = None, log_path: Path | None = None) -> None:
        super().__init__(role="emulator", log_path=log_path or folder / "emulator.log")
        self.folder = folder.resolve()
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def prepare(self) -> None:
        if importlib.util.find_spec("ministack") is None:
            raise ConfigurationError("MiniStack is not installed. Install: pip install 'docrelay[embedded]'")
        for name in ("state", "s3", "tmp"):
            (self.folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        # A graceful stop has saved the queues, by URLs with the port of then: brought back they would be there for
        # whoever asks whether there is such a queue, and for nobody else.
        (self.folder / "state" / "sqs.json").unlink(missing_ok=True)

    def command(self) -> Sequence[str]:
        return (sys.executable, "-m", "ministack")

    def environment(self) -> Mapping[str, str]:
        return {
            "PATH": os.defpath,
            "LANG": "C.UTF-8",
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(self.port),
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "PERSIST_STATE": "1",
            "S3_PERSIST": "1",
            "STATE_DIR": str(self.folder / "state"),
            "S3_DATA_DIR": str(self.folder / "s3"),
            "TMPDIR": str(self.folder / "tmp"),
            # It removes the containers of other MiniStacks when it finds a Docker daemon.
            "DOCKER_HOST": f"unix://{self.folder / 'tmp' / 'no-docker'}",
            "LOG_LEVEL": "WARNING",
        }

    def is_ready(self) -> bool:
        return self.running and answers(self.port, "/_ministack/health")
