"""PostgresCallLedger: paid calls, kept answers, budgets. Locks in the order document, call, budget, usage."""

from __future__ import annotations

from dataclasses import asdict, fields
from datetime import date, datetime
from typing import Any
from uuid import UUID

import psycopg

from shared import log
from shared.adapters.postgres.connection import Pool, Row, connected, fetch_all, fetch_one
from shared.ledger import Admission, Call, CallState, DayUsage, StoredAnswer

_log = log.get(__name__)

_Connection = psycopg.AsyncConnection[Row]
_COLUMNS = tuple(field.name for field in fields(Call))
_KEPT = tuple(field.name for field in fields(StoredAnswer))
_CALL_VALUES = ", ".join(f"%({name})s" for name in _COLUMNS)

_ANSWER = f"""
SELECT {", ".join(_KEPT)} FROM llm_results
WHERE owner = %(owner)s AND call_key = %(call_key)s AND expires_at > %(now)s
"""  # noqa: S608 - column names of our own
_CALLS = f"""
SELECT {", ".join(_COLUMNS)} FROM llm_calls WHERE document_id = %(document_id)s AND run = %(run)s
ORDER BY started_at, id
"""  # noqa: S608

# Shared with other calls of the document; a move of it has to wait, and so comes before or after.
_HELD = """
SELECT 1 FROM documents WHERE id = %(document_id)s AND fence = %(fence)s AND status = 'analyzing' FOR SHARE
"""
_SUPERSEDE = """
UPDATE llm_calls SET state = 'ambiguous', ended_at = %(started_at)s
WHERE owner = %(owner)s AND call_key = %(call_key)s AND state = 'intent'
  AND ((document_id = %(document_id)s AND fence < %(fence)s) OR until <= %(started_at)s)
RETURNING owner, (started_at AT TIME ZONE 'UTC')::date AS day, model, profile
"""
_GIVE_UP = "UPDATE llm_budgets SET open_calls = open_calls - 1 WHERE owner = %(owner)s AND day = %(day)s"
_INTEND = f"""
INSERT INTO llm_calls ({", ".join(_COLUMNS)}) VALUES ({_CALL_VALUES})
ON CONFLICT (owner, call_key) WHERE state = 'intent' DO NOTHING
"""  # noqa: S608
_RESERVE = """
INSERT INTO llm_budgets (owner, day, committed_micro_usd, open_calls, open_until)
VALUES (%(owner)s, %(day)s, %(reserved_micro_usd)s, 1, %(until)s)
ON CONFLICT (owner, day) DO UPDATE
SET committed_micro_usd = llm_budgets.committed_micro_usd + excluded.committed_micro_usd,
    open_calls = llm_budgets.open_calls + 1, open_until = greatest(llm_budgets.open_until, excluded.open_until)
WHERE %(limit)s::bigint IS NULL OR llm_budgets.committed_micro_usd < %(limit)s
"""
_OPEN = """
SELECT 1 FROM llm_budgets
WHERE owner = %(owner)s AND day = %(day)s AND open_calls > 0 AND open_until > %(started_at)s
"""

_NAMEABLE = "SELECT 1 FROM documents WHERE id = %(document_id)s AND status <> 'deleting' FOR SHARE"
_STATE = "SELECT state FROM llm_calls WHERE id = %(id)s FOR UPDATE"
_CLOSE = """
UPDATE llm_calls SET state = %(state)s, input_tokens = %(input_tokens)s, output_tokens = %(output_tokens)s,
                     cost_micro_usd = %(cost_micro_usd)s, error = %(error)s, ended_at = %(ended_at)s
WHERE id = %(id)s
"""
_KEEP = f"""
INSERT INTO llm_results (owner, call_key, {", ".join(_KEPT)})
VALUES (%(owner)s, %(call_key)s, {", ".join(f"%({name})s" for name in _KEPT)})
ON CONFLICT (owner, call_key) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in _KEPT)}
WHERE %(replace)s OR llm_results.expires_at <= %(ended_at)s
"""  # noqa: S608
_CHARGE = """
UPDATE llm_budgets SET committed_micro_usd = committed_micro_usd + %(correction)s, open_calls = open_calls - %(open)s
WHERE owner = %(owner)s AND day = %(day)s
"""
_COUNT = """
INSERT INTO llm_usage AS so_far (owner, day, model, profile, calls, ambiguous, cached, input_tokens, output_tokens,
                                 cost_micro_usd, saved_micro_usd)
VALUES (%(owner)s, %(day)s, %(model)s, %(profile)s, %(calls)s, %(ambiguous)s, %(cached)s, %(input_tokens)s,
        %(output_tokens)s, %(cost)s, %(saved)s)
ON CONFLICT (owner, day, model, profile) DO UPDATE
SET calls = so_far.calls + excluded.calls, ambiguous = so_far.ambiguous + excluded.ambiguous,
    cached = so_far.cached + excluded.cached, input_tokens = so_far.input_tokens + excluded.input_tokens,
    output_tokens = so_far.output_tokens + excluded.output_tokens,
    cost_micro_usd = so_far.cost_micro_usd + excluded.cost_micro_usd,
    saved_micro_usd = so_far.saved_micro_usd + excluded.saved_micro_usd
"""
_NOTE = f"""
INSERT INTO llm_calls ({", ".join(_COLUMNS)}) SELECT {_CALL_VALUES}
WHERE NOT EXISTS (
    SELECT 1 FROM llm_calls WHERE document_id = %(document_id)s AND run = %(run)s AND call_key = %(call_key)s
    AND state IN ('done', 'cached')
)
"""  # noqa: S608
_USAGE = """
SELECT day, model, profile, sum(calls)::bigint AS calls, sum(ambiguous)::bigint AS ambiguous,
       sum(cached)::bigint AS cached,
       sum(input_tokens)::bigint AS input_tokens, sum(output_tokens)::bigint AS output_tokens,
       sum(cost_micro_usd)::bigint AS cost_micro_usd, sum(saved_micro_usd)::bigint AS saved_micro_usd
FROM llm_usage
WHERE (%(owner)s::uuid IS NULL OR owner = %(owner)s) AND day BETWEEN %(since)s AND %(until)s
GROUP BY day, model, profile ORDER BY day DESC, model, profile
"""


class PostgresCallLedger:
    def __init__(self, *, pool: Pool) -> None:
        self._pool = pool

    async def answer(self, owner: UUID, call_key: str, *, now: datetime) -> StoredAnswer | None:
        row = await fetch_one(self._pool, _ANSWER, {"owner": owner, "call_key": call_key, "now": now})
        return StoredAnswer(**row) if row else None

    async def calls(self, document_id: UUID, *, run: int) -> list[Call]:
        rows = await fetch_all(self._pool, _CALLS, {"document_id": document_id, "run": run})
        return [Call(**row | {"state": CallState(row["state"])}) for row in rows]

    async def usage(self, owner: UUID | None, *, since: date, until: date) -> list[DayUsage]:
        parameters = {"owner": owner, "since": since, "until": until}
        return [DayUsage(**row) for row in await fetch_all(self._pool, _USAGE, parameters)]

    async def begin(self, call: Call, *, replace: bool, day_limit_micro_usd: int | None) -> Admission:
        parameters = _parameters(call) | {"limit": day_limit_micro_usd, "now": call.started_at}
        admission = Admission.ACCEPTED
        async with connected(self._pool) as connection, connection.transaction():
            admission = await _admit(connection, parameters, replace=replace)
            if admission is not Admission.ACCEPTED:
                raise psycopg.Rollback
        return admission

    async def settle(self, call: Call, *, keep: StoredAnswer | None, replace: bool) -> None:
        parameters = _parameters(call)
        async with connected(self._pool) as connection, connection.transaction():
            nameable = await _touches(connection, _NAMEABLE, parameters)
            row = await (await connection.execute(_STATE.encode(), parameters)).fetchone()
            before = CallState(row["state"]) if row else CallState.INTENT
            if before in {CallState.DONE, CallState.ERROR}:
                return
            await connection.execute(_CLOSE.encode(), parameters)
            if keep is not None and nameable:
                await connection.execute(_KEEP.encode(), parameters | asdict(keep) | {"replace": replace})
            charge = {"correction": call.committed_micro_usd - call.reserved_micro_usd}
            was_open = before is CallState.INTENT
            await connection.execute(_CHARGE.encode(), parameters | charge | {"open": int(was_open)})
            await connection.execute(_COUNT.encode(), parameters | _counted(call, was_open=was_open))

    async def reuse(self, call: Call, *, saved: StoredAnswer) -> None:
        parameters = _parameters(call)
        count = _NOTHING | {"cached": 1, "saved": saved.cost_micro_usd or 0}
        async with connected(self._pool) as connection, connection.transaction():
            if await _touches(connection, _HELD, parameters) and await _touches(connection, _NOTE, parameters):
                await connection.execute(_COUNT.encode(), parameters | count)


async def _admit(connection: _Connection, parameters: dict[str, Any], *, replace: bool) -> Admission:
    if not await _touches(connection, _HELD, parameters):
        return Admission.FENCED
    given_up = await (await connection.execute(_SUPERSEDE.encode(), parameters)).fetchall()
    if not await _touches(connection, _INTEND, parameters):
        return Admission.IN_FLIGHT
    # Only now, because an answer is kept in the transaction that ends the intent before this one.
    if not replace and await _touches(connection, _ANSWER, parameters):
        return Admission.STORED
    for call in given_up:
        await connection.execute(_GIVE_UP.encode(), call)
    if not await _touches(connection, _RESERVE, parameters):
        return Admission.BUDGET_HELD if await _touches(connection, _OPEN, parameters) else Admission.BUDGET_SPENT
    for call in given_up:
        _log.warning("llm.ambiguous", model=call["model"], cause="given up")
        await connection.execute(_COUNT.encode(), call | _NOTHING | {"calls": 1, "ambiguous": 1})
    return Admission.ACCEPTED


async def _touches(connection: _Connection, query: str, parameters: dict[str, Any]) -> bool:
    return (await connection.execute(query.encode(), parameters)).rowcount > 0


def _parameters(call: Call) -> dict[str, Any]:
    return asdict(call) | {"day": call.day}


_NOTHING = dict.fromkeys(("calls", "ambiguous", "cached", "input_tokens", "output_tokens", "cost", "saved"), 0)


def _counted(call: Call, *, was_open: bool) -> dict[str, int]:
    """What a settled call adds to its day; one that was given up as ambiguous has been counted already."""
    return _NOTHING | {
        "calls": int(was_open),
        "ambiguous": int(call.state is CallState.AMBIGUOUS) - int(not was_open),
        "input_tokens": call.input_tokens,
        "output_tokens": call.output_tokens,
        "cost": call.cost_micro_usd or 0,
    }
