"""The site: built without a warning, and in a browser it asks no other host for anything (slow)."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ("index.html", "method.html", "reference/train.html", "reference/python.html", "tutorials/recordings.html")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for needed in ("material", "mkdocstrings", "latex2mathml", "jupytext", "nbconvert"):
        pytest.importorskip(needed)
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
def test_formulas_flags_and_docstrings_are_there(site: Path) -> None:
    text = {page: (site / page).read_text(encoding="utf-8") for page in PAGES}
    assert text["method.html"].count("<math ") >= 5
    assert "--data.primary" in text["reference/train.html"] and "--mal.alpha" in text["reference/train.html"]
    assert all(f'id="metafacs.{name}"' in text["reference/python.html"] for name in ("train", "Run", "AUDetector"))


@pytest.mark.slow
def test_no_page_asks_another_host(site: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = Path("/usr/bin/chromium")
    if not chromium.exists():
        pytest.skip("no Chromium here")
    asked: list[str] = []
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=str(chromium))
        page = browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        for name in PAGES:
            page.goto((site / name).as_uri())
        page.keyboard.press("/")
        page.keyboard.type("reserve")
        page.wait_for_selector(".md-search-result__item")
        browser.close()
    assert asked and all(url.startswith((site.as_uri(), "data:", "blob:")) for url in asked)
