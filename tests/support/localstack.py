"""LocalStack 4.14.0 from its package, without Docker: S3 and SQS. `make test-localstack` makes its environment."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from docrelay.embedded.child import answers
from docrelay.embedded.emulator import Emulator

PROGRAMS = Path(__file__).resolve().parents[2] / ".venv-localstack" / "bin"


class LocalStack(Emulator):
    # It goes on for minutes after SIGTERM.
    stop_signal = signal.SIGKILL

    def prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)

    def command(self) -> Sequence[str]:
        return (str(PROGRAMS / "python"), "-m", "localstack.runtime.main")

    def environment(self) -> Mapping[str, str]:
        return {
            "PATH": os.defpath,
            "HOME": str(self.folder),
            "TMPDIR": str(self.folder),
            "LANG": "C.UTF-8",
            "SERVICES": "s3,sqs",
            "GATEWAY_LISTEN": f"127.0.0.1:{self.port}",
            # Its default server listens on every interface, whatever it is told.
            "GATEWAY_SERVER": "hypercorn",
            "LOCALSTACK_HOST": f"127.0.0.1:{self.port}",
            "DISABLE_EVENTS": "1",
            "SKIP_SSL_CERT_DOWNLOAD": "1",
        }

    def is_ready(self) -> bool:
        return self.running and answers(self.port, "/_localstack/health")
