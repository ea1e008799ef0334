"""AWS's own runtime client on a built bundle, with a Runtime API around it that hands it one event after the other."""

from __future__ import annotations

import json
import queue
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.deploy.emulated_aws import ROOT

_NEXT = "/2018-06-01/runtime/invocation/next"
_GIVE_UP_SECONDS = 60


@dataclass
class RuntimeAPI:
    """Events go in, answers come out; an error of the handler comes out as its message."""

    seconds: float = 30
    events: queue.Queue[Any] = field(default_factory=queue.Queue)
    answers: queue.Queue[Any] = field(default_factory=queue.Queue)

    def invoke(self, event: dict[str, Any]) -> Any:
        self.events.put(event)
        return self.answers.get(timeout=_GIVE_UP_SECONDS)


def _handler(api: RuntimeAPI) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Header and body are two writes, which would wait for each other.
        wbufsize = -1

        def handle(self) -> None:
            # The runtime client is killed while it waits for the next event.
            with suppress(ConnectionError):
                super().handle()

        def do_GET(self) -> None:
            assert self.path == _NEXT
            event = api.events.get()
            headers = {
                "Lambda-Runtime-Aws-Request-Id": "1",
                "Lambda-Runtime-Deadline-Ms": str(int((time.time() + api.seconds) * 1000)),
                "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:us-east-1:000000000000:function:bundle",
            }
            self._answer(event, headers)

        def do_POST(self) -> None:
            api.answers.put(json.loads(self._body() or b"null"))
            self._answer({}, {})

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

        def _answer(self, content: Any, headers: Mapping[str, str]) -> None:
            data = json.dumps(content).encode()
            self.send_response(200)
            described = {"Content-Type": "application/json", "Content-Length": str(len(data))}
            for name, value in {**described, **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None: ...

    return Handler


@contextmanager
def runtime(bundle: Path, handler: str, environment: Mapping[str, str]) -> Iterator[RuntimeAPI]:
    """Run a bundle with nothing installed beside it but the runtime client."""
    api = RuntimeAPI()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(api))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    given = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(bundle),
        "LAMBDA_TASK_ROOT": str(bundle),
        "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{server.server_address[1]}",
        "AWS_LAMBDA_FUNCTION_NAME": "bundle",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024",
        "_HANDLER": handler,
        **environment,
    }
    python = str(ROOT / ".venv-runtime/bin/python")
    log = bundle.parent / f"{bundle.name}.log"
    with log.open("wb") as said:
        process = subprocess.Popen([python, "-m", "awslambdaric", handler], cwd=bundle, env=given, stderr=said)
    try:
        yield api
    except queue.Empty:
        print(log.read_text())
        raise
    finally:
        process.kill()
        process.wait()
        server.shutdown()
