"""Which sentences the offline analyzer takes for action items, with whose name and which date."""

from __future__ import annotations

import pytest

from shared.analysis import ActionItem
from worker_service.analyzers.offline import analysis_of
from worker_service.analyzers.offline.dates import due_in
from worker_service.analyzers.offline.owners import owner_in


def only_action(text: str) -> ActionItem:
    [item] = analysis_of(text).action_items
    return item


@pytest.mark.parametrize(
    ("text", "owner", "due"),
    [
        ("Please send the signed contract to the office by Friday.", None, "Friday"),
        ("Action: Alice to draft the agenda by 12 March 2026.", "Alice", "12 March 2026"),
        ("TODO: update the deployment guide", None, None),
        ("The report must be submitted by the Finance Team no later than 30 June.", "the Finance Team", "30 June"),
        ("The Supplier shall deliver the pumps by 2026-03-12.", "The Supplier", "2026-03-12"),
        ("The budget needs to be approved by the end of next week.", None, "end of next week"),
        ("- [ ] Renew the certificate (Dana, 2026-05-01)", "Dana", "2026-05-01"),
        ("Hi Ben, please send me the signed contract by Wednesday.", "Ben", "Wednesday"),
        ("Chère Anne, merci de réserver la salle avant le 12 mars 2026.", "Anne", "12 mars 2026"),
        ("Hello Mr. Smith, please pay by Monday.", "Mr. Smith", "Monday"),
        ("The committee decided to pay the invoice by 12 March 2026.", "The committee", "12 March 2026"),
        ("Maria, could you book the room by tomorrow?", "Maria", "tomorrow"),
        ("Aufgabe: Anna schickt das Protokoll bis Freitag.", "Anna", "Freitag"),
        ("Frau Müller muss den Vertrag bis spätestens 12.03.2026 prüfen.", "Frau Müller", "12.03.2026"),
        ("Bitte senden Sie uns die Unterlagen bis zum 15. April 2026.", None, "15. April 2026"),
        ("Der Mieter hat die Wohnung innerhalb von 14 Tagen zu räumen.", "Der Mieter", "innerhalb von 14 Tagen"),
        ("M. Martin doit transmettre le rapport au plus tard le 30 juin.", "M. Martin", "30 juin"),
        ("Veuillez nous envoyer le contrat signé avant le 12 mars 2026.", None, "12 mars 2026"),
        ("Please send your abstract to anna@example.org by 3 May 2026.", None, "3 May 2026"),
        ("Please register at https://example.org/register before 10 May 2026.", None, "10 May 2026"),
        ("Ben must upload the slides to www.example.org by Friday.", "Ben", "Friday"),
        ("Please pay 120 EUR (= 100 EUR + VAT) by 20 May 2026.", None, "20 May 2026"),
        ("H. Joshi will review the lease by noon on Tuesday, 4 March.", "H. Joshi", "noon on Tuesday, 4 March"),
        ("J. R. R. Tolkien must sign by 3 pm on 4 May 2026.", "J. R. R. Tolkien", "3 pm on 4 May 2026"),
        ("Dr. J. Smith must reply by tomorrow, 6 May.", "Dr. J. Smith", "tomorrow, 6 May"),
        ("Please deliver by the end of the day on 5 May 2026.", None, "end of the day on 5 May 2026"),
        ("Please pay by close of business on Friday.", None, "close of business on Friday"),
        ("Please deliver within six weeks.", None, "within six weeks"),
        ("Bitte zahlen Sie innerhalb von zwölf Wochen.", None, "innerhalb von zwölf Wochen"),
        ("Merci de répondre sous deux semaines.", None, "sous deux semaines"),
        ("Please answer by the end of the week, Monday is too late.", None, "end of the week"),
        ("À faire : réserver la salle pour lundi prochain", None, "lundi prochain"),
    ],
)
def test_action_item_has_its_owner_and_due_date(text: str, owner: str | None, due: str | None) -> None:
    item = only_action(text)
    assert (item.owner, item.due) == (owner, due)


@pytest.mark.parametrize(
    "text",
    [
        "Please do not hesitate to contact us.",
        "Please find attached the report.",
        "The company was founded in March 2019 by two engineers.",
        "The report was sent before 12 March 2024.",
        "Demand will grow by the end of the year.",
        "- [x] Order the laptops",
        "The library opens again. Please send {{ name }} by Friday.",
        "☒ Please order the laptops by Friday.",
        "Bitte beachten Sie unsere Öffnungszeiten.",
        "Veuillez agréer, Madame, l'expression de nos salutations distinguées.",
    ],
)
def test_courtesy_history_and_done_work_are_no_action_items(text: str) -> None:
    assert analysis_of(text).action_items == []


def test_list_under_a_heading_is_all_action_items() -> None:
    text = (
        "Next steps\n- Lucia: compare the offers by 30 May\n- Book the laboratory (Ahmed)\n\nThe meeting ended at ten."
    )
    items = analysis_of(text).action_items
    assert [(item.owner, item.due) for item in items] == [("Lucia", "30 May"), ("Ahmed", None)]


def test_done_work_in_a_list_is_left_out_and_does_not_end_it() -> None:
    done = "- [x] Ben: book the room\n☑ Dave: order the chairs\n✓ Eve: call the bank\n"
    text = f"Action items\n{done}- [ ] Anna: send the budget by Friday\n{done}- Carla: review the contract\n"
    assert [item.owner for item in analysis_of(text).action_items] == ["Anna", "Carla"]


@pytest.mark.parametrize("bullets", [["-"] * 5, ["1.", "2.", "3.", "4.", "5."]])
def test_item_that_is_not_understood_does_not_end_a_list(bullets: list[str]) -> None:
    lines = ["Send the budget. It is late.", "価格表を送る", "Call Bob", "Roof", "Minutes to Ms Berg (Anna)"]
    listed = "\n".join(f"{bullet} {line}" for bullet, line in zip(bullets, lines, strict=True))
    items = analysis_of(f"Board of the club\n\nAction items\n{listed}\n\nThanks\n\n- Tea for nine people").action_items
    assert [(item.text, item.owner) for item in items] == [
        ("Send the budget.", None),
        ("Call Bob", None),
        ("Minutes to Ms Berg (Anna)", "Anna"),
    ]


def test_list_without_bullets_goes_on_with_a_name_and_its_task() -> None:
    text = (
        "Action items\nSend the budget\nLuis Ortega: invite the press\nPay the rent\nRoom: four\nPay attention to fire"
    )
    assert [item.text for item in analysis_of(text, lines_are_whole=True).action_items] == text.splitlines()[1:4]


@pytest.mark.parametrize(("first", "second"), [("3. Action items", "4. Room"), ("## Action items", "## Room")])
def test_next_heading_ends_a_list(first: str, second: str) -> None:
    text = f"{first}\n- Send the budget to Anna\n{second}\n- Number four on the left"
    assert [item.text for item in analysis_of(text).action_items] == ["Send the budget to Anna"]


def test_details_on_lines_of_their_own_belong_to_the_item_above() -> None:
    item = only_action("Action: renew the lease\nOwner: Priya Nair\nDue: 30 June 2026")
    assert (item.text, item.owner, item.due) == ("renew the lease", "Priya Nair", "30 June 2026")


def test_rules_of_a_policy_are_no_action_items() -> None:
    policy = "Remote Work Policy\nThis policy applies to all employees. Please lock your screen.\n"
    assert analysis_of(policy + "Losses must be reported within 24 hours.").action_items == []


@pytest.mark.parametrize("owner", ["Mitsubishi", "Anna Takahashi"])
def test_end_of_a_name_is_no_greeting(owner: str) -> None:
    assert owner_in(f"{owner} must deliver the parts by Friday.") == owner


def test_weekday_is_no_owner() -> None:
    assert owner_in("The form must be returned by Friday.") is None


def test_date_without_a_limit_is_no_due_date() -> None:
    assert due_in("The meeting took place on 12 March 2024.") is None
