"""A local HTTP server that speaks OpenAI's Responses and Chat Completions, fails by script, keeps a billing journal.

By hand: `python -m tests.support.openai_server --port 8123 --script 500,ok`, then OPENAI_BASE_URL=http://127.0.0.1:8123/v1
and any OPENAI_API_KEY. `GET /journal` returns the journal as JSON.

Behaviours: ok, slow:SECONDS, refusal, incomplete, filtered, failed, malformed, schema, exaggerated, empty, cut, huge,
flood, loading, obey, stranger, fenced, unreadable, clipped, cached, flat, uncounted, reasoner, html, drop, hang, quota,
429:RETRY_AFTER, too_large, context, unsupported, no_schemas, says:BODY (with a 200), any status from 400 on. Else: ok.
"""

from __future__ import annotations

import argparse
import json
import select
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from tests.support.openai_wire import ReceivedCall, as_chat, request_problem, response_to


@dataclass(kw_only=True)
class _State:
    script: deque[str]
    calls: list[ReceivedCall] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    closing: threading.Event = field(default_factory=threading.Event)

    def receive(self, path: str, headers: dict[str, str], body: dict[str, Any]) -> ReceivedCall:
        with self.lock:
            outcome = self.script.popleft() if self.script else "ok"
            call = ReceivedCall(path=path, model=body.get("model", ""), headers=headers, body=body, outcome=outcome)
            self.calls.append(call)
        return call


class OpenAIServer:
    """Runs while its `with` block does. `base_url` is what OPENAI_BASE_URL wants."""

    def __init__(self, *script: str, port: int = 0) -> None:
        self._state = _State(script=deque(script))
        self._http = _Server(("127.0.0.1", port), _Handler)
        self._http.state = self._state
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}/v1"

    @property
    def calls(self) -> list[ReceivedCall]:
        with self._state.lock:
            return list(self._state.calls)

    def script(self, behaviours: Iterable[str]) -> None:
        """Add what the next calls get."""
        with self._state.lock:
            self._state.script.extend(behaviours)

    def forget_script(self) -> None:
        """Behave from now on."""
        with self._state.lock:
            self._state.script.clear()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._state.closing.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    state: _State
    daemon_threads = False  # server_close() then waits for them, so that nothing is left behind.

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report bugs of this server, but not a client that gave up: that is part of many scripts."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = 5

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name for it.
        """Stay silent: the journal is the log."""

    def do_GET(self) -> None:
        with self.server.state.lock:
            calls = [asdict(call) for call in self.server.state.calls]
        self._send(200, json.dumps({"calls": calls}).encode(), "application/json", {})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        headers = {name.lower(): value for name, value in self.headers.items() if name.lower() != "authorization"}
        call = self.server.state.receive(self.path, headers, body)
        if not self.headers.get("Authorization", "").removeprefix("Bearer "):
            call.outcome = "401"
        elif self.path not in {"/v1/responses", "/v1/chat/completions"}:
            call.outcome = "404"
        elif problem := request_problem(body):
            call.outcome = f"400 {problem}"
        try:
            self._behave(call)
        finally:
            call.ended_at = time.time()

    def _behave(self, call: ReceivedCall) -> None:
        name, _, argument = call.outcome.partition(":")
        if name == "reasoner" and "max_tokens" in call.body:
            call.outcome = name = "unsupported"
        if name in {"hang", "slow"}:
            self.server.state.closing.wait(float(argument or 60))
        self.close_connection = True  # A connection kept alive would hold up server_close().
        if name == "hang":
            return
        answer = None if self._is_error(name) else response_to(call, name)
        if name == "drop" or self._client_is_gone():
            return
        if name in {"html", "says"}:
            self._send(200, argument.encode() or b"<html>not an API</html>", "text/html", {})
        elif answer is None:
            self._error(name, argument)
        else:
            self._answer(answer, name, chat=call.path.endswith("/chat/completions"))
        call.delivered = True

    def _answer(self, answer: dict[str, Any], name: str, *, chat: bool) -> None:
        said = as_chat(answer) if chat else answer
        if name == "unreadable":
            said |= {"output": None, "choices": None}
        body = json.dumps(said).encode()
        body += b" " * _HUGE_BYTES if name == "huge" else b""
        if name == "empty":
            body = b""
        self._send(200, body, "application/json", {}, cut=name == "cut")

    def _is_error(self, name: str) -> bool:
        return name in {"html", "says"} or name[:3].isdigit() or name in _ERRORS

    def _client_is_gone(self) -> bool:
        readable, _, _ = select.select([self.connection], [], [], 0)
        try:
            return bool(readable) and not self.connection.recv(1, socket.MSG_PEEK)
        except ConnectionError:
            return True

    def _error(self, name: str, argument: str) -> None:
        status, code, message = _ERRORS.get(name) or (int(name[:3]), None, "Scripted failure.")
        error = {"message": message, "type": code or "scripted", "code": code, "param": None}
        body = json.dumps({"error": error}).encode() + b" " * (_HUGE_BYTES if name == "flood" else 0)
        self._send(status, body, "application/json", {"Retry-After": argument} if argument else {})

    def _send(self, status: int, body: bytes, content_type: str, headers: dict[str, str], *, cut: bool = False) -> None:
        self.send_response(status)
        framing = {"Content-Type": content_type, "Content-Length": str(len(body)), "Connection": "close"}
        for name, value in {**framing, **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if cut else body)


_HUGE_BYTES = 64 * 1024 * 1024
_ERRORS: dict[str, tuple[int, str | None, str]] = {
    "401": (401, "invalid_api_key", "Incorrect API key provided: sk-scripted."),
    "429": (429, "rate_limit_exceeded", "Rate limit reached."),
    "quota": (429, "insufficient_quota", "You exceeded your current quota."),
    "too_large": (429, "rate_limit_exceeded", "Request too large for the model on tokens per min (TPM)."),
    "loading": (503, "unavailable_error", "Loading model"),
    "flood": (500, None, "Scripted failure."),
    "unsupported": (
        400,
        "unsupported_parameter",
        "'max_tokens' is not supported. Use 'max_completion_tokens' instead.",
    ),
    "no_schemas": (400, "invalid_request_error", "This response_format type is unavailable now."),
    "context": (400, "context_length_exceeded", "Your input exceeds the context window of this model."),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--script", default="", help="comma-separated behaviours of the first calls")
    options = parser.parse_args()
    with OpenAIServer(*filter(None, options.script.split(",")), port=options.port) as server:
        print(server.base_url, flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print(f"{len(server.calls)} calls", flush=True)


if __name__ == "__main__":
    main()
