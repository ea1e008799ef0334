"""`/docs` in a real browser: it needs nothing from outside, and one can log in and call the API there."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from playwright.async_api import BrowserContext, Page, Request, Route, async_playwright, expect

from shared.settings import Settings
from tests.support.running import PASSWORD, add_user, serving

# fastapi-swagger reads its icon in a way that Python 3.11 and 3.12 call old.
pytestmark = pytest.mark.filterwarnings("ignore:open_binary is deprecated:DeprecationWarning")

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# Nothing of its own to fetch, and no name to look up: what is then still asked for comes from the page.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]


def browser_path() -> str:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    return found or pytest.fail("This test needs a browser. Install one: apt-get install -y chromium", pytrace=False)


@pytest.fixture
async def base_url(stack_settings: Settings) -> AsyncIterator[str]:
    async with serving(stack_settings) as url:
        yield url


@pytest.fixture
async def context() -> AsyncIterator[BrowserContext]:
    async with (
        async_playwright() as playwright,
        await playwright.chromium.launch(executable_path=browser_path(), args=FLAGS) as browser,
        await browser.new_context() as context,
    ):
        yield context


@pytest.fixture
async def foreign(context: BrowserContext) -> list[str]:
    """What the pages of this test have asked of any other host; none of it is let through."""
    asked: list[str] = []

    async def let_through(route: Route, request: Request) -> None:
        if urlsplit(request.url).hostname == "127.0.0.1":
            await route.continue_()
        else:
            asked.append(request.url)
            await route.abort()

    await context.route("**/*", let_through)
    return asked


async def log_in(page: Page, name: str) -> None:
    """Through the dialog behind the button with the lock."""
    await page.get_by_role("button", name="Authorize", exact=True).click()
    dialog = page.locator(".dialog-ux")
    await dialog.get_by_label("username").fill(name)
    await dialog.get_by_label("password").fill(PASSWORD)
    await dialog.get_by_role("button", name="Apply given OAuth2 credentials").click()
    await expect(dialog.get_by_role("button", name="Remove authorization")).to_be_visible()
    # The stream's ticket has a form of its own below.
    await dialog.get_by_role("button", name="Close", exact=True).first.click()


async def test_docs_page_logs_in_and_calls_the_api_without_any_other_host(
    base_url: str, stack_settings: Settings, context: BrowserContext, foreign: list[str]
) -> None:
    name = f"reader-{uuid4().hex[:8]}"
    await add_user(stack_settings, name)
    page = await context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)

    await page.goto(f"{base_url}/docs")
    await log_in(page, name)
    operation = page.locator(".opblock", has=page.locator("[data-path='/api/v1/auth/me']"))
    await operation.locator(".opblock-summary").click()
    await operation.get_by_role("button", name="Execute").click()

    answer = operation.locator(".live-responses-table")
    await expect(answer.locator(".response .response-col_status")).to_contain_text("200")
    await expect(answer.locator(".response .response-col_description")).to_contain_text(f'"username": "{name}"')
    assert foreign == []
    assert errors == []
