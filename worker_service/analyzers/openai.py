"""The OpenAI analyzer: a document in one call, or a long one chunk by chunk and then merged, through the ledger.

It knows neither stores nor leases, and of the API only what its endpoint says.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from uuid import UUID

from shared import log
from shared.analysis import SCHEMA_VERSION, Analysis, AnalyzerInfo, Report
from shared.errors import LLMInvalidOutputError, LLMRefusedError, LLMTimeoutError, ModelRestingError
from shared.ledger import call_key
from worker_service.analyzers import coverage_of
from worker_service.analyzers.chunks import Chunk, ChunkCaps, Plan, plan_of, tokens_of
from worker_service.analyzers.cleaning import cleaned, echoes
from worker_service.analyzers.openai_answers import CutOffError, Tokens, invalid
from worker_service.analyzers.openai_endpoint import Api, Endpoint, Prompt
from worker_service.analyzers.prompt import (
    INSTRUCTIONS,
    LABEL,
    MERGE_INSTRUCTIONS,
    MERGE_LABEL,
    PROMPT_VERSION,
    part_label,
    visible,
)
from worker_service.calls import Answered, CallFailedError, Calls, Question
from worker_service.extractors import Extraction
from worker_service.pricing import price_of

# An analysis takes about 500 tokens, but a reasoning model's thoughts count too.
OUTPUT_TOKENS = 8_000
RAISED_OUTPUT_TOKENS = 16_000
# What a chunk is likely to be answered with, for what a document may cost.
_TYPICAL_OUTPUT_TOKENS = 1_000
# The instructions and the schema.
_FIXED_INPUT_TOKENS = 1_500
_CHUNKS_AT_ONCE = 4
# Of the time for a long document; the rest is for the merging.
_TIME_FOR_CHUNKS = 0.75

_logger = log.get(__name__)


@dataclass(kw_only=True, slots=True)
class _Asking:
    """One question under way: what was tried so far, and until when (on the monotonic clock) it may go on."""

    prompt: Prompt
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

    def may_retry(self, failed: CallFailedError) -> bool:
        self.failures[failed.error.code] += 1
        if isinstance(failed, CutOffError):
            self.output_limit = RAISED_OUTPUT_TOKENS
        return self.calls < self.calls_allowed and self.failures[failed.error.code] <= failed.retries


class OpenAIAnalyzer:
    """Analyzes with any API that speaks OpenAI's `POST /responses` or `POST /chat/completions`.

    `prices` are USD per million input and output tokens by model-name prefix; text beyond `caps` is not sent and the
    coverage receipt says so.
    """

    def __init__(
        self,
        *,
        api_key: str,
        base_url: str | None,
        model: str,
        prices: Mapping[str, tuple[float, float]],
        api: Api = "responses",
        caps: ChunkCaps | None = None,
        backoff_seconds: float = 0.5,
    ) -> None:
        self._endpoint = Endpoint(api_key=api_key, base_url=base_url, model=model, api=api)
        self._price = price_of(model, prices)
        self._caps = caps or ChunkCaps()
        self._backoff_seconds = backoff_seconds

    @property
    def info(self) -> AnalyzerInfo:
        return AnalyzerInfo(name="openai", model=self._endpoint.model, prompt_version=PROMPT_VERSION)

    async def warm(self) -> None:
        await self._endpoint.open()

    async def aclose(self) -> None:
        await self._endpoint.aclose()

    async def analyze(self, extraction: Extraction, *, calls: Calls, timeout_seconds: float) -> Report:
        now = time.monotonic()
        await self._endpoint.open()
        plan = plan_of(extraction.text, self._caps, affordable=self._affordable(calls.limits.document_micro_usd))
        if len(plan.chunks) == 1:
            prompt = Prompt(instructions=INSTRUCTIONS, content=LABEL + visible(plan.chunks[0].text))
            analysis, read = await self._ask(calls, prompt, now + timeout_seconds), list(plan.chunks)
        else:
            answers = await self._map(calls, plan, now + timeout_seconds * _TIME_FOR_CHUNKS)
            read = [chunk for chunk, _ in answers]
            analysis = await self._merge(calls, [answer for _, answer in answers], now + timeout_seconds)
        return Report(
            analysis=analysis,
            analyzer=self.info,
            coverage=coverage_of(
                extraction,
                chars_analyzed=sum(chunk.chars for chunk in read),
                chunks_planned=plan.planned,
                chunks_answered=len(read),
            ),
            usage=await calls.usage(),
        )

    def _affordable(self, limit_micro_usd: int | None) -> int | None:
        """How many chunks a document's budget is likely to pay for, the merging included; None when any number."""
        if limit_micro_usd is None or self._price is None:
            return None
        tokens = _FIXED_INPUT_TOKENS + self._caps.chunk_tokens
        each = self._price.micro_usd(input_tokens=tokens, output_tokens=_TYPICAL_OUTPUT_TOKENS)
        return limit_micro_usd // max(each, 1) - 1

    async def _map(self, calls: Calls, plan: Plan, deadline: float) -> list[tuple[Chunk, Analysis]]:
        """The chunks that got an analysis, with it, in order."""
        # A call's reservation may hold the rest of a document's budget: then the next one is for after its bill.
        gate = asyncio.Semaphore(_CHUNKS_AT_ONCE if calls.limits.document_micro_usd is None else 1)

        async def ask(number: int, chunk: Chunk) -> Analysis | None:
            prompt = Prompt(instructions=INSTRUCTIONS, content=part_label(number) + visible(chunk.text))
            async with gate:
                return await self._ask_about_a_part(calls, prompt, deadline)

        tasks = [asyncio.create_task(ask(number, chunk)) for number, chunk in enumerate(plan.chunks, 1)]
        try:
            answers = await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        read = [(chunk, answer) for chunk, answer in zip(plan.chunks, answers, strict=True) if answer is not None]
        if not read:
            raise LLMInvalidOutputError("The model has an answer for no part of the document.")
        return read

    async def _ask_about_a_part(self, calls: Calls, prompt: Prompt, deadline: float) -> Analysis | None:
        """None when the model has no answer for this part: then the others are worth more than nothing."""
        try:
            return await self._ask(calls, prompt, deadline)
        except (LLMRefusedError, LLMInvalidOutputError) as exc:
            _logger.warning("llm.part_unread", cause=exc.code)
            return None

    async def _merge(self, calls: Calls, analyses: list[Analysis], deadline: float) -> Analysis:
        if len(analyses) == 1:
            return analyses[0]
        lines = "\n".join(analysis.model_dump_json() for analysis in analyses)
        return await self._ask(calls, Prompt(instructions=MERGE_INSTRUCTIONS, content=MERGE_LABEL + lines), deadline)

    async def _ask(self, calls: Calls, prompt: Prompt, deadline: float) -> Analysis:
        asking = _Asking(prompt=prompt, deadline=deadline, calls_allowed=calls.limits.attempts)
        while asking.seconds_left > 0:
            try:
                kept = await calls.once(self._question(asking), partial(self._call, asking))
            except CallFailedError as failed:
                backoff_seconds = self._backoff_seconds * 2 ** (asking.calls - 1) * random.uniform(0.5, 1.5)  # noqa: S311
                pause_seconds = max(backoff_seconds, failed.wait_seconds)
                if not asking.may_retry(failed):
                    # The cause stays behind: a vendor's message may quote the document or the key.
                    raise failed.error from None
                if asking.seconds_left <= pause_seconds:
                    raise _out_of_time(failed) from None
            else:
                return Analysis.model_validate_json(kept.answer)
            await asyncio.sleep(pause_seconds)
        raise LLMTimeoutError

    def _question(self, asking: _Asking) -> Question:
        prompt = asking.prompt
        return Question(
            key=call_key(
                model=self._endpoint.model,
                prompt_version=PROMPT_VERSION,
                schema_version=SCHEMA_VERSION,
                parameters={"merging": prompt.instructions is MERGE_INSTRUCTIONS},
                text=prompt.content,
            ),
            model=self._endpoint.model,
            price=self._price,
            reserve_tokens=(_FIXED_INPUT_TOKENS + tokens_of(prompt.content), asking.output_limit),
            timeout_seconds=asking.seconds_for_a_call,
        )

    async def _call(self, asking: _Asking, call_id: UUID) -> Answered:
        started = time.monotonic()
        cause, status, tokens = "cancelled", None, Tokens()
        timeout_seconds = asking.seconds_for_a_call
        asking.calls += 1
        try:
            answer = await self._endpoint.ask(
                asking.prompt, output_tokens=asking.output_limit, timeout_seconds=timeout_seconds, call_id=call_id
            )
            status, tokens = 200, answer.tokens
            analysis = _acceptable(answer.analysis(), asking.prompt)
            cause = "ok"
        except CallFailedError as failed:
            cause, status = failed.error.code, failed.status or status
            failed.input_tokens, failed.output_tokens = tokens.input_tokens, tokens.output_tokens
            raise
        finally:
            _logger.info(
                "llm.called",
                call_id=str(call_id),
                model=self._endpoint.model,
                cause=cause,
                status=status,
                duration_seconds=round(time.monotonic() - started, 3),
                input_tokens=tokens.input_tokens,
                output_tokens=tokens.output_tokens,
            )
        return Answered(text=analysis.model_dump_json(), **tokens.model_dump())


def _out_of_time(failed: CallFailedError) -> Exception:
    """The document is released when the API itself asked for more time than there is; else the cause stands."""
    if failed.wait_seconds:
        return ModelRestingError(retry_after_seconds=failed.wait_seconds)
    return failed.error


def _acceptable(analysis: Analysis, prompt: Prompt) -> Analysis:
    """The analysis without what no analysis has. Raises CallFailedError when it gives the instructions away."""
    if echoes(analysis, prompt.instructions, document=prompt.content):
        raise invalid("The model's answer repeats its instructions.")
    return cleaned(analysis)
