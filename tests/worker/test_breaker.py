"""The circuit breaker by itself, with calls that go on side by side and a clock that the test turns."""

from __future__ import annotations

from contextlib import ExitStack, suppress

import pytest

from shared.errors import LLMAuthError, LLMRateLimitedError, LLMUnavailableError, ModelRestingError
from worker_service.breaker import FAILURES_IN_A_ROW, Breaker
from worker_service.failures import CallFailedError


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(model="gpt-4.1", monotonic=clock)


def outage() -> CallFailedError:
    return CallFailedError(LLMUnavailableError(), retries=1)


def wrong_address() -> CallFailedError:
    return CallFailedError(LLMUnavailableError())


def limited(seconds: float | None = None) -> CallFailedError:
    return CallFailedError(LLMRateLimitedError(retry_after_seconds=seconds))


def side_by_side(breaker: Breaker, *failures: CallFailedError | None) -> None:
    """Calls that have all begun before the first of them ends."""
    calls = [ExitStack() for _ in failures]
    for call in calls:
        call.enter_context(breaker.watching())
    for call, failure in zip(calls, failures, strict=True):
        with suppress(CallFailedError), call:
            if failure:
                raise failure


def wait_of(breaker: Breaker) -> float | None:
    """How long a document would wait; None when a call may be made."""
    try:
        breaker.check()
    except (ModelRestingError, LLMRateLimitedError) as exc:
        return exc.retry_after_seconds
    return None


def test_burst_of_failures_opens_it_once(breaker: Breaker) -> None:
    side_by_side(breaker, *(outage() for _ in range(3 * FAILURES_IN_A_ROW)))
    assert wait_of(breaker) == 10


def test_burst_of_probes_opens_it_once_more(breaker: Breaker, clock: Clock) -> None:
    side_by_side(breaker, *(outage() for _ in range(FAILURES_IN_A_ROW)))
    clock.now = 10
    side_by_side(breaker, outage(), outage(), outage())
    assert wait_of(breaker) == 20
    clock.now = 30
    side_by_side(breaker, None)
    assert wait_of(breaker) is None


def test_wrong_address_is_no_outage(breaker: Breaker) -> None:
    for _ in range(3 * FAILURES_IN_A_ROW):
        side_by_side(breaker, wrong_address())
    assert breaker.closed


def test_rate_limit_of_one_call_is_everybodys(breaker: Breaker, clock: Clock) -> None:
    side_by_side(breaker, limited(30))
    assert (wait_of(breaker), breaker.closed) == (30, False)
    with pytest.raises(LLMRateLimitedError):
        breaker.check()
    clock.now = 30
    assert wait_of(breaker) is None
    side_by_side(breaker, None)
    assert breaker.closed


def test_longest_of_the_rate_limits_counts(breaker: Breaker) -> None:
    side_by_side(breaker, limited(30), limited(5), limited())
    assert wait_of(breaker) == 30


def waits(breaker: Breaker, clock: Clock, rounds: int, said: float | None = None) -> list[float]:
    """What the documents of a burst are told, round after round, by an API that does not say how long."""
    found = []
    for _ in range(rounds):
        burst = [LLMRateLimitedError(retry_after_seconds=said), LLMRateLimitedError(retry_after_seconds=said)]
        side_by_side(breaker, *map(CallFailedError, burst))
        [seconds] = {error.retry_after_seconds for error in burst}
        found.append(seconds)
        clock.now += seconds
    return found


@pytest.mark.parametrize("said", [None, 0.0])
def test_wait_grows_where_the_api_does_not_say_how_long(breaker: Breaker, clock: Clock, said: float | None) -> None:
    assert waits(breaker, clock, 9, said) == [10, 20, 40, 80, 160, 320, 600, 600, 600]


@pytest.mark.parametrize("answer", [None, CallFailedError(LLMAuthError())])
def test_wait_begins_anew_after_an_answer(breaker: Breaker, clock: Clock, answer: CallFailedError | None) -> None:
    waits(breaker, clock, 3)
    side_by_side(breaker, answer)
    assert waits(breaker, clock, 2) == [10, 20]


def test_answer_to_a_call_that_began_before_the_limit_does_not_end_it(breaker: Breaker) -> None:
    side_by_side(breaker, limited(30), None)
    assert wait_of(breaker) == 30
