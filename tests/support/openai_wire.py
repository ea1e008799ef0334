"""What a scripted model writes, in the words of OpenAI's two APIs, and what they would have refused to be asked."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any

CHARS_PER_TOKEN = 4
_CLIPPED_TOKENS = 2_050
_FLAT_TOKENS = 100


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


def request_problem(body: dict[str, Any]) -> str | None:
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


def response_to(call: ReceivedCall, behaviour: str) -> dict[str, Any]:
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


def as_chat(response: dict[str, Any]) -> dict[str, Any]:
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
