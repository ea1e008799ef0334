"""What packages' stages, a LangGraph graph among them, do to a document, seen by whoever uploaded it."""

from __future__ import annotations

from shared.settings import Settings
from tests.support.packages import PACKAGES, installed
from tests.support.running import logged_in, serving, until, working

STAGES = "extract,ocr,without_telephones,analyze,classify,reading_time,triage"
NOTE = b"Ada will call the board on Monday.\nHer number is +44 20 7946 0958, mine is 030 901820.\nDeadline: May.\n"


async def test_added_stages_change_the_text_and_leave_results(own_settings: Settings) -> None:
    settings = own_settings.model_copy(update={"stages": STAGES})
    with installed(PACKAGES / "contacts"), installed(PACKAGES / "triage"):
        async with serving(settings) as base_url, working(settings), logged_in(base_url, settings) as client:
            answer = await client.post("/documents", files={"file": ("note.txt", NOTE)})
            url = f"/documents/{answer.json()['id']}"

            async def ended() -> bool:
                return bool((await client.get(f"{url}/status")).json()["terminal"])

            await until(ended)
            document = (await client.get(f"{url}?include=text")).json()
    assert (document["status"], document["error"]) == ("completed", None)
    assert document["stages"] == {
        "without_telephones": {"version": "1", "result": {"taken_out": 2}},
        "reading_time": {"version": "1", "result": {"minutes": 1}},
        "triage": {"version": "1", "result": {"urgent": True, "because": "Deadline: May", "file": "note.txt"}},
    }
    assert (
        document["text"]
        == "Ada will call the board on Monday.\nHer number is [telephone], mine is [telephone].\nDeadline: May."
    )
    assert "7946" not in str(document)
