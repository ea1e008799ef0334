"""The invariants, checked over a recorded history. Each is a function that yields what breaks it, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from uuid import UUID

from shared.document import IDLE, TERMINAL, TRANSITIONS, DocumentStatus
from shared.events import DELETED, FeedEvent
from shared.ledger import Call, CallState
from tests.chaos.history import Billed, History, Keyed, Life

S = DocumentStatus
# From a call's end to its answer being kept, on a busy machine.
_KEEPING_SECONDS = 3.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One violation. `kind` is the category under which it is counted."""

    invariant: str
    kind: str
    what: str


Check = Callable[[History], Iterator[tuple[str, str]]]


def promises(history: History) -> Iterator[tuple[str, str]]:
    deleted = history.kept("delete")
    for document_id, answer in history.kept("upload").items():
        life = history.lives.get(document_id)
        if document_id in deleted:
            continue
        if life is None:
            yield "lost", f"{answer.name} was acknowledged and is gone"
        elif life.document.status is S.FAILED and life.document.failure is None:
            yield "lost", f"{answer.name} failed without a cause"
        elif life.document.status is S.FAILED and history.spotless:
            yield "wrong failures", f"{answer.name} failed: {life.document.failure}"
        elif life.document.status not in TERMINAL:
            yield "stuck", f"{answer.name} is still {life.document.status}"
    asked_for = Counter(name for name, _ in {(one.name, one.document_id) for one in history.asked("upload")})
    uploads = Counter(life.document.filename for life in _present(history))
    for name, count in uploads.items():
        if name not in asked_for:
            yield "unexpected", f"{name} was never uploaded"
        elif count > asked_for[name]:
            yield "duplicated", f"{name} was uploaded {asked_for[name]} times and is there {count} times"


def recoveries(history: History) -> Iterator[tuple[str, str]]:
    for number, recovery in enumerate(history.recoveries, 1):
        if recovery.seconds > recovery.allowed_seconds:
            yield "late recoveries", f"recovery {number} took {recovery.seconds:.1f} s"


def legal_moves(history: History) -> Iterator[tuple[str, str]]:
    for life in _present(history):
        entries, document = life.entries, life.document
        for entry in entries:
            if entry.status not in TRANSITIONS[entry.previous]:
                yield "illegal", f"{document.filename}: {entry.previous} -> {entry.status}"
        if [entry.version for entry in entries] != list(range(1, document.version + 1)):
            yield "illegal", f"{document.filename}: versions {[entry.version for entry in entries]}"
        if any(after.previous is not before.status for before, after in pairwise(entries)):
            yield "illegal", f"{document.filename}: a move does not begin where the one before ended"
        if entries and (entries[-1].status, entries[-1].fence) != (document.status, document.fence):
            yield "illegal", f"{document.filename}: the row is not what its last move made it"
        if history.spotless and document.run > 1:
            yield "duplicated", f"{document.filename}: asked for once and run {document.run} times"
        for run, of_run in groupby(entries, key=lambda entry: entry.run):
            ends = [entry.status for entry in of_run if entry.status in TERMINAL]
            if len(ends) > 1:
                yield "duplicated", f"{document.filename}: run {run} ended {len(ends)} times: {', '.join(ends)}"


def fences(history: History) -> Iterator[tuple[str, str]]:
    """Every move but its holder's own progress takes the document out of somebody's hands, and raises the fence."""
    for life in _present(history):
        for before, after in pairwise(life.entries):
            if after.fence != before.fence + (after.status not in {S.UPLOADED, S.ANALYZING}):
                yield "stale writes", f"{life.document.filename}: fence {before.fence}, then {after.fence}"
        if life.entries and life.document.fence < max(entry.fence for entry in life.entries):
            yield "stale writes", f"{life.document.filename}: the row's fence is below its history's"


def leases(history: History) -> Iterator[tuple[str, str]]:
    """A claim over a claim comes no sooner than the lease of the first can have ended."""
    for life in _present(history):
        for before, after in pairwise(life.entries):
            stolen = before.status in {S.PROCESSING, S.ANALYZING} and after.status is S.PROCESSING
            if stolen and (after.at - before.at).total_seconds() < history.lease_seconds:
                yield "two leases", f"{life.document.filename}: claimed while the lease was live"


def payments(history: History) -> Iterator[tuple[str, str]]:
    """The ledger is the provider's journal, and nothing was paid for that was there already."""
    rows = {str(call.id): call for call in history.ledger}
    for billed in history.billed:
        row = rows.get(billed.id)
        if row is None and billed.name not in _deleted(history):
            yield "unaccounted calls", f"{billed.name}: the provider bills a call that is not in the ledger"
        elif row is not None and row.state is CallState.DONE and _tokens(row) != _tokens(billed):
            yield "unaccounted calls", f"{billed.name}: billed {_tokens(billed)} tokens, entered {_tokens(row)}"
    paid = {billed.id for billed in history.billed}
    for calls in _by_key(history.ledger):
        yield from _payments_of(calls, paid, _stops(history))


def _payments_of(calls: list[Call], paid: set[str], stops: Sequence[float]) -> Iterator[tuple[str, str]]:
    """Of one owner and call key. A call whose answer got lost is ambiguous, and may be made once more."""
    what = f"document {calls[0].document_id}, run {calls[0].run}"
    billed, windows = sum(str(call.id) in paid for call in calls), _in_doubt(calls, stops)
    if billed > 1 + len(windows):
        yield "avoidable calls", f"{what}: paid {billed} times with {len(windows)} ambiguous windows"
    for call in calls:
        if call.state is CallState.DONE and str(call.id) not in paid:
            yield "unaccounted calls", f"{what}: the ledger has a call that the provider never saw"


def ambiguous_windows(history: History) -> int:
    return sum(len(_in_doubt(calls, _stops(history))) for calls in _by_key(history.ledger))


def _in_doubt(calls: Sequence[Call], stops: Sequence[float]) -> list[Call]:
    """Calls of one key whose answer was not kept, or not yet when the next one began, because their worker was stopped.

    A worker that goes on afterwards enters the bill: its call then looks like any other.
    """
    return [
        call
        for call in calls
        if call.state in {CallState.AMBIGUOUS, CallState.INTENT}
        or (any(other.started_at > call.started_at for other in calls) and any(_under_way(call, at) for at in stops))
    ]


def _under_way(call: Call, at: float) -> bool:
    """Whether the call was being made, or its answer being kept, at that time."""
    ended = (call.ended_at or call.started_at).timestamp()
    return call.started_at.timestamp() <= at <= ended + _KEEPING_SECONDS


def _stops(history: History) -> list[float]:
    return [act.at for act in history.acts if act.what == "stop"]


def _by_key(calls: Sequence[Call]) -> list[list[Call]]:
    """The calls of each owner and call key."""
    return [list(of_key) for _, of_key in groupby(sorted(calls, key=_owner_and_call_key), key=_owner_and_call_key)]


def _deleted(history: History) -> set[str]:
    return {answer.name for answer in history.asked("delete")}


def _tokens(call: Call | Billed) -> tuple[int, int]:
    return call.input_tokens, call.output_tokens


def _owner_and_call_key(call: Call) -> tuple[UUID, str]:
    return call.owner, call.call_key


def keys(history: History) -> Iterator[tuple[str, str]]:
    """Same key and body: one run, one answer. Another body: 422. Another user's same key: a document of their own."""
    expected = {"changed": 422, "foreign": 404}
    for answer in history.keyed:
        if answer.variant != "same" and answer.status != expected[answer.variant]:
            yield "keys", f"{answer.key}, {answer.variant}: answered {answer.status}"
    same = [answer for answer in history.keyed if answer.variant == "same"]
    owners: dict[UUID, set[UUID]] = {}
    for (owner, key), of_key in groupby(sorted(same, key=_owner_and_key), key=_owner_and_key):
        answers = list(of_key)
        if len({(answer.status, answer.body) for answer in answers}) > 1 or answers[0].document_id is None:
            kinds = Counter(f"{answer.status} {answer.body}" for answer in answers)
            yield "keys", f"{key}: {len(kinds)} different answers: {'; '.join(kinds)[:300]}"
        for document_id in {answer.document_id for answer in answers} - {None}:
            assert document_id is not None
            owners.setdefault(document_id, set()).add(owner)
            begun = sum(entry.status is S.PENDING for entry in history.lives[document_id].entries if entry.run == 1)
            if begun != 1 or history.lives[document_id].document.run != 1:
                yield "keys", f"{key}: {history.lives[document_id].document.run} runs"
    for document_id, sharing in owners.items():
        if len(sharing) > 1:
            yield "keys", f"{document_id} was given to {len(sharing)} users"


def _owner_and_key(answer: Keyed) -> tuple[UUID, str]:
    return answer.owner, answer.key


def order(history: History) -> Iterator[tuple[str, str]]:
    """Of documents that were enqueued one after the other, the first claims come in the same order."""
    for group in _groups(history):
        entered, claimed = _first_times(group, S.PENDING), _first_times(group, S.PROCESSING)
        if entered != claimed:
            place = next(place for place, pair in enumerate(zip(entered, claimed, strict=False)) if len(set(pair)) > 1)
            yield "out of order", f"of {len(entered)} documents in order, the one at place {place} was overtaken"


def poison(history: History) -> Iterator[tuple[str, str]]:
    for life in _present(history) if history.max_attempts else ():
        if life.document.attempt > history.max_attempts:
            yield "poison", f"{life.document.filename}: held its group for {life.document.attempt} attempts"


def stream(history: History) -> Iterator[tuple[str, str]]:
    for owner, frames in history.seen.items():
        feed = [(event.seq, event.document_id, event.status) for event in history.feeds[owner]]
        got = [(frame.seq, frame.document_id, frame.status) for frame in frames]
        if got != feed:
            yield "stream", f"owner {owner}: the feed has {len(feed)} events, the client saw {len(got)}"


def deletions(history: History) -> Iterator[tuple[str, str]]:
    for document_id, answer in history.kept("delete").items():
        life = history.lives.get(document_id)
        if life is not None and (life.document.status is not S.DELETING or life.document.filename or life.entries):
            yield "undeleted", f"{answer.name} was deleted and is {life.document.status}"
    # Whatever became of it, accepted or not: what has no row is found by no sweep and no deletion.
    known = {str(one) for one, life in history.lives.items() if life.document.status is not S.DELETING}
    for key in history.left.keys:
        if key.split("/")[2] not in known:
            yield "undeleted", f"{key} is of no document that is there"


def quiescence(history: History) -> Iterator[tuple[str, str]]:
    for life in history.lives.values():
        document = life.document
        if (document.due_at is None) != (document.status in IDLE):
            yield "stuck", f"{document.filename} is {document.status} with due_at {document.due_at}"
        if document.working and (document.lease is None or document.due_at != document.lease.until):
            yield "stuck", f"{document.filename} is held, and nobody looks when the lease ends"
    for document_id in history.left.due:
        yield "stuck", f"{document_id} is still due"
    if history.left.visible or history.left.in_flight:
        yield "stuck", f"{history.left.visible} messages are left, {history.left.in_flight} of them in flight"


def graceful(history: History) -> Iterator[tuple[str, str]]:
    for stop in history.stops:
        if stop.in_flight:
            yield "left in flight", f"{stop.in_flight} messages were in flight after an exit"
        if stop.seconds > stop.allowed_seconds:
            yield "late exits", f"an exit took {stop.seconds:.1f} s"
    for life in _present(history) if history.stops else ():
        if life.document.attempt > 1:
            yield "attempts burnt", f"{life.document.filename}: ended at attempt {life.document.attempt}"


INVARIANTS: dict[str, tuple[str, Check]] = {
    "I1": ("every acknowledged upload ends completed, failed with a cause, cancelled or deleted", promises),
    "I1, in time": ("after a kill of everything, what was being worked on ends soon", recoveries),
    "I2": ("only legal moves, versions without a hole, one end for each run, the row is its last move", legal_moves),
    "I3": ("fences rise; no write below the current fence is accepted", fences),
    "I4": ("at most one live lease", leases),
    "I5": ("the ledger is the provider's journal; paid once for each call key and ambiguous window", payments),
    "I6": ("one key, one run and one answer; another body is refused, another user independent", keys),
    "I7": ("first claims come in the order of the queue", order),
    "I8": ("a poison document holds its group no longer than its attempts", poison),
    "I9": ("what a client of the stream saw is the feed, in order, once", stream),
    "I10": ("what was deleted is gone and stays gone", deletions),
    "I11": ("whoever has to act is due; when all is quiet, nothing is due and the queue is empty", quiescence),
    "I12": ("SIGTERM: exit in time, no message left in flight, no attempt burnt", graceful),
}


def findings(history: History) -> list[Finding]:
    return [
        Finding(invariant=name, kind=kind, what=what)
        for name, (_, check) in INVARIANTS.items()
        for kind, what in check(history)
    ]


def _present(history: History) -> Iterator[Life]:
    return (life for life in history.lives.values() if life.document.status is not S.DELETING)


def _groups(history: History) -> list[list[FeedEvent]]:
    """The events of what the queue keeps in order."""
    feeds = [list(events) for events in history.feeds.values()]
    if history.ordered == "global":
        # Each feed is in order by itself. Between feeds the clocks of one machine decide.
        return [sorted((event for events in feeds for event in events), key=lambda event: event.at)]
    return feeds if history.ordered == "owner" else []


def _first_times(events: list[FeedEvent], status: DocumentStatus) -> list[UUID]:
    """The documents, in the order in which they first came to `status`; deleted ones are left out."""
    gone = {event.document_id for event in events if event.status == DELETED}
    return list(dict.fromkeys(e.document_id for e in events if e.status == status and e.document_id not in gone))
