"""How a text is counted and cut, and what is put together again, without a model."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker_service.analyzers.chunks import ChunkCaps, groups_that_fit, least_tokens_of, plan_of, tokens_of

SMALL = ChunkCaps(chunk_tokens=200, overlap_tokens=20, max_chunks=16, max_tokens=100_000)


@given(
    text=st.text(max_size=400),
    chunk=st.integers(min_value=4, max_value=60),
    overlap=st.integers(min_value=0, max_value=3),
)
def test_chunks_are_the_whole_text_in_order_and_fit(text: str, chunk: int, overlap: int) -> None:
    plan = plan_of(text, ChunkCaps(chunk_tokens=chunk, overlap_tokens=overlap, max_chunks=1_000, max_tokens=10**6))
    assert "".join(one.text[len(one.text) - one.chars :] for one in plan.chunks) == text
    assert all(one.tokens <= chunk + 1 for one in plan.chunks)
    assert plan.planned == len(plan.chunks)


def test_cut_is_at_a_paragraph_before_a_line_before_a_sentence_before_a_word() -> None:
    words = "alpha beta gamma delta "
    for seam in ("\n\n", "\n", ". ", " "):
        text = words * 10 + "end" + seam + words * 10
        first, *_ = plan_of(text, ChunkCaps(chunk_tokens=len(words * 11) // 3, overlap_tokens=0)).chunks
        assert first.text.endswith(seam.rstrip(" ") + " " if seam.endswith(" ") else seam)


NUMBERS = "\n".join(f"2026-03-{day:02}  DE{day * 7919:020}  {day * 31.7:.2f} EUR" for day in range(1, 29))


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Please pay the invoice for the pumps by Friday, 3 March.", 19),
        ("\u672c\u5951\u7d04\u306f", 4),
        ("1234.56,7890.12,", 16),
        ("2026-03-01  DE00000000000000007919  31.70 EUR", 38),
        ("", 0),
    ],
)
def test_prose_counts_by_its_bytes_and_numbers_by_their_digits(text: str, tokens: int) -> None:
    assert tokens_of(text) == tokens


def test_table_of_numbers_is_cut_into_chunks_that_fit() -> None:
    plan = plan_of(NUMBERS * 20, SMALL)
    assert max(tokens_of(chunk.text) for chunk in plan.chunks) <= SMALL.chunk_tokens + 1
    assert len(plan.chunks) == SMALL.max_chunks < plan.planned


def test_chunk_repeats_the_end_of_the_one_before() -> None:
    first, second, *_ = plan_of("word " * 500, SMALL).chunks
    overlap = second.text[: len(second.text) - second.chars]
    assert tokens_of(overlap) == SMALL.overlap_tokens
    assert first.text.endswith(overlap)


@pytest.mark.parametrize(
    ("caps", "affordable", "chunks"),
    [
        ({"max_chunks": 2}, None, 2),
        ({"max_tokens": 450}, None, 2),
        ({}, 3, 3),
        ({}, -1, 1),
        ({"max_tokens": 1}, None, 1),
    ],
)
def test_caps_leave_chunks_out_but_never_all(caps: dict[str, int], affordable: int | None, chunks: int) -> None:
    settings: dict[str, Any] = {"chunk_tokens": 200, "overlap_tokens": 0, **caps}
    plan = plan_of("word " * 1_000, ChunkCaps(**settings), affordable=affordable)
    assert len(plan.chunks) == chunks
    assert plan.planned == 9


@pytest.mark.parametrize(
    ("text", "least"),
    [
        ("Pay the invoice, by 3 March.", 6),
        ("12.50  -- ____ 7", 3),
        ("\u672c\u5951\u7d04\u306f USB", 2),
        # Hindi, with vowels that are marks: o200k has a token for each of these words.
        ("\u0938\u092d\u0940 \u092e\u0928\u0941\u0937\u094d\u092f\u094b\u0902 \u0915\u094b", 3),
        ("", 0),
    ],
)
def test_least_tokens_are_words_and_of_scripts_without_spaces_a_third_of_the_characters(text: str, least: int) -> None:
    assert least_tokens_of(text) == least


@given(texts=st.lists(st.text(alphabet="ab", max_size=40), max_size=12), tokens=st.integers(min_value=1, max_value=40))
def test_groups_are_all_texts_in_order_and_fewer_than_they_are(texts: list[str], tokens: int) -> None:
    groups = groups_that_fit(texts, tokens)
    assert [text for group in groups for text in group] == texts
    assert len(groups) <= (len(texts) + 1) // 2
    assert all(len(group) <= 2 or tokens_of("\n".join(group)) <= tokens for group in groups)
