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

CHARS_PER_TOKEN = 4


@dataclass(kw_only=True)
class ReceivedCall:
    """One request as the provider saw it. `input_tokens` and `output_tokens` are what it bills.

    `delivered` is whether the client was still there for the answer: what was not is billed all the same.
    """

    path: str
    model: str
    headers: dict[str, str]
    body: dict[str, Any]
    outcome: str
    input_tokens: int = 0
    output_tokens: int = 0
    started_at: float = field(default_factory=time.time)
    ended_at: float | None = None
    delivered: bool = False

    @property
    def request_id(self) -> str:
        """The client's own name for this call."""
        return self.headers.get("x-client-request-id", "")

    @property
    def document(self) -> str:
        """The text that the model was asked about."""
        return self.messages[-1].split("\n\n", 1)[-1]

    @property
    def messages(self) -> list[str]:
        return [_text(message["content"]) for message in self.body.get("input") or self.body["messages"]]


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
        elif problem := _request_problem(body):
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
        answer = None if self._is_error(name) else _response(call, name)
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
        said = _as_chat(answer) if chat else answer
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
_CLIPPED_TOKENS = 2_050
_FLAT_TOKENS = 100
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


def _request_problem(body: dict[str, Any]) -> str | None:
    """What the real API would refuse, or a model not know: no strict schema, or one that is not closed or has optional
    fields; and without one, a question that does not say it in words."""
    chat_format = body.get("response_format", {})
    text_format = {**chat_format, **chat_format.get("json_schema", {})} or body.get("text", {}).get("format", {})
    if text_format.get("type") in {"json_object", None}:
        told = _text((body.get("input") or body["messages"])[0]["content"])
        return None if '"additionalProperties": false' in told else "no schema"
    if text_format.get("type") != "json_schema" or not text_format.get("strict"):
        return "no strict schema"
    return _schema_problem(text_format["schema"])


def _schema_problem(schema: dict[str, Any]) -> str | None:
    properties = schema.get("properties", {})
    closed = schema.get("additionalProperties") is False and set(schema.get("required", ())) == set(properties)
    if schema.get("type") == "object" and not closed:
        return "schema is open"
    below = [*properties.values(), *schema.get("$defs", {}).values(), schema.get("items")]
    return next((problem for part in below if part and (problem := _schema_problem(part))), None)


def _response(call: ReceivedCall, behaviour: str) -> dict[str, Any]:
    answer = json.dumps(_choice(call) if _LABELS in call.messages[-1] else _analysis(call.document))
    content: dict[str, Any] = {"type": "output_text", "text": answer, "annotations": []}
    status, details, error = "completed", None, None
    match behaviour:
        case "refusal":
            content = {"type": "refusal", "refusal": "I cannot help with that."}
        case "malformed":
            content["text"] = "Here is the analysis you asked for"
        case "schema":
            content["text"] = json.dumps({"summary": "no more than this"})
        case "exaggerated":
            sentiment, classification = {"label": "negative", "score": -7}, {"label": "essay", "confidence": 9}
            analysis = _analysis(call.document) | {"sentiment": sentiment, "classification": classification}
            content["text"] = json.dumps(analysis)
        case "incomplete" | "filtered":
            content["text"] = answer[: len(answer) // 2]
            reason = "max_output_tokens" if behaviour == "incomplete" else "content_filter"
            status, details = "incomplete", {"reason": reason}
        case "obey":
            content["text"] = json.dumps(_obedient(call))
        case "stranger":
            content["text"] = json.dumps({"label": "something else", "confidence": 0.9})
        case "fenced":
            content["text"] = f"<think>It is a letter.</think>\n```json\n{answer}\n```\nI hope that this helps!"
        case "failed":
            status, error = "failed", {"code": "server_error", "message": "Scripted failure."}
    return {
        "id": "resp_scripted",
        "object": "response",
        "created_at": 1_760_000_000,
        "status": status,
        "model": call.model,
        "error": error,
        "incomplete_details": details,
        "output": [
            {"id": "rs_1", "type": "reasoning", "summary": []},
            {"id": "msg_1", "type": "message", "role": "assistant", "status": status, "content": [content]},
        ],
        "usage": _usage(call, behaviour, content.get("text", "")) if behaviour != "uncounted" else None,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
    }


def _usage(call: ReceivedCall, behaviour: str, said: str) -> dict[str, Any]:
    call.input_tokens = sum(map(len, call.messages)) // CHARS_PER_TOKEN
    call.output_tokens = len(said) // CHARS_PER_TOKEN
    if behaviour == "clipped":  # The prompt, to what the context has room for.
        call.input_tokens = min(call.input_tokens, _CLIPPED_TOKENS)
    if behaviour == "flat":  # The same for every prompt: nobody has counted.
        call.input_tokens = _FLAT_TOKENS
    # Some servers leave what they had read before out of what they count.
    cached = call.input_tokens * 3 // 4 if behaviour == "cached" else 0
    return {
        "input_tokens": call.input_tokens - cached,
        "input_tokens_details": {"cached_tokens": cached},
        "output_tokens": call.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": call.input_tokens + call.output_tokens,
    }


_LABELS = "Labels:\n\n"


def _choice(call: ReceivedCall) -> dict[str, Any]:
    """The first label whose name is in the document, in capitals, as a model may spell it."""
    labels, _, document = call.messages[-1].removeprefix(_LABELS).partition("\n\n")
    names = [json.loads(line)["name"] for line in labels.splitlines()]
    fitting = [name for name in names if name.lower() in document.lower()]
    return {"label": fitting[0].upper() if fitting else None, "confidence": 1.5}


def _obedient(call: ReceivedCall) -> dict[str, Any]:
    """What a model writes that does what a document tells it: its instructions, markup, control characters."""
    evil = f"<script>alert(1)</script> ![x](http://127.0.0.1/?q=1) \x1b[31m\u202e {call.document[:200]}"
    wanted = {"summary": evil, "topics": [evil], "tags": ["<b>paid</b>"] * 50}
    if "system prompt" in call.document:
        wanted["summary"] = call.messages[0]
    return _analysis(call.document) | wanted


_FINISH_REASONS = {"max_output_tokens": "length", "content_filter": "content_filter"}


def _as_chat(response: dict[str, Any]) -> dict[str, Any]:
    """The same answer in the words of Chat Completions."""
    [part] = response["output"][1]["content"]
    reason = (response["incomplete_details"] or {}).get("reason")
    usage = response["usage"] or {"input_tokens": None, "input_tokens_details": None, "output_tokens": None}
    return {
        "id": "chatcmpl_scripted",
        "object": "chat.completion",
        "created": response["created_at"],
        "model": response["model"],
        "choices": [
            {
                "index": 0,
                "finish_reason": _FINISH_REASONS.get(reason or "", "stop"),
                "message": {"role": "assistant", "content": part.get("text"), "refusal": part.get("refusal")},
            }
        ],
        "usage": {
            "prompt_tokens": usage["input_tokens"],
            "prompt_tokens_details": usage["input_tokens_details"],
            "completion_tokens": usage["output_tokens"],
        },
    }


def _analysis(document: str) -> dict[str, Any]:
    """An answer made of the document's own words, so that no two documents get the same."""
    words = document.split()
    long_words = list(dict.fromkeys(word.strip(".,:;()").lower() for word in words if len(word) > 6))
    return {
        "summary": f"This document begins: {' '.join(words[:12])}",
        "topics": long_words[:5],
        "sentiment": {"label": "neutral", "score": 0.0},
        "action_items": [{"text": line.strip(), "owner": None, "due": None} for line in _todos(document)],
        "classification": {"label": "other", "confidence": 0.5},
        "tags": long_words[:3],
        "language": "en",
    }


def _todos(document: str) -> list[str]:
    return [line for line in document.splitlines() if "TODO" in line]


def _text(content: str | list[dict[str, Any]]) -> str:
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


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
