"""The site: built without a warning, and in a browser it asks no other host for anything (slow)."""

import functools
import shutil
import subprocess
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
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


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder and prints nothing."""

    def log_message(self, *_: object) -> None: ...


@pytest.mark.slow
def test_no_page_asks_another_host(site: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium is installed")
    asked: list[str] = []
    with (
        ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=site)) as server,
        playwright.sync_playwright() as started,
    ):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        here = f"http://127.0.0.1:{server.server_port}/"
        page = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"]).new_page()
        page.on("request", lambda request: asked.append(request.url))
        for name in PAGES:
            page.goto(here + name)
        page.keyboard.press("/")
        page.keyboard.type("reserve")
        page.wait_for_selector(".md-search-result__item")
        server.shutdown()
    assert asked and all(url.startswith((here, "data:", "blob:")) for url in asked)
