"""What a line is: a paragraph in a DOCX, whatever its length, and in a PDF what fitted onto the page."""

from __future__ import annotations

from shared.bootstrap import Backends
from tests.support import documents
from tests.support.paid_calls import analyzing, calls_of
from worker_service.analyzers.offline import OfflineAnalyzer
from worker_service.analyzers.offline.segmentation import sentences_of
from worker_service.extractors import docx

PARAGRAPHS = [
    "Minutes of the steering committee",
    "Present: Anna Berg, Luis Ortega",
    "Action items",
    "Anna Berg to order the windows by 20 May 2026",
    "Update the website",
    "Send the contract to the lawyer",
]


async def test_paragraphs_of_a_docx_are_not_joined(backends: Backends) -> None:
    calls = calls_of(backends, await analyzing(backends))
    extraction = docx.extract(documents.docx(PARAGRAPHS))
    analysis = (await OfflineAnalyzer().analyze(extraction, calls=calls, timeout_seconds=20)).analysis
    assert [item.text for item in analysis.action_items] == PARAGRAPHS[3:]
    assert set(analysis.summary.splitlines()) <= set(PARAGRAPHS)


def test_lines_that_a_page_broke_are_joined() -> None:
    lines = "The committee was told by the builders that the first of the windows for the\nNew Theatre had come."
    assert [each.text for each in sentences_of(lines, language="en")] == [lines.replace("\n", " ")]


def test_sentence_goes_on_in_the_next_paragraph_if_it_cannot_end() -> None:
    text = "The windows for the\nnorth side have come\nwith frames\nAnna Berg paid"
    blocks = [each.text for each in sentences_of(text, language="en", lines_are_whole=True)]
    assert blocks == ["The windows for the north side have come", "with frames", "Anna Berg paid"]
