"""The score of a DOCX is the F1 of its words, and a reference may be plain text or pandoc's own notation."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.score_docx import score_of, text_of, words
from tests.support import documents
from tests.support.documents import paragraph

NATIVE = """[ Para [ Str "It\\8217s" , Space , Emph [ Str "half" ] , Str "way"
, SoftBreak , Code ( "" , [] , [] ) "x = 1" ]
, Para [ Link ( "" , [] , [] ) [ Str "here" ] ( "https://example.org" , "" ) , Note [ Para [ Str "A" ] ] ] ]"""


def test_native_reference_has_the_words_that_a_reader_sees(tmp_path: Path) -> None:
    (tmp_path / "a.native").write_text(NATIVE)
    assert sorted(words(text_of(tmp_path / "a.native")).elements()) == ["1", "a", "halfway", "here", "it", "s", "x"]


@pytest.mark.parametrize(("reference", "body", "whole"), [("one two three", 1.0, 0.75), ("one two four", 2 / 3, 0.5)])
def test_headers_and_footers_count_for_the_whole_text_only(
    tmp_path: Path, reference: str, body: float, whole: float
) -> None:
    stories = {"header1": paragraph("head"), "footer1": paragraph("foot"), "footnotes": paragraph("three")}
    (tmp_path / "a.docx").write_bytes(documents.docx(["One two"], stories=stories))
    score = score_of(tmp_path / "a.docx", reference)
    assert score
    assert score.body == pytest.approx(body)
    assert score.whole == pytest.approx(whole)


def test_document_that_cannot_be_read_scores_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.docx").write_bytes(b"PK")
    score = score_of(tmp_path / "a.docx", "word")
    assert score
    assert score.body == 0


def test_reference_without_words_counts_for_nothing(tmp_path: Path) -> None:
    assert score_of(tmp_path / "a.docx", " -- ") is None
