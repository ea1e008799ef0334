"""The examples of docs/streaming.md follow the stream in a real browser, through several ends of it."""

from __future__ import annotations

import re
from functools import partial
from uuid import uuid4

from playwright.async_api import Page, async_playwright

from shared.bootstrap import Backends
from shared.settings import Settings
from tests.architecture.checkout import ROOT
from tests.browser.test_docs_page import FLAGS, browser_path
from tests.support.builders import S
from tests.support.callers import PATHS, calling, tokens_of
from tests.support.running import serving, until

# It goes on until the page ends, and comes back without a pause.
COLLECT = """
  Math.random = () => 0;
  const told = [];
  (window.told ??= []).push(told);
  follow(token, cursor, (event, data) => { told.push(data.status); });
"""


def examples() -> list[str]:
    """The blocks of JavaScript: one reads with fetch, one with EventSource."""
    found = re.findall(r"^```js\n(.*?)^```", (ROOT / "docs" / "streaming.md").read_text(), re.MULTILINE | re.DOTALL)
    assert ["EventSource" in code for code in found] == [False, True]
    return found


async def test_examples_for_browsers_see_every_move_once_over_several_streams(
    stack_settings: Settings, backends: Backends
) -> None:
    settings = stack_settings.model_copy(update={"stream_linger_seconds": 0})
    async with (
        serving(settings) as base_url,
        calling(base_url, settings, backends) as me,
        async_playwright() as playwright,
        await playwright.chromium.launch(executable_path=browser_path(), args=FLAGS) as browser,
        await browser.new_context() as context,
    ):
        page = await context.new_page()
        # The one page there is: what any other answer would be allowed as a page is nothing.
        await page.goto(f"{base_url}/docs")
        document = await me.document(S.UPLOADED)
        given = [tokens_of(settings).access(me.user, uuid4()), "0"]
        for code in examples():
            await page.evaluate(f"async ([token, cursor]) => {{ {code} {COLLECT} }}", given)
        for count, status in enumerate(PATHS[S.COMPLETED], start=1):
            if document.status != status:
                document = await me.move(document, status)
            # Each stream ends after its events, so that the next move is told by another.
            await until(partial(told_by_all, page, count))
        assert await page.evaluate("told") == [list(PATHS[S.COMPLETED])] * 2


async def told_by_all(page: Page, count: int) -> bool:
    return bool(await page.evaluate("count => told.every((moves) => moves.length >= count)", count))
