"""The OpenAI analyzer: a document in one call, or a long one chunk by chunk and then merged, through the ledger.

It knows neither stores nor leases, and of the API only what its endpoint says.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from shared import log
from shared.analysis import Analysis, AnalyzerInfo, Label, Labelling, Report
from shared.errors import AnalysisError, LLMInvalidOutputError, LLMRefusedError, LLMRejectedError
from shared.profiles import SHIPPED, Profile
from shared.visible import visible
from worker_service.analyzers import coverage_of
from worker_service.analyzers.chunks import Chunk, ChunkCaps, Plan, groups_that_fit, plan_of
from worker_service.analyzers.cleaning import cleaned, echoes
from worker_service.analyzers.openai_answers import invalid
from worker_service.analyzers.openai_endpoint import Api, Endpoint, Format, Prompt
from worker_service.analyzers.openai_labels import question_about
from worker_service.analyzers.openai_questions import FIXED_INPUT_TOKENS, Questioner
from worker_service.analyzers.prompt import (
    LABEL,
    MERGE_INSTRUCTIONS,
    MERGE_LABEL,
    PROMPT_VERSION,
    instructions_of,
    part_label,
)
from worker_service.calls import Calls
from worker_service.extractors import Extraction
from worker_service.pricing import price_of

# What a chunk is likely to be answered with, for what a document may cost.
_TYPICAL_OUTPUT_TOKENS = 1_000
# Of the time for a long document; the rest is for the merging.
_TIME_FOR_CHUNKS = 0.75

_logger = log.get(__name__)


class OpenAIAnalyzer:
    """Analyzes with any API that speaks OpenAI's `POST /responses` or `POST /chat/completions`.

    `model` is for profiles that name none; `prices` are USD per million input and output tokens by model-name prefix;
    text beyond `caps` is not sent and the coverage receipt says so.
    """

    name = "openai"

    def __init__(
        self,
        *,
        api_key: str,
        base_url: str,
        model: str,
        prices: Mapping[str, tuple[float, float]],
        api: Api = "responses",
        answer_format: Format = "schema",
        caps: ChunkCaps | None = None,
        chunks_at_once: int = 4,
        backoff_seconds: float = 0.5,
    ) -> None:
        self._caps = caps or ChunkCaps()
        self._endpoint = Endpoint(api_key=api_key, base_url=base_url, api=api, answer_format=answer_format)
        self._questions = Questioner(
            self._endpoint, prices=prices, output_tokens=self._caps.output_tokens, backoff_seconds=backoff_seconds
        )
        self._model = model
        self._prices = prices
        self._chunks_at_once = chunks_at_once

    def info(self, profile: Profile) -> AnalyzerInfo:
        return AnalyzerInfo(
            name="openai",
            model=profile.model or self._model,
            profile=profile.name,
            profile_version=profile.version,
            prompt_version=PROMPT_VERSION,
        )

    async def warm(self) -> None:
        await self._endpoint.open()

    async def aclose(self) -> None:
        await self._endpoint.aclose()

    async def analyze(
        self, extraction: Extraction, *, calls: Calls, timeout_seconds: float, profile: Profile = SHIPPED
    ) -> Report:
        now, asked_before = time.monotonic(), len(calls.asked)
        await self._endpoint.open()
        affordable = self._affordable(calls.limits.document_micro_usd, profile)
        plan = plan_of(extraction.text, self._caps, affordable=affordable)
        if len(plan.chunks) == 1:
            prompt = self._prompt(profile, LABEL + visible(plan.chunks[0].text))
            analysis, read = await self._questions.ask(calls, prompt, now + timeout_seconds), list(plan.chunks)
        else:
            answers = await self._map(calls, plan, profile, now + timeout_seconds * _TIME_FOR_CHUNKS)
            read = [chunk for chunk, _ in answers]
            analysis = await self._merge(calls, [answer for _, answer in answers], profile, now + timeout_seconds)
        return Report(
            analysis=analysis,
            analyzer=self.info(profile),
            coverage=coverage_of(
                extraction,
                chars_analyzed=sum(chunk.chars for chunk in read),
                chunks_planned=plan.planned,
                chunks_answered=len(read),
            ),
            usage=await calls.usage(calls.asked[asked_before:]),
        )

    async def classify(
        self,
        extraction: Extraction,
        labels: Sequence[Label],
        *,
        calls: Calls,
        timeout_seconds: float,
        profile: Profile = SHIPPED,
    ) -> Labelling:
        deadline = time.monotonic() + timeout_seconds
        await self._endpoint.open()
        # What a document is, its beginning says.
        [beginning] = plan_of(extraction.text, replace(self._caps, max_chunks=1)).chunks
        asked_before = len(calls.asked)
        prompt = question_about(labels, beginning.text, model=profile.model or self._model)
        chosen = await self._questions.ask(calls, prompt, deadline)
        return Labelling(
            label=chosen.label,
            confidence=chosen.confidence,
            labels=tuple(label.name for label in labels),
            analyzer=self.info(profile),
            chars_extracted=len(extraction.text),
            chars_analyzed=beginning.chars,
            usage=await calls.usage(calls.asked[asked_before:]),
        )

    def _affordable(self, limit_micro_usd: int | None, profile: Profile) -> int | None:
        """How many chunks a document's budget is likely to pay for, the merging included; None when any number."""
        price = price_of(profile.model or self._model, self._prices)
        if limit_micro_usd is None or price is None:
            return None
        tokens = FIXED_INPUT_TOKENS + self._caps.chunk_tokens
        each = price.micro_usd(input_tokens=tokens, output_tokens=_TYPICAL_OUTPUT_TOKENS)
        questions = limit_micro_usd // max(each, 1)
        in_a_merge = max(self._caps.chunk_tokens // _TYPICAL_OUTPUT_TOKENS, 2)
        return questions - questions // in_a_merge - 1

    async def _map(self, calls: Calls, plan: Plan, profile: Profile, deadline: float) -> list[tuple[Chunk, Analysis]]:
        """The chunks that got an analysis, with it, in order."""
        # A call's reservation may hold the rest of a document's budget: then the next one is for after its bill.
        gate = asyncio.Semaphore(self._chunks_at_once if calls.limits.document_micro_usd is None else 1)

        async def ask(number: int, chunk: Chunk) -> Analysis | AnalysisError:
            prompt = self._prompt(profile, part_label(number) + visible(chunk.text))
            async with gate:
                return await self._ask_about_a_part(calls, prompt, deadline)

        tasks = [asyncio.create_task(ask(number, chunk)) for number, chunk in enumerate(plan.chunks, 1)]
        try:
            answers = await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return _read(plan, answers)

    async def _ask_about_a_part(
        self, calls: Calls, prompt: Prompt[Analysis], deadline: float
    ) -> Analysis | AnalysisError:
        """The cause when the model has no answer for this part: then the others are worth more than nothing."""
        try:
            return await self._questions.ask(calls, prompt, deadline)
        except LLMRejectedError:
            # Nor would it take the others, or one by chance, and the document would end as if it had been read.
            raise
        except (LLMRefusedError, LLMInvalidOutputError) as exc:
            _logger.warning("llm.part_unread", cause=exc.code)
            return exc

    async def _merge(self, calls: Calls, analyses: list[Analysis], profile: Profile, deadline: float) -> Analysis:
        """One analysis of all, by as many calls as it takes for none to be longer than the model can read."""
        while len(analyses) > 1:
            lines = [analysis.model_dump_json() for analysis in analyses]
            groups = groups_that_fit(lines, self._caps.chunk_tokens)
            analyses = [await self._merged(calls, group, profile, deadline) for group in groups]
        return analyses[0]

    async def _merged(self, calls: Calls, lines: list[str], profile: Profile, deadline: float) -> Analysis:
        if len(lines) == 1:
            return Analysis.model_validate_json(lines[0])
        prompt = self._prompt(profile, MERGE_LABEL + "\n".join(lines), merging=True)
        return await self._questions.ask(calls, prompt, deadline)

    def _prompt(self, profile: Profile, content: str, *, merging: bool = False) -> Prompt[Analysis]:
        instructions = MERGE_INSTRUCTIONS if merging else instructions_of(profile)
        return Prompt(
            model=profile.model or self._model,
            instructions=instructions,
            content=content,
            parameters={"merging": merging, "profile": profile.fingerprint},
            schema=Analysis,
            accept=partial(_acceptable, instructions=instructions, content=content),
        )


def _read(plan: Plan, answers: Sequence[Analysis | AnalysisError]) -> list[tuple[Chunk, Analysis]]:
    """The chunks that were read. Raises the cause of the first that was not when there are none."""
    read = [(chunk, one) for chunk, one in zip(plan.chunks, answers, strict=True) if isinstance(one, Analysis)]
    causes = [one for one in answers if isinstance(one, AnalysisError)]
    if not read:
        raise causes[0]
    return read


def _acceptable(analysis: Analysis, *, instructions: str, content: str) -> Analysis:
    """The analysis without what no analysis has. Raises CallFailedError when it gives the instructions away."""
    analysis = cleaned(analysis)
    if echoes(analysis, instructions, document=content):
        raise invalid("The model's answer repeats its instructions.")
    return analysis
