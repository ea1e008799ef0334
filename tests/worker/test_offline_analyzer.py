"""The offline analyzer: what it says about small documents, and that nothing makes it lie or hang."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.analysis import Usage
from shared.bootstrap import Backends
from shared.errors import LLMTimeoutError
from tests.support.paid_calls import analyzing, calls_of
from worker_service.analyzers.offline import OfflineAnalyzer, analysis_of
from worker_service.analyzers.offline.language import language_of
from worker_service.analyzers.offline.ranking import chosen_sentences
from worker_service.analyzers.offline.segmentation import sentences_of
from worker_service.analyzers.offline.topics import topics_of
from worker_service.calls import Calls
from worker_service.extractors import Extraction

REPORT = """\
Harbour Authority                                                    Page 1 of 3
Quarterly Traffic Report

Executive Summary
Container traffic in the northern terminal grew by 12 percent in the second quar-
ter and reached 410,000 units. The growth came mainly from two shipping lines that
moved their feeder services from the quays of the inner harbour at
Westhaven to the northern terminal in April. The southern terminal lost traffic
because the dredging of its access channel is still delayed.

Terminal Units Change
North 410,000 +12
South 198,200 -7
East 88,105 +1

Harbour Authority                                                    Page 2 of 3
Waiting times for ships fell to nine hours on average, the lowest value since
the northern terminal was opened. Truck drivers still wait too long at the gates,
and the harbour authority will test a booking system for trucks in the autumn.
The results of this test decide whether the booking system becomes permanent.
Harbour Authority                                                    Page 3 of 3
The terminal operators expect that traffic will stay at this level until the end of
the year. The harbour authority plans to finish the dredging of the access channel
before the winter storms begin.
"""

KINDS = {
    "invoice": "INVOICE\nInvoice Number: 2025-042\nBill To: Northwind\nSubtotal 900.00\nVAT 180.00\nTotal due 1,080.00",
    "contract": "SERVICE AGREEMENT\nThis Agreement is made between the parties. The Supplier shall keep all information"
    " confidential. Governing law: England. Liability is limited. Either party may give notice of termination.",
    "resume": "Curriculum Vitae\nWork Experience\nData engineer, 2019 - 2024\nEducation\nMSc, University of Porto"
    "\nSkills\nPython, SQL\nLanguages\nPortuguese, English",
    "report": REPORT,
    "letter": "Dear Ms Brandt,\nwe have checked your bill again and found a mistake in the reading of your meter."
    "\nYours sincerely,\nThe customer service",
    "minutes": "Minutes of the works meeting\nAttendees: A. Albrecht, B. Demir\nAgenda\n1. Budget was discussed."
    "\nNext meeting: 4 June",
    "manual": "Coffee Maker User Manual\nSafety instructions\nPress the button to start.\nTroubleshooting\n"
    "If the machine does not start, connect the cable.",
    "article": "Sleep and Memory\nAbstract\nIn this paper we study sleep. We propose a new method.\n1 Introduction\n"
    "Earlier work (Reed et al., 2017) is mixed.\nReferences",
    "email": "From: a@example.com\nTo: b@example.com\nSubject: Office move\nHi all,\nit is on track.\nBest regards",
    "form": "Membership application form\nPlease print clearly.\nFirst name: ____ Last name: ____\n"
    "Date of birth: ____\nSignature of applicant: ____\nFor office use only",
    "receipt": "GREEN GROCER\nReceipt No: 88213\nCashier: 4\nApples 3.48\nTotal 3.48\nPaid by VISA\n"
    "Thank you for your purchase!",
    "policy": "Remote Work Policy\n1. Purpose\nThis policy applies to all employees.\n2. Scope\nViolations of this"
    " policy may lead to disciplinary action.",
}
FOREIGN_KINDS = [
    ("invoice", "RECHNUNG\nRechnungsnummer: 118\nNettobetrag 100,00 €\nMwSt. 19 %\nGesamtbetrag 119,00 €"),
    ("contract", "ARBEITSVERTRAG\nDie Parteien vereinbaren eine Kündigungsfrist. Gerichtsstand ist Hamburg."),
    ("minutes", "Protokoll der Sitzung\nTeilnehmer: drei\nTOP 1 Beschluss zum Budget\nNächste Sitzung: 6. Mai"),
    ("invoice", "FACTURE N° 31\nTotal HT 774,00 €\nTVA 20 %\nTotal TTC 928,80 €\nRèglement avant le 4 mai"),
    ("minutes", "Compte rendu de réunion\nPrésents : trois\nOrdre du jour : budget\nProchaine réunion : 2 juin"),
    ("letter", "Objet : votre demande\nMadame, Monsieur,\nle dossier est incomplet.\nVeuillez agréer nos salutations."),
]


def folded(text: str) -> str:
    return " ".join(text.split())


def chosen(text: str) -> list[str]:
    language = language_of(text)
    return chosen_sentences(sentences_of(text, language=language), language=language)


def test_summary_has_three_to_five_sentences_of_the_document() -> None:
    sentences = chosen(REPORT)
    assert 3 <= len(sentences) <= 5
    assert all(sentence in folded(REPORT) for sentence in sentences)


def test_summary_keeps_the_order_of_the_document() -> None:
    places = [folded(REPORT).index(sentence) for sentence in chosen(REPORT)]
    assert places == sorted(places)


@pytest.mark.parametrize("sentence_end", ["at Westhaven to the northern terminal in April.", "is still delayed."])
def test_printed_lines_are_joined_to_sentences(sentence_end: str) -> None:
    [sentence] = [each.text for each in sentences_of(REPORT, language="en") if each.text.endswith(sentence_end)]
    assert sentence.startswith("The ")


def test_running_footer_is_not_in_the_summary() -> None:
    footer = "This draft of the northern terminal report is confidential and must not leave the harbour authority."
    pages = [f"{page}\n{footer}\n" for page in REPORT.split("Page")]
    assert footer in "\n".join(pages)
    assert footer not in analysis_of("\n".join(pages)).summary


@pytest.mark.parametrize("furniture", ["Harbour Authority Page", "198,200", "Executive Summary"])
def test_page_furniture_is_not_in_the_summary(furniture: str) -> None:
    assert furniture not in analysis_of(REPORT).summary


def test_form_is_summed_up_by_its_title_and_values() -> None:
    lines = ["Acme Widgets", "INVOICE", "Invoice Number: 2025-042", "Bill To", "Northwind", "Leeds", "Hose", "Pump"]
    summary = analysis_of("\n".join([*lines, "Subtotal 900.00", "Total due 1,080.00", "Bank", "Bristol"])).summary
    assert {"Acme Widgets", "Invoice Number: 2025-042", "Total due 1,080.00"} <= set(summary.splitlines())


def test_language_without_stop_words_gets_a_summary_too() -> None:
    text = "De vergunning wordt in juni verleend door de gemeente. Wij hebben uw aanvraag ontvangen en behandeld. " * 2
    assert analysis_of(text).language == "nl"
    assert chosen(text)


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet=st.sampled_from("aB.!? \n-1(“\u2019é\u00a0\u2028\x02東"), max_size=400))
def test_every_summary_sentence_is_in_the_text(text: str) -> None:
    sentences = chosen_sentences(sentences_of(text, language="en"), language="en")
    assert all(sentence in folded(text) for sentence in sentences)


def test_topics_are_what_the_document_keeps_naming() -> None:
    topics = [topic.lower() for topic in analysis_of(REPORT).topics]
    assert "northern terminal" in topics
    assert "traffic" in topics


def test_topics_have_no_figures() -> None:
    assert not any(char.isdigit() for topic in analysis_of(REPORT).topics for char in topic)


@pytest.mark.parametrize(
    ("text", "topic"),
    [
        ("Die Baugenehmigung liegt vor. Die Baugenehmigung gilt für zwei Jahre und den Umbau.", "Baugenehmigung"),
        (
            "Le permis de construire est accordé par la mairie. Le permis de construire expire en juin.",
            "permis de construire",
        ),
    ],
)
def test_topics_know_german_and_french_nouns(text: str, topic: str) -> None:
    assert analysis_of(text).topics[0] == topic


@pytest.mark.parametrize("links", [1, 300])
def test_words_that_only_link_others_are_no_phrase_however_many(links: int) -> None:
    phrase = f"quai {'de ' * links}granit"
    topics = topics_of(sentences_of(f"Le {phrase} est beau. Le {phrase} est long.", language="fr"), language="fr")
    assert (phrase in topics) is (links == 1)
    assert topics


def test_tags_are_the_label_and_lower_case_topics() -> None:
    analysis = analysis_of("PROTOKOLL\nTeilnehmer: drei\nDie Baugenehmigung liegt vor. Die Baugenehmigung gilt.")
    assert analysis.tags[:2] == ["minutes", "baugenehmigung"]


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("The staff were friendly and the room was wonderful. I am very happy with everything.", "positive"),
        ("The pump broke after two days. Your support was rude and I am extremely disappointed.", "negative"),
        ("The food was delicious and lovely. But the room was dirty and the noise was awful.", "mixed"),
        ("Payment is due within 30 days. Please agree on the number of shares. Thank you.", "neutral"),
    ],
)
def test_sentiment_follows_the_tone(text: str, label: str) -> None:
    assert analysis_of(text).sentiment.label == label


def test_sentiment_score_has_the_sign_of_the_tone() -> None:
    assert -1 <= analysis_of("This is a terrible, horrible mistake. I hate it.").sentiment.score < 0


def test_sentiment_of_another_language_is_neutral() -> None:
    # "Gift" is poison, and VADER takes it and "super" for good news.
    sentiment = analysis_of("Das Gift im Hafen war super gefährlich und fatal für die Fische im Becken.").sentiment
    assert (sentiment.label, sentiment.score) == ("neutral", 0.0)


@pytest.mark.parametrize(("label", "text"), [*KINDS.items(), *FOREIGN_KINDS])
def test_kind_is_told_by_its_cues(label: str, text: str) -> None:
    assert analysis_of(text).classification.label == label


def test_text_without_cues_is_other_with_low_confidence() -> None:
    classification = analysis_of("The sea was calm and the gulls circled above the pier.").classification
    assert classification.label == "other"
    assert classification.confidence <= 0.3


def test_more_cues_give_more_confidence() -> None:
    few = analysis_of("Invoice\nQuantity 3").classification
    many = analysis_of(KINDS["invoice"]).classification
    assert (few.label, many.label) == ("invoice", "invoice")
    assert few.confidence < many.confidence < 1


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The shipment left the harbour on Monday morning.", "en"),
        ("Die Lieferung hat den Hafen am Montag verlassen.", "de"),
        ("La livraison a quitté le port lundi matin.", "fr"),
        ("El envío salió del puerto el lunes por la mañana.", "es"),
        ("Отправление покинуло порт в понедельник утром.", "ru"),
        ("Invoice 1234 Total 500", "en"),
        ("12 34 - 56", "und"),
        ("OK", "und"),
        ("Thanks", "en"),
    ],
)
def test_language_is_an_iso_code(text: str, language: str) -> None:
    assert language_of(text) == language


@pytest.mark.parametrize(
    "text",
    [
        "x" * 1_000_000,
        "1234567890 " * 30_000,
        "word " * 60_000,
        "Alpha " * 50_000,
        "good. " * 50_000,
        "“a b. " * 50_000,
        ". " * 100_000,
        "\n" * 300_000,
        "- " * 100_000,
        "a\n" * 100_000,
        "Der Mann hat " * 20_000,
        "(" * 300_000,
        "\u200b" * 100_000,
        "東京都は新しい規則を発表した。" * 10_000,
        "",
    ],
    ids=lambda text: repr(text[:12]),
)
def test_odd_text_gets_an_answer(text: str) -> None:
    analysis = analysis_of(text)
    assert len(analysis.summary) < 6_000
    assert len(analysis.action_items) <= 20


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<html><body><h1>Offer</h1><p>We offer 20 chairs for 1,000 euros.</p></body></html>", "We offer 20 chairs"),
        ('{"invoice": "4711", "customer": {"name": "Alpha", "city": "Berlin"}}', "Alpha"),
        ("https://example.org/a\nhttps://example.org/b", "https://example.org/a"),
    ],
)
def test_markup_and_data_have_a_summary_without_their_signs(text: str, said: str) -> None:
    summary = analysis_of(text).summary
    assert said in summary
    assert not set(summary) & set("<>{}|=")


@pytest.fixture
async def calls(backends: Backends) -> Calls:
    return calls_of(backends, await analyzing(backends))


async def test_report_is_free_complete_and_labelled(calls: Calls) -> None:
    extraction = Extraction(text=REPORT, page_chars=(900, 0, 500))
    report = await OfflineAnalyzer().analyze(extraction, calls=calls, timeout_seconds=30)
    assert report.analyzer.name == "offline"
    assert report.usage == Usage(calls=0, input_tokens=0, output_tokens=0, cost_usd=0.0)
    assert (report.coverage.verdict, report.coverage.chars_analyzed) == ("complete", len(REPORT))
    assert (report.coverage.pages_total, report.coverage.pages_with_text) == (3, 2)


async def test_same_text_gets_the_same_answer(calls: Calls) -> None:
    analyzer, extraction = OfflineAnalyzer(), Extraction(text=REPORT)
    first, second = [await analyzer.analyze(extraction, calls=calls, timeout_seconds=30) for _ in range(2)]
    assert first == second


async def test_analysis_past_its_time_is_given_up(calls: Calls) -> None:
    with pytest.raises(LLMTimeoutError):
        await OfflineAnalyzer().analyze(Extraction(text=REPORT * 200), calls=calls, timeout_seconds=0)


def test_import_loads_neither_a_vendor_sdk_nor_a_language_model() -> None:
    code = "import sys, worker_service.analyzers.offline; print({'openai', 'numpy', 'py3langid'} & set(sys.modules))"
    root = Path(__file__).parents[2]
    result = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"
