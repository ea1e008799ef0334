"""What analyses have cost."""

from datetime import date, timedelta
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query

from api_service.dependencies import CallerDep, ServicesDep
from api_service.problems import ProblemError, invalid
from api_service.routes import problems
from api_service.spending import DayUsageOut, UsageOut, UsageTotal
from shared.accounts import Role
from shared.ledger import DAYS_KEPT_FOR, DayUsage

router = APIRouter(prefix="/usage", tags=["usage"])

_DAYS = timedelta(days=30)


@router.get("", responses=problems(401, 403, 422, 503))
async def get_usage(
    caller: CallerDep,
    services: ServicesDep,
    since: date | None = None,
    until: date | None = None,
    everybody: Annotated[bool, Query(alias="all")] = False,
) -> UsageOut:
    """Calls, tokens and cost by day and model, of the last 30 days if nothing is said; for an admin also of `all`."""
    if everybody and caller.user.role is not Role.ADMIN:
        raise ProblemError(HTTPStatus.FORBIDDEN, "forbidden", "Only an admin may see what others use.")
    until = until or services.clock().date()
    since = since or until - min(_DAYS, until - date.min)
    if since > until or until - since > DAYS_KEPT_FOR:
        raise invalid("since", f"Must be at most {DAYS_KEPT_FOR.days} days before `until`, and not after it.")
    owner = None if everybody else caller.user.id
    days = await services.backends.ledger.usage(owner, since=since, until=until)
    items = [DayUsageOut.of(day) for day in days]
    return UsageOut(since=since, until=until, items=items, total=_total(days))


def _total(days: list[DayUsage]) -> UsageTotal:
    return UsageTotal(
        calls=sum(day.calls for day in days),
        cached=sum(day.cached for day in days),
        input_tokens=sum(day.input_tokens for day in days),
        output_tokens=sum(day.output_tokens for day in days),
        cost_usd=sum(day.cost_micro_usd for day in days) / 1_000_000,
        saved_usd=sum(day.saved_micro_usd for day in days) / 1_000_000,
    )
