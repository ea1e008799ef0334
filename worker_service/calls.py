"""Paid calls as an analyzer makes them: asked of the ledger first, made once, billed, and the answer kept.

Knows neither a vendor nor what an answer means.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import timedelta
from uuid import UUID

from shared import log
from shared.analysis import Usage
from shared.clock import Clock, NewId
from shared.document import CLOCK_SKEW, Document
from shared.errors import (
    AnalysisError,
    BackendUnavailableError,
    BudgetExceededError,
    BudgetHeldError,
    LeaseLostError,
    LLMRateLimitedError,
    ResultPendingError,
)
from shared.ledger import ANSWER_KEPT_FOR, Admission, Call, CallState, StoredAnswer
from shared.ports import CallLedger
from worker_service.breaker import Breakers
from worker_service.failures import CallFailedError
from worker_service.in_flight import InFlight
from worker_service.pricing import Price

_log = log.get(__name__)

# A bill is worth some patience: what is not in the ledger is paid for again.
_SETTLE_TRIES = 5
_SETTLE_PAUSE_SECONDS = 1.0
# Between the end of a call and its bill.
_SETTLE_GRACE = timedelta(seconds=10)


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What one call would ask. `reserve_tokens` are the most input and output tokens that it may take."""

    key: str
    model: str
    price: Price | None
    reserve_tokens: tuple[int, int]
    timeout_seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Answered:
    """What the provider answered, and what it will bill; None when it does not say."""

    text: str
    input_tokens: int | None
    output_tokens: int | None


Make = Callable[[UUID], Awaitable[Answered]]


@dataclass(frozen=True, kw_only=True, slots=True)
class CallLimits:
    """`attempts` are calls for each run and key, over all its claims; None is no limit."""

    attempts: int
    document_micro_usd: int | None = None
    day_micro_usd: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Calls:
    """The paid calls for one claimed document, counted under `profile`; `fingerprint` is part of every key."""

    document: Document
    ledger: CallLedger
    limits: CallLimits
    clock: Clock
    new_id: NewId
    in_flight: InFlight = field(default_factory=InFlight)
    breakers: Breakers = field(default_factory=Breakers)
    profile: str = "default"
    fingerprint: str = ""
    asked: list[str] = field(default_factory=list, repr=False, compare=False)
    closed: list[Call] = field(default_factory=list, repr=False, compare=False)
    # How many attempts each question has burnt before the call that is under way.
    _burnt: dict[str, int] = field(default_factory=dict, init=False, repr=False, compare=False)
    # Calls of one document may run side by side, but each is weighed against all before it.
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock, init=False, repr=False, compare=False)

    async def once(self, question: Question, make: Make) -> StoredAnswer:
        """Return the kept answer to a question, or pay for one.

        Raises CallFailedError when the call was made and failed; AnalysisError when it must not be made any more;
        NotNowError when something else has to end first; LeaseLostError.
        """
        question = self._own(question)
        self.asked.append(question.key)
        async with self._turn:
            found = await self._begin(question, unknown=self._nothing_to_know(question))
        if isinstance(found, StoredAnswer):
            return found
        return await self.in_flight.finish(self._pay(question, found, make))

    async def usage(self, keys: Collection[str]) -> Usage:
        """What these of the questions that were asked have cost the run, over all its claims."""
        run = [call for call in await self._closed(keys) if call.call_key in keys]
        made = [call for call in run if call.state is not CallState.CACHED]
        unpriced = any(call.cost_micro_usd is None and call.state is not CallState.AMBIGUOUS for call in made)
        return Usage(
            calls=len(made),
            input_tokens=sum(call.input_tokens for call in made),
            output_tokens=sum(call.output_tokens for call in made),
            cost_usd=None if unpriced else sum(call.cost_micro_usd or 0 for call in made) / 1_000_000,
            cached=bool(run) and not made,
        )

    async def _closed(self, keys: Collection[str]) -> list[Call]:
        """The run's calls under these keys, from the ledger unless all of them were made under this claim."""
        here = {call.call_key for call in self.closed}
        return self.closed if self.document.first_claimed and here.issuperset(keys) else await self._run()

    def _own(self, question: Question) -> Question:
        key = hashlib.sha256(f"{self.fingerprint}{question.key}".encode()).hexdigest()
        return replace(question, key=key) if self.fingerprint else question

    async def _begin(self, question: Question, *, unknown: bool = False) -> Call | StoredAnswer:
        """The kept answer, or the call that the ledger has accepted."""
        if not unknown:
            run = await self._run()
            if kept := await self._kept(question, run):
                return kept
            self._check_limits(question, run)
            self.breakers.of(question.model).check()
        call, day_limit = self._intent(question), self.limits.day_micro_usd
        match await self.ledger.begin(call, replace=self.document.force, day_limit_micro_usd=day_limit):
            case Admission.ACCEPTED:
                return call
            case Admission.STORED:
                return await self._begin(question)
            case refused:
                raise _refusal(refused)

    def _nothing_to_know(self, question: Question) -> bool:
        # No call of a document that was never claimed before is in the ledger, which says itself if an answer is kept.
        return self.document.first_claimed and self.asked == [question.key] and self.breakers.of(question.model).closed

    async def _run(self) -> list[Call]:
        return await self.ledger.calls(self.document.id, run=self.document.run)

    async def _kept(self, question: Question, run: list[Call]) -> StoredAnswer | None:
        kept = await self.ledger.answer(self.document.owner, question.key, now=self.clock())
        if kept is None:
            return None
        if kept.call_id in {call.id for call in run}:
            return kept
        if self.document.force:
            return None
        now = self.clock()
        noted = replace(self._intent(question), state=CallState.CACHED, cost_micro_usd=0, ended_at=now, until=now)
        noted = replace(noted, reserved_micro_usd=0)
        await self.ledger.reuse(noted, saved=kept)
        self.closed.append(noted)
        _log.info("llm.reused", model=question.model, saved_micro_usd=kept.cost_micro_usd)
        return kept

    def _check_limits(self, question: Question, run: list[Call]) -> None:
        burnt = _burnt(run, question)
        self._burnt[question.key] = len(burnt)
        if len(burnt) >= self.limits.attempts:
            raise _error_of(burnt[-1])
        limit, spent = self.limits.document_micro_usd, sum(call.committed_micro_usd for call in run)
        if limit is not None and spent >= limit:
            raise BudgetExceededError("The document has cost as much as one document may.")

    def _intent(self, question: Question) -> Call:
        now = self.clock()
        return Call(
            id=self.new_id(),
            owner=self.document.owner,
            document_id=self.document.id,
            run=self.document.run,
            fence=self.document.fence,
            call_key=question.key,
            model=question.model,
            profile=self.profile,
            started_at=now,
            until=now + timedelta(seconds=question.timeout_seconds) + _SETTLE_GRACE + CLOCK_SKEW,
            reserved_micro_usd=_cost(question, *question.reserve_tokens) or 0,
        )

    async def _pay(self, question: Question, call: Call, make: Make) -> StoredAnswer:
        try:
            with self.breakers.of(call.model).watching():
                answered = await make(call.id)
        except CallFailedError as failed:
            failed.last = self._burnt.get(question.key, 0) + 1 >= self.limits.attempts
            await self._settle(self._failed(question, call, failed))
            raise
        # A bug: how far the call came nobody knows, but the intent holds up everybody with the same question.
        except Exception as bug:
            _log.warning("llm.ambiguous", call_id=str(call.id), model=call.model, cause=type(bug).__name__)
            await self._settle(replace(call, state=CallState.AMBIGUOUS, ended_at=self.clock()))
            raise
        ended = replace(
            call,
            state=CallState.DONE,
            input_tokens=answered.input_tokens or 0,
            output_tokens=answered.output_tokens or 0,
            cost_micro_usd=_cost(question, answered.input_tokens, answered.output_tokens),
            ended_at=self.clock(),
        )
        kept = _kept_from(ended, answered.text)
        await self._settle(ended, keep=kept)
        return kept

    def _failed(self, question: Question, call: Call, failed: CallFailedError) -> Call:
        if failed.ambiguous:
            _log.warning("llm.ambiguous", call_id=str(call.id), model=call.model, cause=failed.error.code)
        return replace(
            call,
            state=CallState.AMBIGUOUS if failed.ambiguous else CallState.ERROR,
            error=failed.error.code,
            input_tokens=failed.input_tokens or 0,
            output_tokens=failed.output_tokens or 0,
            cost_micro_usd=None if failed.ambiguous else _cost(question, failed.input_tokens, failed.output_tokens),
            ended_at=self.clock(),
        )

    async def _settle(self, call: Call, keep: StoredAnswer | None = None) -> None:
        for tries_left in range(_SETTLE_TRIES - 1, -1, -1):
            try:
                await self.ledger.settle(call, keep=keep, replace=self.document.force)
            except BackendUnavailableError:
                if not tries_left:
                    raise
                await asyncio.sleep(_SETTLE_PAUSE_SECONDS)
            else:
                return self.closed.append(call)
        return None


def _burnt(run: list[Call], question: Question) -> list[Call]:
    """The calls that count as attempts: those that ended, badly, and said so.

    A killed worker's do not, for its claim counts already; nor do those that were told to wait.
    """
    return [
        call
        for call in run
        if call.call_key == question.key and call.error is not None and call.error != LLMRateLimitedError.code
    ]


def _kept_from(call: Call, text: str) -> StoredAnswer:
    assert call.ended_at is not None, "an answered call has ended"
    return StoredAnswer(
        call_id=call.id,
        answer=text,
        model=call.model,
        input_tokens=call.input_tokens,
        output_tokens=call.output_tokens,
        cost_micro_usd=call.cost_micro_usd,
        expires_at=call.ended_at + ANSWER_KEPT_FOR,
    )


def _cost(question: Question, input_tokens: int | None, output_tokens: int | None) -> int | None:
    if question.price is None or input_tokens is None or output_tokens is None:
        return None
    return question.price.micro_usd(input_tokens=input_tokens, output_tokens=output_tokens)


def _refusal(admission: Admission) -> Exception:
    match admission:
        case Admission.IN_FLIGHT:
            return ResultPendingError()
        case Admission.BUDGET_HELD:
            return BudgetHeldError()
        case Admission.BUDGET_SPENT:
            return BudgetExceededError("The owner's budget for today is spent.")
        case _:
            return LeaseLostError()


def _error_of(call: Call) -> AnalysisError:
    kinds = {kind.code: kind for kind in AnalysisError.__subclasses__()}
    return kinds.get(call.error or "", AnalysisError)()
