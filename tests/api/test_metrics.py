"""What a Prometheus server reads of a process."""

from __future__ import annotations

from uuid import uuid4

import httpx
from prometheus_client.parser import text_string_to_metric_families

from shared.bootstrap import Backends
from shared.settings import Settings
from tests.support.callers import calling
from tests.support.running import serving
from tests.support.sse import listening


async def samples(base_url: str) -> dict[tuple[str, ...], float]:
    """What `/metrics` says, by name and labels."""
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{base_url}/metrics")
    assert answer.status_code == 200
    families = text_string_to_metric_families(answer.text)
    return {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}


async def test_requests_are_counted_by_route_and_streams_while_open(
    stack_settings: Settings, backends: Backends
) -> None:
    async with serving(stack_settings) as base_url, calling(base_url, stack_settings, backends) as me:
        for _ in range(2):
            await me.client.get(f"/documents/{uuid4()}")
        await me.client.get("/no/such/route")
        async with listening(me.client):
            during = await samples(base_url)
        counted = await samples(base_url)
    requests = "docrelay_http_request_duration_seconds_count"
    assert counted[requests, "GET", "/documents/{document_id}", "404"] == 2
    assert counted[requests, "GET", "none", "404"] == 1
    assert during["docrelay_streams_open",] == 1
    assert during["process_open_fds",] > 0
