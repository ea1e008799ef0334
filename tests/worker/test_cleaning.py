"""Whatever a model writes, what is stored of it is short plain text, and looking at it does not stop the worker."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from shared.analysis import Analysis, Classification, Sentiment
from worker_service.analyzers.cleaning import cleaned


def written_by_a_model(*, summary: str = "Sold.", topics: Sequence[str] = ()) -> Analysis:
    return Analysis(
        summary=summary,
        topics=list(topics),
        sentiment=Sentiment(label="neutral", score=0.0),
        action_items=[],
        classification=Classification(label="other", confidence=1.0),
        tags=[],
        language="en",
    )


def summary_of(text: str) -> str:
    return cleaned(written_by_a_model(summary=text)).summary


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("<b>Sold</b> in <!-- a > b --> May", "Sold in  May"),
        ("<!-- <b>x</b> -->Sold", "Sold"),
        ("Sold<img src=x onerror=alert(1)", "Sold"),
        ("<<b>script>alert(1)<</b>/script>", "alert(1)"),
        ("[Sold](https://x.example/?q=1) ![in](x 'May')", "Sold in"),
        ("[[a]](x) and [b [c](y)", "[[a]](x) and [b c"),
        ("if a < b and c > d", "if a < b and c > d"),
        ("\u202eSold\u200b", "Sold"),
    ],
)
def test_markup_is_taken_away_and_its_text_kept(written: str, kept: str) -> None:
    assert summary_of(written) == kept


# Each took minutes when every bracket was looked at up to the end of the text.
@pytest.mark.parametrize("piece", ["[", "<!--", "<a", "[a](", "<!--x-->", "[a](b"])
def test_answer_of_brackets_is_no_work(piece: str) -> None:
    assert len(summary_of(piece * (2_000_000 // len(piece)))) <= 4_000


@pytest.mark.parametrize(("empty", "kept"), [(79, ["pumps"]), (80, [])])
def test_list_is_looked_at_no_further_than_ten_times_its_room(empty: int, kept: list[str]) -> None:
    assert cleaned(written_by_a_model(topics=["<b>"] * empty + ["pumps"])).topics == kept


def test_markup_in_markup_in_markup_comes_to_an_end() -> None:
    assert "<a" not in summary_of("<a" * 4_000 + ">" * 4_000)
