"""Paid calls that no document makes: without a ledger, everything is asked anew, and whoever asks is told the bill."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import cast

from shared.analysis import Usage
from shared.clock import utc_now, uuid7
from shared.ledger import ANSWER_KEPT_FOR, StoredAnswer
from worker_service.calls import CallLimits, Calls, Make, Question
from worker_service.failures import CallFailedError


@dataclass(frozen=True, kw_only=True, slots=True)
class _Unrecorded:
    """What an analyzer uses of `Calls`."""

    limits: CallLimits
    asked: list[str] = field(default_factory=list)
    answers: list[StoredAnswer] = field(default_factory=list)

    async def once(self, question: Question, make: Make) -> StoredAnswer:
        self.asked.append(question.key)
        call_id = uuid7()
        try:
            answered = await make(call_id)
        except CallFailedError as failed:
            # Nobody would come back for the answer.
            failed.last = failed.wait_seconds > 0
            raise
        kept = StoredAnswer(
            call_id=call_id,
            answer=answered.text,
            model=question.model,
            input_tokens=answered.input_tokens or 0,
            output_tokens=answered.output_tokens or 0,
            cost_micro_usd=None,
            expires_at=utc_now() + ANSWER_KEPT_FOR,
        )
        self.answers.append(kept)
        return kept

    async def usage(self, _keys: Collection[str]) -> Usage:
        return Usage(
            calls=len(self.asked),
            input_tokens=sum(answer.input_tokens for answer in self.answers),
            output_tokens=sum(answer.output_tokens for answer in self.answers),
            cost_usd=None,
        )


def unrecorded(*, attempts: int) -> Calls:
    return cast("Calls", _Unrecorded(limits=CallLimits(attempts=attempts)))
