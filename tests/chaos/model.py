"""The delivery protocol in plain Python, explored breadth-first: every order of steps, kills and losses within bounds.

One document, several workers. The legal moves are the product's own; the rules are those of docs/delivery.md, and each
can be broken. Not in it: feed, idempotency keys, budget, the clock (a lease may end whenever it might).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from shared.document import IDLE, TRANSITIONS, WORKING, DocumentStatus

S = DocumentStatus
ENDED = IDLE | {S.DELETING}
MAX_ATTEMPTS = 3
# A worker's steps. PAID: the answer is in its memory alone. FULL: it has a stored result. DONE: its end is written.
WAITS, CLAIMED, READS, INTENT, PAID, FULL, DONE = range(7)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """Each rule of the protocol; a mutant drops one, or a few."""

    writes_carry_fence: bool = True
    writes_expect_status: bool = True
    taking_raises_fence: bool = True  # cancelling and deleting do
    stored_result_is_used: bool = True
    call_needs_fence: bool = True
    acknowledge_last: bool = True
    resend_has_new_id: bool = True
    sweep_looks_at_pending: bool = True
    sweep_looks_at_working: bool = True
    claim_waits_for_lease: bool = True
    late_result_is_kept: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """How often each thing that may go wrong does, and how often the user asks for something."""

    workers: int = 2
    kills: int = 2  # or stops: the document is given back
    lost_leases: int = 1  # of workers that live and go on
    duplicates: int = 1
    lost_messages: int = 1  # sends that never arrive, or messages that vanish with their queue
    wishes: int = 1  # cancel, process again
    deletes: int = 1


class Worker(NamedTuple):
    step: int = WAITS
    fence: int = 0
    message: int = 0  # the run that the message in its hands asks for; 0: it holds none


class State(NamedTuple):
    status: DocumentStatus
    fence: int
    run: int
    attempt: int
    leased: bool
    unsent: bool  # the API has committed and not sent yet
    sent: int  # the last deduplication id that the queue has accepted: run * 10 + send
    send: int
    queue: tuple[int, ...]  # visible messages, by the run that they ask for
    intent: int  # the fence of a call that is under way, as far as the store knows
    result: bool
    paid: int
    windows: int
    workers: tuple[Worker, ...]
    left: tuple[int, ...]  # what is left of the bounds: kills, lost leases, duplicates, lost messages, wishes, deletes
    broken: str = ""


Step = tuple[State, bool]  # with whether it is the system's own doing, rather than a fault or a wish
KILL, LEASE, DUPLICATE, LOST, WISH, DELETE = range(6)


@dataclass(kw_only=True)
class Exploration:
    """What a search has found: `broken` names each violation with the number of states that have it."""

    states: int = 0
    broken: dict[str, int] = field(default_factory=dict)
    stuck: int = 0


def explore(rules: Rules, bounds: Bounds) -> Exploration:
    """Visit every reachable state once; then look from which of them the system cannot come to an end by itself."""
    limits = (bounds.kills, bounds.lost_leases, bounds.duplicates, bounds.lost_messages, bounds.wishes, bounds.deletes)
    first = State(S.UPLOADED, 0, 0, 0, False, False, 0, 0, (), 0, False, 0, 0, (Worker(),) * bounds.workers, limits)
    numbers, order, found = {first: 0}, [first], Exploration()
    before: list[list[int]] = [[]]
    for number, state in enumerate(order):  # grows while it is walked
        if state.broken:
            found.broken[state.broken] = found.broken.get(state.broken, 0) + 1
            continue
        for following, own in steps(state, rules):
            if following not in numbers:
                numbers[following] = len(order)
                order.append(following)
                before.append([])
            if own:
                before[numbers[following]].append(number)
    found.states = len(order)
    found.stuck = len(order) - _can_end(order, before)
    return found


def _can_end(order: list[State], before: list[list[int]]) -> int:
    reached = {number for number, state in enumerate(order) if state.broken or _quiet(state)}
    front = list(reached)
    while front:
        earlier = {number for one in front for number in before[one]} - reached
        reached |= earlier
        front = list(earlier)
    return len(reached)


def _quiet(state: State) -> bool:
    """Nothing is left to do: no message, nobody at work, and the document waits for nobody."""
    return state.status in ENDED and not state.unsent and not state.queue and not any(w.step for w in state.workers)


def steps(state: State, rules: Rules) -> Iterator[Step]:
    yield from _user(state, rules)
    yield from _queue(state)
    yield from _sweep(state, rules)
    for index, worker in enumerate(state.workers):
        yield from _faults(state, index, worker)
        for changed, now in _work(state, worker, rules):
            yield _with(changed, index, now), True


def move(state: State, to: DocumentStatus, *, rise: bool = True, **facts: object) -> State:
    """As `advance()`, and as wrong as the caller lets it be: an illegal move is a violation."""
    broken = "" if to in TRANSITIONS[state.status] else f"illegal: {state.status} -> {to}"
    moved = state._replace(status=to, fence=state.fence + rise, leased=to in WORKING, broken=state.broken or broken)
    return moved._replace(**facts)  # type: ignore[arg-type]


def _user(state: State, rules: Rules) -> Iterator[Step]:
    if state.status is S.UPLOADED:
        yield _started(state), True
    elif state.left[WISH] and state.status in IDLE and not state.unsent:
        yield _started(_spent(state, WISH)), False
    if state.left[WISH] and S.CANCELLED in TRANSITIONS[state.status]:
        yield move(_spent(state, WISH), S.CANCELLED, rise=rules.taking_raises_fence), False
    if state.left[DELETE] and state.status is not S.DELETING:
        yield move(_spent(state, DELETE), S.DELETING, rise=rules.taking_raises_fence), False


def _started(state: State) -> State:
    """The move to pending; its message is sent after the commit, or never."""
    return move(state, S.PENDING, run=state.run + 1, attempt=0, send=1, unsent=True)


def _queue(state: State) -> Iterator[Step]:
    if state.unsent:
        yield _sent(state)._replace(unsent=False), True
        if state.left[LOST]:
            yield _spent(state, LOST)._replace(unsent=False), False
    for message in set(state.queue):
        if state.left[DUPLICATE]:
            yield _spent(state, DUPLICATE)._replace(queue=_and(state.queue, message)), False
        if state.left[LOST]:
            yield _spent(state, LOST)._replace(queue=_without(state.queue, message)), False


def _sent(state: State) -> State:
    """SQS swallows a message whose deduplication id it has seen, even after the first one was deleted."""
    identifier = state.run * 10 + state.send
    if identifier <= state.sent:
        return state
    return state._replace(sent=identifier, queue=_and(state.queue, state.run))


def _sweep(state: State, rules: Rules) -> Iterator[Step]:
    """It fires when no message is left. In truth it fires more often, which is what a duplicate does as well."""
    pending = state.status is S.PENDING and rules.sweep_looks_at_pending
    working = state.status in WORKING and not state.leased and rules.sweep_looks_at_working
    if not (pending or working) or state.unsent:
        return
    if state.attempt >= MAX_ATTEMPTS:
        yield move(state, S.FAILED), True
    elif not state.queue and not any(worker.message for worker in state.workers):
        # A tenth send would run into the next run's identifiers; no bound comes near it.
        yield _sent(state._replace(send=state.send + rules.resend_has_new_id)), True


def _faults(state: State, index: int, worker: Worker) -> Iterator[Step]:
    """A dead holder's lease ends by itself. A living one loses it: stopped for too long, or clocks apart."""
    if index == 0 and state.leased:
        alive = any(one.step and one.fence == state.fence for one in state.workers)
        if not alive:
            yield state._replace(leased=False), True
        elif state.left[LEASE]:
            yield _spent(state, LEASE)._replace(leased=False), False
    if worker.step and state.left[KILL]:
        yield _with(_dropped(_spent(state, KILL), worker), index, Worker()), False
        if worker.step < DONE and worker.fence == state.fence and state.status in WORKING:
            stopped = move(_spent(state, KILL), S.PENDING, attempt=state.attempt - 1)
            yield _with(_dropped(stopped, worker), index, Worker()), False
    if worker.message and state.left[DUPLICATE]:
        # Its visibility ends although its holder lives.
        yield _spent(state, DUPLICATE)._replace(queue=_and(state.queue, worker.message)), False


def _work(state: State, worker: Worker, rules: Rules) -> Iterator[tuple[State, Worker]]:
    """What a worker may do next, with what it is after that."""
    if worker.step == WAITS:
        yield from (
            _received(state, message, rules) for message in set(state.queue) if _may_receive(state, message, rules)
        )
    elif worker.step == CLAIMED:
        yield _written(state, worker, rules, S.ANALYZING)
        yield _written(state, worker, rules, S.FAILED)
    elif worker.step == READS:
        yield _called(state, worker, rules)
    elif worker.step == INTENT:
        broken = "paid more than once and each ambiguous window" if state.paid > state.windows else ""
        yield state._replace(paid=state.paid + 1, broken=broken), worker._replace(step=PAID)
    elif worker.step == PAID:
        keeps = rules.late_result_is_kept or worker.fence == state.fence
        stored = state._replace(result=True, intent=0 if state.intent == worker.fence else state.intent)
        yield stored if keeps else state, worker._replace(step=FULL)
    elif worker.step == FULL:
        yield _written(state, worker, rules, S.COMPLETED)
    else:
        yield state, Worker()  # the message is deleted: acknowledged last


def _may_receive(state: State, message: int, rules: Rules) -> bool:
    """A delivery that finds a live lease is put back, and one that finds no attempt left is the sweep's: no change."""
    leased = state.leased and rules.claim_waits_for_lease
    return not _asks(state, message) or not (leased or state.attempt >= MAX_ATTEMPTS)


def _asks(state: State, message: int) -> bool:
    """Whether the message still asks for something."""
    return message == state.run and state.status in {S.PENDING, *WORKING}


def _received(state: State, message: int, rules: Rules) -> tuple[State, Worker]:
    taken = state._replace(queue=_without(state.queue, message))
    if not _asks(state, message):
        return taken, Worker()  # finds its work done, or not its own
    claimed = move(taken, S.PROCESSING, attempt=state.attempt + 1)
    return claimed, Worker(CLAIMED, claimed.fence, message if rules.acknowledge_last else 0)


def _written(state: State, worker: Worker, rules: Rules, to: DocumentStatus) -> tuple[State, Worker]:
    """A worker's conditional write; refused, it lets its message come back."""
    fenced = worker.fence == state.fence
    expected = state.status is (S.ANALYZING if worker.step == FULL else S.PROCESSING)
    if (rules.writes_carry_fence and not fenced) or (rules.writes_expect_status and not expected):
        return _dropped(state, worker), Worker()
    moved = move(state, to, rise=to is not S.ANALYZING)
    stale = "" if fenced else "a stale write is accepted"
    then = READS if to is S.ANALYZING else DONE
    return moved._replace(broken=moved.broken or stale), worker._replace(step=then)


def _called(state: State, worker: Worker, rules: Rules) -> tuple[State, Worker]:
    """Before a call: is there a result? Else one transaction, under the fence, that says that a call begins."""
    if state.result and rules.stored_result_is_used:
        return state, worker._replace(step=FULL)
    mine = worker.fence == state.fence and state.status is S.ANALYZING
    if not mine and rules.call_needs_fence:
        return _dropped(state, worker), Worker()
    broken = "" if mine else "a call begins for a document that was taken away"
    broken = broken or ("a call begins although its result is stored" if state.result else "")
    ambiguous = bool(state.intent) and state.intent != worker.fence
    begun = state._replace(intent=worker.fence, windows=state.windows + ambiguous, broken=broken)
    return begun, worker._replace(step=INTENT)


def _dropped(state: State, worker: Worker) -> State:
    return state._replace(queue=_and(state.queue, worker.message)) if worker.message else state


def _with(state: State, index: int, worker: Worker) -> State:
    """With one worker changed. They are alike, so their order is of no account."""
    return state._replace(workers=tuple(sorted((*state.workers[:index], worker, *state.workers[index + 1 :]))))


def _spent(state: State, what: int) -> State:
    return state._replace(left=tuple(left - (index == what) for index, left in enumerate(state.left)))


def _and(queue: tuple[int, ...], message: int) -> tuple[int, ...]:
    return tuple(sorted((*queue, message)))


def _without(queue: tuple[int, ...], message: int) -> tuple[int, ...]:
    index = queue.index(message)
    return queue[:index] + queue[index + 1 :]
