"""The page in a real browser."""

import time
from typing import Any


def open_page(browser: Any, address: str, width: int = 1280, **options: Any) -> tuple[Any, list[str]]:
    """The page, ready, and what it asks of other computers."""
    page, elsewhere = browser.new_page(viewport={"width": width, "height": 800}, **options), []

    def note(request: Any) -> None:
        if not request.url.startswith((address, "data:", "blob:")):
            elsewhere.append(request.url)

    page.on("request", note)
    page.on("pageerror", lambda error: elsewhere.append(f"error: {error}"))
    page.goto(address)
    page.wait_for_selector("#file", state="attached", timeout=60_000)
    return page, elsewhere


def wait_until(page: Any, condition: str, seconds: float = 60) -> None:
    """Waits until JavaScript gives something true; Playwright's own way needs `eval`, which the page forbids."""
    end = time.monotonic() + seconds
    while not page.evaluate(condition):
        assert time.monotonic() < end, condition
        page.wait_for_timeout(50)
