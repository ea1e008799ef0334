"""Questions to a model: each asked through the ledger until there is an answer, a cause, or no time left.

Knows not what is asked.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID

from shared import log
from shared.analysis import SCHEMA_VERSION
from shared.errors import AnalysisError, LLMRejectedError, LLMTimeoutError
from shared.ledger import call_key
from worker_service.analyzers.chunks import least_tokens_of, tokens_of
from worker_service.analyzers.openai_answers import NOTHING, CutOffError, Schema, Tokens
from worker_service.analyzers.openai_endpoint import Endpoint, Prompt
from worker_service.analyzers.prompt import PROMPT_VERSION
from worker_service.calls import Answered, Calls, Question
from worker_service.failures import CallFailedError
from worker_service.pricing import price_of

# What a second call has, when the answer to the first was cut off.
_RAISED = 2
# What is longer is waited for in the queue, where it takes no slot.
_PAUSE_SECONDS_MAX = 10.0
_NO_TIME = "There was no time left to ask the model. Raise DOCRELAY_LLM_SECONDS, or lower DOCRELAY_LLM_CHUNKS_AT_ONCE."
# The instructions and the schema.
FIXED_INPUT_TOKENS = 1_500

# A shorter text no server cuts, and one that counts less has counted something else, or nothing at all.
_NEVER_CUT_TOKENS = 1_000
_NO_COUNT_TOKENS = 500

_logger = log.get(__name__)


@dataclass(kw_only=True, slots=True)
class _Asking:
    """One question under way: what was tried so far, and until when (on the monotonic clock) it may go on."""

    prompt: Prompt[Any]
    deadline: float
    calls_allowed: int
    output_limit: int
    calls: int = 0
    cut_off: AnalysisError | None = None
    failures: Counter[str] = field(default_factory=Counter)

    @property
    def seconds_left(self) -> float:
        return self.deadline - time.monotonic()

    @property
    def seconds_for_a_call(self) -> float:
        """An equal share of what is left, so that a call that hangs leaves time for the next one."""
        return self.seconds_left / (self.calls_allowed - self.calls)

    def cause(self, failed: CallFailedError) -> AnalysisError:
        """A request that is rejected for the larger limit of a second call fails for what the first came to."""
        return self.cut_off if self.cut_off and isinstance(failed.error, LLMRejectedError) else failed.error

    def may_retry(self, failed: CallFailedError) -> bool:
        self.failures[failed.error.code] += 1
        if isinstance(failed, CutOffError):
            self.output_limit, self.cut_off = self.output_limit * _RAISED, failed.error
        allowed = not failed.last and self.calls < self.calls_allowed
        return allowed and self.failures[failed.error.code] <= failed.retries


class Questioner:
    """Asks over one endpoint. `prices` are USD per million input and output tokens by model-name prefix."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        prices: Mapping[str, tuple[float, float]],
        output_tokens: int,
        backoff_seconds: float,
    ) -> None:
        self._endpoint = endpoint
        self._prices = prices
        self._output_tokens = output_tokens
        self._backoff_seconds = backoff_seconds

    async def ask(self, calls: Calls, prompt: Prompt[Schema], deadline: float) -> Schema:
        """Return the answer, by a deadline on the monotonic clock. Raises AnalysisError and what `calls` raises."""
        asking = _Asking(
            prompt=prompt,
            deadline=deadline,
            calls_allowed=calls.limits.attempts,
            output_limit=self._output_tokens,
        )
        while asking.seconds_left > 0:
            try:
                kept = await calls.once(self._question(asking), partial(self._call, asking))
            except CallFailedError as failed:
                backoff_seconds = self._backoff_seconds * 2 ** (asking.calls - 1) * random.uniform(0.5, 1.5)  # noqa: S311
                pause_seconds = max(backoff_seconds, failed.wait_seconds)
                if not asking.may_retry(failed):
                    # The cause stays behind: a vendor's message may quote the document or the key.
                    raise asking.cause(failed) from None
                if pause_seconds >= min(asking.seconds_left, _PAUSE_SECONDS_MAX):
                    raise failed.ending from None
            else:
                return prompt.schema.model_validate_json(kept.answer)
            await asyncio.sleep(pause_seconds)
        raise LLMTimeoutError(_NO_TIME)

    def _question(self, asking: _Asking) -> Question:
        prompt = asking.prompt
        return Question(
            key=call_key(
                model=prompt.model,
                prompt_version=PROMPT_VERSION,
                schema_version=SCHEMA_VERSION,
                parameters={**prompt.parameters, **self._endpoint.parameters},
                text=prompt.content,
            ),
            model=prompt.model,
            price=price_of(prompt.model, self._prices),
            reserve_tokens=(FIXED_INPUT_TOKENS + tokens_of(prompt.content), asking.output_limit),
            timeout_seconds=asking.seconds_for_a_call,
        )

    async def _call(self, asking: _Asking, call_id: UUID) -> Answered:
        started = time.monotonic()
        cause, reason, status, tokens = "cancelled", None, None, NOTHING
        timeout_seconds = asking.seconds_for_a_call
        asking.calls += 1
        try:
            reply = await self._endpoint.ask(
                asking.prompt, output_tokens=asking.output_limit, timeout_seconds=timeout_seconds, call_id=call_id
            )
            status, tokens = 200, reply.tokens
            _check_read(tokens, asking.prompt.content)
            accepted = asking.prompt.accept(reply.parsed(asking.prompt.schema))
            cause = "ok"
        except CallFailedError as failed:
            if status is not None:
                failed.input_tokens, failed.output_tokens = tokens.input_tokens, tokens.output_tokens
            cause, reason, status = failed.error.code, failed.reason, failed.status or status
            raise
        finally:
            _logger.info(
                "llm.called",
                call_id=str(call_id),
                model=asking.prompt.model,
                cause=cause,
                reason=reason,
                status=status,
                duration_seconds=round(time.monotonic() - started, 3),
                input_tokens=tokens.input_tokens,
                output_tokens=tokens.output_tokens,
            )
        return Answered(
            text=accepted.model_dump_json(),
            input_tokens=tokens.input_tokens,
            output_tokens=tokens.output_tokens,
        )


def _check_read(tokens: Tokens, content: str) -> None:
    """Raises CallFailedError when the server has cut what it was sent, as some do without a word.

    What it had kept of an earlier prompt some do not count; of the document that is nothing, the first time.
    """
    least = least_tokens_of(content)
    if least > _NEVER_CUT_TOKENS and _NO_COUNT_TOKENS < tokens.read_tokens < least:
        cut = "The model's server read less than it was sent. Raise its context, or lower DOCRELAY_LLM_CHUNK_TOKENS."
        raise CallFailedError(LLMRejectedError(cut), reason="prompt cut")
