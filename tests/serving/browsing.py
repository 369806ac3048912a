"""The page in a real browser."""

from typing import Any


def open_page(browser: Any, address: str, width: int = 1280) -> tuple[Any, list[str]]:
    """The page, ready, and what it asks of other computers."""
    page, elsewhere = browser.new_page(viewport={"width": width, "height": 800}), []

    def note(request: Any) -> None:
        if not request.url.startswith((address, "data:", "blob:")):
            elsewhere.append(request.url)

    page.on("request", note)
    page.on("pageerror", lambda error: elsewhere.append(f"error: {error}"))
    page.goto(address)
    page.wait_for_selector("#mf-file", state="attached", timeout=60_000)
    return page, elsewhere
