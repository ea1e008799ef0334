"""Long documents: what is cut where, asked how often, merged, and what the receipt says of what was read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from itertools import pairwise
from typing import Any
from uuid import uuid4

import pytest

from shared.bootstrap import Backends
from shared.errors import AnalysisError, LLMRefusedError, LLMRejectedError
from tests.support.openai_server import OpenAIServer
from tests.support.paid_calls import analyzing, calls_of, claimed_again
from worker_service.analyzers.chunks import BYTES_PER_TOKEN, ChunkCaps, plan_of, tokens_of
from worker_service.analyzers.openai import OpenAIAnalyzer
from worker_service.extractors import Extraction

SMALL = ChunkCaps(chunk_tokens=200, overlap_tokens=20, max_chunks=16, max_tokens=100_000)

Make = Callable[..., OpenAIAnalyzer]


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as running:
        yield running


@pytest.fixture
async def make(server: OpenAIServer) -> AsyncIterator[Make]:
    made: list[OpenAIAnalyzer] = []

    def analyzer(**changes: Any) -> OpenAIAnalyzer:
        options: dict[str, Any] = {"model": "gpt-4.1", "prices": {"gpt-4.1": (2.0, 8.0)}, "caps": SMALL}
        made.append(
            OpenAIAnalyzer(api_key="sk-test", base_url=server.base_url, backoff_seconds=0.001, **options | changes)
        )
        return made[-1]

    yield analyzer
    for one in made:
        await one.aclose()


def report_of(pages: int) -> Extraction:
    """About 30 tokens a page, no two alike."""
    text = "\n\n".join(
        f"Page {page}: the turbine {uuid4().hex} was inspected and found sound." for page in range(pages)
    )
    return Extraction(text=text)


def parts_received(server: OpenAIServer) -> list[str]:
    return [call.document for call in server.calls if call.messages[-1].startswith("Part ")]


def merges_received(server: OpenAIServer) -> list[str]:
    return [call.document for call in server.calls if call.messages[-1].startswith("Analyses ")]


async def test_long_document_is_read_whole_and_merged(backends: Backends, make: Make, server: OpenAIServer) -> None:
    extraction = report_of(40)
    report = await make().analyze(extraction, calls=calls_of(backends, await analyzing(backends)), timeout_seconds=60)
    parts, coverage = parts_received(server), report.coverage
    assert len(parts) == coverage.chunks_planned == coverage.chunks_answered > 2
    assert len(server.calls) == len(parts) + len(merges_received(server))
    assert all(any(line in part for part in parts) for line in extraction.text.split("\n\n"))
    assert (coverage.verdict, coverage.chars_analyzed) == ("complete", len(extraction.text))
    assert (report.usage.calls, report.usage.cost_usd) == (len(server.calls), billed(server))


async def test_analyses_are_merged_in_groups_that_the_model_can_read(
    backends: Backends, make: Make, server: OpenAIServer
) -> None:
    caps = ChunkCaps(chunk_tokens=600, overlap_tokens=0)
    await make(caps=caps).analyze(
        report_of(240), calls=calls_of(backends, await analyzing(backends)), timeout_seconds=60
    )
    parts, merges = parts_received(server), merges_received(server)
    assert max(map(tokens_of, merges)) <= caps.chunk_tokens
    assert 1 < len(merges) < len(parts)
    # Every answer but the last is merged once.
    assert sum(len(merge.splitlines()) for merge in merges) == len(parts) + len(merges) - 1


def billed(server: OpenAIServer) -> float:
    return sum(call.input_tokens * 2 + call.output_tokens * 8 for call in server.calls) / 1e6


async def test_document_beyond_the_caps_is_read_in_part_and_the_receipt_says_how_much(
    backends: Backends, make: Make, server: OpenAIServer
) -> None:
    extraction, caps = report_of(60), ChunkCaps(chunk_tokens=200, overlap_tokens=0, max_chunks=3)
    calls = calls_of(backends, await analyzing(backends))
    coverage = (await make(caps=caps).analyze(extraction, calls=calls, timeout_seconds=60)).coverage
    read = "".join(sorted(parts_received(server), key=extraction.text.index))
    assert extraction.text.startswith(read)
    assert (coverage.verdict, coverage.chars_analyzed, coverage.chunks_answered) == ("partial", len(read), 3)
    assert coverage.chunks_planned > 3


async def test_chunks_are_no_more_than_the_documents_budget_pays_for(
    backends: Backends, make: Make, server: OpenAIServer
) -> None:
    calls = calls_of(backends, await analyzing(backends), document_micro_usd=60_000)
    report = await make().analyze(report_of(60), calls=calls, timeout_seconds=60)
    assert report.coverage.verdict == "partial"
    assert 1 < report.coverage.chunks_answered < report.coverage.chunks_planned
    assert billed(server) < 0.06


@pytest.mark.parametrize("api", ["responses", "chat"])
@pytest.mark.parametrize("chunk_tokens", [32_000, 9_000], ids=["one question", "in chunks"])
async def test_document_that_the_server_has_cut_is_not_taken_for_read(
    backends: Backends, make: Make, server: OpenAIServer, chunk_tokens: int, api: str
) -> None:
    server.script(["clipped"] * 99)
    document = await analyzing(backends)
    analyzer = make(caps=ChunkCaps(chunk_tokens=chunk_tokens), api=api)
    with pytest.raises(LLMRejectedError, match="read less than it was sent"):
        await analyzer.analyze(report_of(400), calls=calls_of(backends, document), timeout_seconds=60)
    ledger = await backends.ledger.calls(document.id, run=document.run)
    assert [call.input_tokens for call in ledger if call.error] == [2_050]


@pytest.mark.parametrize(
    ("behaviour", "text"),
    [
        # A server may know its part of the bill only: what it had not read before.
        ("clipped", "Pay the invoice for the pumps. " * 150),
        ("cached", "Pay the invoice for the pumps. " * 2_000),
        ("flat", "Pay the invoice for the pumps. " * 2_000),
        ("ok", "\n".join(f"{number}.50  {number}.75" for number in range(1_000, 3_000))),
    ],
    ids=["short", "cached", "flat", "numbers"],
)
async def test_no_server_is_taken_for_one_that_cuts_by_a_bill_that_is_small(
    backends: Backends, make: Make, server: OpenAIServer, behaviour: str, text: str
) -> None:
    server.script([behaviour])
    calls = calls_of(backends, await analyzing(backends))
    report = await make(caps=ChunkCaps()).analyze(Extraction(text=text), calls=calls, timeout_seconds=60)
    assert report.coverage.verdict == "complete"


async def test_server_that_answers_one_at_a_time_is_asked_one_at_a_time(
    backends: Backends, make: Make, server: OpenAIServer
) -> None:
    server.script(["slow:0.1"] * 4)
    calls = calls_of(backends, await analyzing(backends))
    await make(chunks_at_once=1).analyze(report_of(40), calls=calls, timeout_seconds=60)
    assert len(server.calls) > 3
    assert all(call.ended_at and call.ended_at <= later.started_at for call, later in pairwise(server.calls))


async def test_part_that_the_model_refuses_is_left_out(backends: Backends, make: Make, server: OpenAIServer) -> None:
    server.script(["refusal"])
    extraction = report_of(40)
    calls = calls_of(backends, await analyzing(backends))
    coverage = (await make().analyze(extraction, calls=calls, timeout_seconds=60)).coverage
    assert coverage.chunks_answered == coverage.chunks_planned - 1
    assert (coverage.verdict, coverage.chars_analyzed < len(extraction.text)) == ("partial", True)


@pytest.mark.parametrize(
    ("behaviour", "code"), [("402", "llm_quota"), ("context", "llm_refused"), ("422", "llm_refused")]
)
async def test_what_is_not_about_the_text_leaves_no_part_out_but_ends_the_document(
    backends: Backends, make: Make, server: OpenAIServer, behaviour: str, code: str
) -> None:
    extraction, document = report_of(100), await analyzing(backends)
    server.script(["ok", *[behaviour] * 99])
    with pytest.raises(AnalysisError) as caught:
        await make().analyze(extraction, calls=calls_of(backends, document), timeout_seconds=60)
    assert caught.value.code == code
    assert len(server.calls) < len(plan_of(extraction.text, SMALL).chunks)


async def test_document_of_which_no_part_is_answered_fails_with_the_cause_of_its_parts(
    backends: Backends, make: Make, server: OpenAIServer
) -> None:
    server.script(["filtered"] * 99)
    with pytest.raises(LLMRefusedError, match="content filter"):
        await make().analyze(report_of(20), calls=calls_of(backends, await analyzing(backends)), timeout_seconds=60)


async def test_parts_that_were_answered_are_not_asked_about_again(
    backends: Backends, make: Make, server: OpenAIServer
) -> None:
    extraction, document = report_of(40), await analyzing(backends)
    server.script(["ok", "ok", "400"])
    server.script(["401"] * 9)
    with pytest.raises(Exception, match="refused the key"):
        await make().analyze(extraction, calls=calls_of(backends, document), timeout_seconds=60)
    answered, before = [call.document for call in server.calls if call.outcome == "ok"], len(server.calls)
    server.forget_script()
    calls = calls_of(backends, await claimed_again(backends, document))
    report = await make().analyze(extraction, calls=calls, timeout_seconds=60)
    assert not {call.document for call in server.calls[before:]} & set(answered)
    assert report.coverage.verdict == "complete"


async def test_book_of_619_pages_stays_under_the_caps_and_completes_with_a_receipt(
    backends: Backends, make: Make, server: OpenAIServer
) -> None:
    page = "The turbine hall was inspected in the morning and found sound. " * 48
    text = "\n\n".join(f"Page {number} {uuid4().hex}\n{page}" for number in range(1, 620))
    caps, calls = ChunkCaps(), calls_of(backends, await analyzing(backends))
    report = await make(caps=caps).analyze(Extraction(text=text), calls=calls, timeout_seconds=120)
    parts, coverage = parts_received(server), report.coverage
    assert len(parts) <= caps.max_chunks
    assert sum(tokens_of(part) for part in parts) <= caps.max_tokens
    whole = sum(part.count("\nThe turbine hall") for part in parts)
    assert 0 < whole < 619
    assert (coverage.verdict, coverage.chunks_answered) == ("partial", len(parts))
    repeated = caps.overlap_tokens * BYTES_PER_TOKEN * (len(parts) - 1)
    assert coverage.chars_analyzed == pytest.approx(sum(map(len, parts)) - repeated, abs=len(parts))
    assert server.calls[-1].messages[-1].startswith("Analyses of the parts")
