"""The legal moves, and what follows from each."""

from __future__ import annotations

import importlib
from datetime import timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.document import (
    CLOCK_SKEW,
    IDLE,
    RESEND_AFTER_MAX,
    TRANSITIONS,
    WORKING,
    DocumentStatus,
    advance,
    due_after_send,
)
from shared.errors import IllegalMoveError
from tests.support.builders import NOW, lease, move, moves, new_document

S = DocumentStatus


def test_migration_knows_the_same_legal_moves() -> None:
    name = "shared.adapters.postgres.migrations.versions.0001_documents_feed_accounts"
    legal = importlib.import_module(name).LEGAL
    assert {start: set(ends.split()) for start, ends in legal.items()} == {
        str(start): set(map(str, ends)) for start, ends in TRANSITIONS.items() if ends
    }


@given(st.lists(st.sampled_from(list(S)), max_size=12))
def test_any_walk_keeps_the_invariants(path: list[DocumentStatus]) -> None:
    document = new_document()
    for to in path:
        if to not in TRANSITIONS[document.status]:
            with pytest.raises(IllegalMoveError):
                move(document, to)
            continue
        change = move(document, to)
        before, document = document, change.after
        assert document.version == before.version + 1 == change.entry.version
        assert document.fence >= before.fence
        assert (document.due_at is None) == (document.status in IDLE)
        assert (document.lease is None) == (document.status not in WORKING)
        assert (change.entry.previous, change.entry.status) == (before.status, document.status)


def test_claim_raises_fence_and_attempt_and_is_due_when_its_lease_ends() -> None:
    pending = moves(new_document(), S.UPLOADED, S.PENDING)[-1].after
    claimed = move(pending, S.PROCESSING, lease=lease(seconds=15)).after
    assert (claimed.fence, claimed.attempt) == (pending.fence + 1, 1)
    assert claimed.due_at == NOW + timedelta(seconds=15)


def test_claim_needs_a_lease() -> None:
    pending = moves(new_document(), S.UPLOADED, S.PENDING)[-1].after
    with pytest.raises(IllegalMoveError):
        advance(pending, S.PROCESSING, at=NOW, write_id=uuid4())


def test_analyzing_keeps_fence_and_lease() -> None:
    claimed = moves(new_document(), S.UPLOADED, S.PENDING, S.PROCESSING)[-1].after
    analyzing = move(claimed, S.ANALYZING).after
    assert (analyzing.fence, analyzing.lease) == (claimed.fence, claimed.lease)


@pytest.mark.parametrize(("burn", "attempt"), [(True, 1), (False, 0)])
def test_release_gives_the_attempt_back_only_when_told(burn: bool, attempt: int) -> None:
    claimed = moves(new_document(), S.UPLOADED, S.PENDING, S.PROCESSING)[-1].after
    released = move(claimed, S.PENDING, burn_attempt=burn).after
    assert (released.attempt, released.run, released.lease) == (attempt, claimed.run, None)


def test_new_run_begins_counting_anew() -> None:
    failed = moves(new_document(), S.UPLOADED, S.PENDING, S.PROCESSING, S.FAILED)[-1].after
    again = move(failed, S.PENDING).after
    assert (again.run, again.attempt, again.send) == (failed.run + 1, 0, 1)
    assert again.fence > failed.fence


def test_lease_is_live_for_the_clock_skew_beyond_its_end() -> None:
    claimed = moves(new_document(), S.UPLOADED, S.PENDING, S.PROCESSING)[-1].after
    assert claimed.lease is not None
    end = claimed.lease.until
    assert claimed.lease_is_live(end + CLOCK_SKEW - timedelta(microseconds=1))
    assert not claimed.lease_is_live(end + CLOCK_SKEW)


def test_resends_are_spaced_wider_and_wider_up_to_an_hour() -> None:
    waits = [due_after_send(send, at=NOW) - NOW for send in range(1, 40)]
    assert waits == sorted(waits)
    assert waits[0] == timedelta(minutes=5)
    assert waits[1] == 2 * waits[0]
    assert waits[-1] == RESEND_AFTER_MAX
