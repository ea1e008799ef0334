"""One HTTP call to OpenAI's API, Responses or Chat Completions: bounded in time and size, its failures told apart.

The only module that knows the SDK, which it imports by `open` and not before: it costs half a second to a second and
45 MB that a worker without a key must not pay.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Literal
from urllib.parse import urlsplit
from urllib.request import getproxies
from uuid import UUID

from pydantic import BaseModel

from shared.errors import ConfigurationError, LLMTimeoutError, LLMUnavailableError
from worker_service.analyzers.openai_answers import AS_OFTEN_AS_ALLOWED, Answer, ChatAnswer, Reply, Schema, invalid
from worker_service.analyzers.openai_refusals import LOADING_SECONDS, NEWER_LIMIT, LimitNameError, Refusal
from worker_service.analyzers.prompt import with_schema
from worker_service.failures import CallFailedError

if TYPE_CHECKING:
    import httpx2
    from openai import AsyncOpenAI

Api = Literal["responses", "chat"]
# How a model is held to the schema: by a server that knows schemas, by one that knows JSON, or by words alone.
Format = Literal["schema", "json", "text"]

# A hundred times what an analysis is.
_MAX_ANSWER_BYTES = 4_194_304
# Less than a call has, so that an API that cannot be reached is told from one that does not answer.
_CONNECT_SECONDS = 10.0
_LATE = "The model did not answer within {:.3g} s. Raise DOCRELAY_LLM_SECONDS, which all calls for a document share."
_REFUSED = "the connection was refused"
_NO_CONNECTION = {
    socket.gaierror: "its name is not known",
    ssl.SSLCertVerificationError: "its certificate is not trusted",
    ssl.SSLError: "TLS failed",
    ConnectionRefusedError: _REFUSED,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompt(Generic[Schema]):
    """The instructions, and what they are about as a message of its own, for one model.

    `schema` is what is asked for, and `accept` looks at it: it returns what is kept, or raises CallFailedError.
    `parameters` are what else the answer depends on.
    """

    model: str
    instructions: str
    content: str
    parameters: Mapping[str, Any]
    schema: type[Schema]
    accept: Callable[[Schema], Schema]

    @property
    def messages(self) -> list[dict[str, str]]:
        return [{"role": "system", "content": self.instructions}, {"role": "user", "content": self.content}]


class Endpoint:
    def __init__(self, *, api_key: str, base_url: str, api: Api, answer_format: Format) -> None:
        self._api_key = api_key
        self._base_url = base_url
        self._api = api
        self._format = answer_format
        # By model; what one has refused is not tried again.
        self._limit_names: dict[str, str] = {}
        self._client: AsyncOpenAI | None = None
        self._opening = asyncio.Lock()

    @property
    def parameters(self) -> dict[str, Any]:
        """What an answer depends on here; nothing by default, so that what was kept before there were others counts."""
        return {} if self._format == "schema" else {"format": self._format}

    async def open(self) -> AsyncOpenAI:
        """Import the SDK in a thread and make the client, so that no document waits for it.

        Raises ConfigurationError.
        """
        async with self._opening:
            if self._client is None:
                self._client = await asyncio.to_thread(self._connect)
            return self._client

    async def aclose(self) -> None:
        if self._client is not None:
            await self._client.close()

    async def ask(self, prompt: Prompt[Any], *, output_tokens: int, timeout_seconds: float, call_id: UUID) -> Reply:
        """Make one call. Raises CallFailedError."""
        used = self._limit_name(prompt.model)
        try:
            return await self._answered(prompt, output_tokens, timeout_seconds, call_id)
        except LimitNameError:
            if used == NEWER_LIMIT:
                raise
            # Refused by its words, before any work: in the other words it is the same call.
            self._limit_names[prompt.model] = NEWER_LIMIT
            return await self._answered(prompt, output_tokens, timeout_seconds, call_id)

    async def _answered(self, prompt: Prompt[Any], output_tokens: int, timeout_seconds: float, call_id: UUID) -> Reply:
        client = await self.open()
        import httpx2  # noqa: PLC0415 - see the module docstring.
        import openai  # noqa: PLC0415

        request = self._request(client, prompt, output_tokens)
        try:
            # The SDK's time-out restarts with every byte; this one does not.
            async with (
                asyncio.timeout(timeout_seconds),
                # The call's id lets the provider's records and the ledger be compared.
                request(
                    timeout=httpx2.Timeout(timeout_seconds, connect=min(_CONNECT_SECONDS, timeout_seconds / 2)),
                    extra_headers={"X-Client-Request-Id": str(call_id)},
                ) as response,
            ):
                body = await _bounded(response.iter_bytes())
        except (TimeoutError, openai.OpenAIError, httpx2.HTTPError) as exc:
            raise _unanswered(exc, timeout_seconds) from None
        if body is None:
            failed = invalid("The model's API answered with far more than an analysis.", status=200)
            failed.input_tokens = failed.output_tokens = None
            raise failed
        if inside := Refusal.inside(body):
            raise inside
        return Reply.read(body, Answer if self._api == "responses" else ChatAnswer)

    def _connect(self) -> AsyncOpenAI:
        import httpx2  # noqa: PLC0415 - see the module docstring.
        from openai import AsyncOpenAI  # noqa: PLC0415

        http_client = _http_client()
        try:
            # The SDK's own retries would be calls that nobody counts.
            client = AsyncOpenAI(api_key=self._api_key, base_url=self._base_url, max_retries=0, http_client=http_client)
        except httpx2.InvalidURL:
            raise ConfigurationError("OPENAI_BASE_URL is no URL.") from None
        # Imports the rest of it here and not in the event loop.
        _ = client.responses.with_streaming_response.create, client.chat.completions.with_streaming_response.create
        return client

    def _request(self, client: AsyncOpenAI, prompt: Prompt[Any], output_tokens: int) -> Any:
        """What is asked in either API's words; the answer is streamed so that its size can be bounded."""
        shape, messages = self._shape(prompt.schema), prompt.messages
        if self._format != "schema":
            messages[0]["content"] = with_schema(prompt.instructions, prompt.schema)
        if self._api == "responses":
            return partial(
                client.responses.with_streaming_response.create,
                model=prompt.model,
                input=messages,
                max_output_tokens=output_tokens,
                store=False,
                **shape,
            )
        return partial(
            client.chat.completions.with_streaming_response.create,
            model=prompt.model,
            messages=messages,
            **shape,
            **{self._limit_name(prompt.model): output_tokens},
        )

    def _limit_name(self, model: str) -> str:
        return self._limit_names.get(model) or limit_name(self._base_url)

    def _shape(self, schema: type[BaseModel]) -> dict[str, Any]:
        described = {"name": schema.__name__.lower(), "strict": True, "schema": schema.model_json_schema()}
        match self._format, self._api:
            case "text", _:
                return {}
            case "json", "responses":
                return {"text": {"format": {"type": "json_object"}}}
            case "json", "chat":
                return {"response_format": {"type": "json_object"}}
            case _, "responses":
                return {"text": {"format": {"type": "json_schema", **described}}}
        return {"response_format": {"type": "json_schema", "json_schema": described}}


def limit_name(base_url: str) -> str:
    """What Chat Completions call the limit of an answer. OpenAI's reasoning models know the newer name only, and most
    servers of others, Ollama among them, only the older."""
    host = urlsplit(base_url).hostname or ""
    return NEWER_LIMIT if f".{host}".endswith(".api.openai.com") else "max_tokens"


def _http_client() -> httpx2.AsyncClient:
    """It takes proxies and certificates from the environment. Raises ConfigurationError when they cannot be."""
    import httpx2  # noqa: PLC0415 - see the module docstring.
    from openai import DefaultAsyncHttpxClient  # noqa: PLC0415

    try:
        return DefaultAsyncHttpxClient(event_hooks={"response": [_refuse_failed]})
    except OSError as exc:
        raise ConfigurationError(f"SSL_CERT_FILE cannot be read as certificates: {exc.strerror}.") from exc
    # A SOCKS proxy wants a package that is not installed.
    except (ImportError, ValueError, httpx2.InvalidURL):
        names = ", ".join(f"{name.upper()}_PROXY" for name in getproxies() if name in {"http", "https", "all"})
        # From nothing, for a proxy's URL may have a password in it.
        raise ConfigurationError(
            f"{names}: only proxies of http and https can be used. Unset it for the worker."
        ) from None


def _unanswered(error: Exception, timeout_seconds: float) -> CallFailedError:
    """What a call without an answer came to; `ambiguous` unless it is certain that nothing was sent."""
    import httpx2  # noqa: PLC0415 - see the module docstring.
    import openai  # noqa: PLC0415

    vendors = error.__cause__ if isinstance(error, openai.APIConnectionError) and error.__cause__ else error
    if reason := _why_nothing_was_sent(vendors):
        unreached = LLMUnavailableError(f"The model's API could not be reached: {reason}.")
        wait_seconds = LOADING_SECONDS if reason == _REFUSED else 0.0
        return CallFailedError(unreached, retries=AS_OFTEN_AS_ALLOWED, reason=reason, wait_seconds=wait_seconds)
    late = isinstance(vendors, TimeoutError | httpx2.TimeoutException | openai.APITimeoutError)
    cause = LLMTimeoutError(_LATE.format(timeout_seconds)) if late else LLMUnavailableError()
    return CallFailedError(cause, retries=AS_OFTEN_AS_ALLOWED, ambiguous=True, reason=type(vendors).__name__)


def _why_nothing_was_sent(error: BaseException) -> str | None:
    """None when something may have been sent. The connection and its TLS come before a request's first byte."""
    import httpx2  # noqa: PLC0415 - see the module docstring.

    match error:
        case httpx2.UnsupportedProtocol():
            return "OPENAI_BASE_URL is no URL of http or https"
        case httpx2.LocalProtocolError():
            # The SDK reads the other two by itself.
            return "OPENAI_API_KEY, OPENAI_ORG_ID or OPENAI_PROJECT_ID has a character that no header has"
        case httpx2.ProxyError():
            return "the proxy refused the connection"
        case httpx2.ConnectTimeout() | httpx2.PoolTimeout():
            return "no connection in time"
        case httpx2.ConnectError():
            cause = _first_cause(error)
            return next((words for kind, words in _NO_CONNECTION.items() if isinstance(cause, kind)), "no connection")
    return None


def _first_cause(error: BaseException) -> BaseException:
    """What the operating system said; of a host's several addresses, about the first."""
    while cause := error.__cause__ or error.__context__:
        error = cause.exceptions[0] if isinstance(cause, BaseExceptionGroup) else cause
    return error


async def _refuse_failed(response: httpx2.Response) -> None:
    """Raises CallFailedError, before the SDK does: it would read all of what came with the failure."""
    if not response.is_success and not response.has_redirect_location:
        refusal = Refusal.read(await _bounded(response.aiter_bytes()) or b"")
        raise refusal.failure(status=response.status_code, headers=response.headers)


async def _bounded(chunks: AsyncIterator[bytes]) -> bytes | None:
    """What comes, or None when that is far too much."""
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > _MAX_ANSWER_BYTES:
            return None
    return bytes(body)
