"""The OpenAI analyzer: one document, one Responses call, counted, bounded in time, every failure told apart.

It knows neither documents nor leases. The SDK is imported by `warm` or by the first analysis, never by this module:
it costs half a second to a second and 45 MB that a worker without a key must not pay.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

from shared import log
from shared.analysis import SCHEMA_VERSION, Analysis, AnalyzerInfo, Report
from shared.errors import LLMTimeoutError, LLMUnavailableError
from shared.ledger import call_key
from worker_service.analyzers import coverage_of
from worker_service.analyzers.openai_answers import AS_OFTEN_AS_ALLOWED, Answer, CutOffError, Tokens, failure
from worker_service.analyzers.prompt import INSTRUCTIONS, LABEL, PROMPT_VERSION, visible
from worker_service.calls import Answered, CallFailedError, Calls, Question
from worker_service.extractors import Extraction
from worker_service.pricing import price_of

if TYPE_CHECKING:
    import openai
    from openai import AsyncOpenAI

# An analysis takes about 500 tokens, but a reasoning model's thoughts count too.
OUTPUT_TOKENS = 8_000
RAISED_OUTPUT_TOKENS = 16_000

_logger = log.get(__name__)


# The instructions and the schema.
_FIXED_INPUT_TOKENS = 1_500
# A token is three bytes or more in all but contrived texts.
_BYTES_PER_TOKEN = 3


@dataclass(kw_only=True, slots=True)
class _Run:
    """One analysis under way: what was tried so far, and until when (on the monotonic clock) it may go on."""

    deadline: float
    calls_allowed: int
    output_limit: int = OUTPUT_TOKENS
    calls: int = 0
    failures: Counter[str] = field(default_factory=Counter)

    @property
    def seconds_left(self) -> float:
        return self.deadline - time.monotonic()

    @property
    def seconds_for_a_call(self) -> float:
        """An equal share of what is left, so that a call that hangs leaves time for the next one."""
        return self.seconds_left / (self.calls_allowed - self.calls)


class OpenAIAnalyzer:
    """Analyzes with any API that speaks OpenAI's `POST /responses`.

    `prices` are USD per million input and output tokens by model-name prefix; text beyond `max_chars` is not sent and
    the coverage receipt says so.
    """

    def __init__(
        self,
        *,
        api_key: str,
        base_url: str | None,
        model: str,
        max_chars: int,
        prices: Mapping[str, tuple[float, float]],
        backoff_seconds: float = 0.5,
    ) -> None:
        self._api_key = api_key
        self._base_url = base_url
        self._model = model
        self._max_chars = max_chars
        self._price = price_of(model, prices)
        self._backoff_seconds = backoff_seconds
        self._client: AsyncOpenAI | None = None
        self._opening = asyncio.Lock()

    @property
    def info(self) -> AnalyzerInfo:
        return AnalyzerInfo(name="openai", model=self._model, prompt_version=PROMPT_VERSION)

    async def warm(self) -> None:
        """Import the SDK in a thread and make the client, so that the first document does not wait for it."""
        await self._open()

    async def aclose(self) -> None:
        if self._client is not None:
            await self._client.close()

    async def analyze(self, extraction: Extraction, *, calls: Calls, timeout_seconds: float) -> Report:
        run = _Run(deadline=time.monotonic() + timeout_seconds, calls_allowed=calls.limits.attempts)
        await self._open()
        sent = extraction.text[: self._max_chars]
        analysis = await self._attempts(run, calls, LABEL + visible(sent))
        return Report(
            analysis=_within_ranges(analysis),
            analyzer=self.info,
            coverage=coverage_of(extraction, chars_analyzed=len(sent)),
            usage=await calls.usage(),
        )

    async def _open(self) -> AsyncOpenAI:
        async with self._opening:
            if self._client is None:
                self._client = await asyncio.to_thread(self._connect)
            return self._client

    def _connect(self) -> AsyncOpenAI:
        from openai import AsyncOpenAI  # noqa: PLC0415 - see the module docstring.

        # The SDK's own retries would be calls that nobody counts.
        client = AsyncOpenAI(api_key=self._api_key, base_url=self._base_url, max_retries=0)
        _ = client.responses.with_raw_response.parse  # Imports the rest of it here and not in the event loop.
        return client

    async def _attempts(self, run: _Run, calls: Calls, document: str) -> Analysis:
        while run.seconds_left > 0:
            try:
                kept = await calls.once(self._question(run, document), partial(self._call, run, document))
            except CallFailedError as failed:
                pause_seconds = self._backoff_seconds * random.uniform(0.5, 1.5)  # noqa: S311 - not a secret.
                if not _may_retry(run, failed, pause_seconds):
                    # The cause stays behind: a vendor's message may quote the document or the key.
                    raise failed.error from None
            else:
                return Analysis.model_validate_json(kept.answer)
            await asyncio.sleep(pause_seconds)
        raise LLMTimeoutError

    def _question(self, run: _Run, document: str) -> Question:
        input_tokens = _FIXED_INPUT_TOKENS + len(document.encode()) // _BYTES_PER_TOKEN
        return Question(
            key=call_key(
                model=self._model,
                prompt_version=PROMPT_VERSION,
                schema_version=SCHEMA_VERSION,
                parameters={},
                text=document,
            ),
            model=self._model,
            price=self._price,
            reserve_tokens=(input_tokens, run.output_limit),
            timeout_seconds=run.seconds_for_a_call,
        )

    async def _call(self, run: _Run, document: str, call_id: UUID) -> Answered:
        started = time.monotonic()
        cause, status, tokens = "cancelled", None, Tokens()
        try:
            answer = await self._request(run, document, call_id)
            status, tokens = 200, answer.usage or tokens
            analysis = answer.analysis()
            cause = "ok"
        except CallFailedError as failed:
            cause, status = failed.error.code, failed.status or status
            failed.input_tokens, failed.output_tokens = tokens.input_tokens, tokens.output_tokens
            raise
        finally:
            _logger.info(
                "llm.called",
                call_id=str(call_id),
                model=self._model,
                cause=cause,
                status=status,
                duration_seconds=round(time.monotonic() - started, 3),
                input_tokens=tokens.input_tokens,
                output_tokens=tokens.output_tokens,
            )
        return Answered(text=analysis.model_dump_json(), **tokens.model_dump())

    async def _request(self, run: _Run, document: str, call_id: UUID) -> Answer:
        client = await self._open()
        import openai  # noqa: PLC0415 - see the module docstring.

        timeout_seconds = run.seconds_for_a_call
        run.calls += 1
        try:
            # The SDK's time-out restarts with every byte; this one does not.
            async with asyncio.timeout(timeout_seconds):
                # Raw, because the parsed form raises on a cut-off or malformed answer and drops the bill with it.
                raw = await client.responses.with_raw_response.parse(
                    model=self._model,
                    input=[{"role": "system", "content": INSTRUCTIONS}, {"role": "user", "content": document}],
                    text_format=Analysis,
                    max_output_tokens=run.output_limit,
                    store=False,
                    timeout=timeout_seconds,
                    # By which the provider's records and the ledger can be compared.
                    extra_headers={"X-Client-Request-Id": str(call_id)},
                )
        except (TimeoutError, openai.APITimeoutError):
            raise CallFailedError(LLMTimeoutError(), retries=AS_OFTEN_AS_ALLOWED, ambiguous=True) from None
        except openai.APIStatusError as exc:
            raise _failure(exc) from None
        except openai.OpenAIError:
            raise CallFailedError(LLMUnavailableError(), retries=AS_OFTEN_AS_ALLOWED, ambiguous=True) from None
        return Answer.read(raw.content)


def _may_retry(run: _Run, failed: CallFailedError, pause_seconds: float) -> bool:
    run.failures[failed.error.code] += 1
    if isinstance(failed, CutOffError):
        run.output_limit = RAISED_OUTPUT_TOKENS
    return (
        run.calls < run.calls_allowed
        and run.failures[failed.error.code] <= failed.retries
        and run.seconds_left > pause_seconds
    )


def _failure(exc: openai.APIStatusError) -> CallFailedError:
    body = exc.body if isinstance(exc.body, dict) else {}
    message = str(body.get("message", ""))
    return failure(status=exc.status_code, code=exc.code or exc.type, message=message, headers=exc.response.headers)


def _within_ranges(analysis: Analysis) -> Analysis:
    """The schema that a model gets cannot state ranges, so a model may leave them."""
    sentiment, classification = analysis.sentiment, analysis.classification
    return analysis.model_copy(
        update={
            "sentiment": sentiment.model_copy(update={"score": min(max(-1.0, sentiment.score), 1.0)}),
            "classification": classification.model_copy(
                update={"confidence": min(max(0.0, classification.confidence), 1.0)}
            ),
        }
    )
