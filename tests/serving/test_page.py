"""The web page: what it answers, and how a real browser gets along with it."""

import io
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("gradio")
pytest.importorskip("httpx")
from starlette.testclient import TestClient

from metafacs.serving.limits import Limits
from metafacs.serving.service import Service
from tests.inference.toys import AUS, draw, make_video, save_picture, save_toy, walk
from tests.serving.browsing import open_page
from tests.serving.hostile import bad_files
from tests.serving.rooms import client, listening, png, private_files, private_folders, toy_detector
from tests.serving.test_guard import GRADIO, TRAVERSALS

SMALL = Limits(most_bytes=300_000, most_seconds=3.0, places=4)
KEPT = ("/config", "/theme.css", "/manifest.json", "/favicon.ico", "/gradio_api/info", "/gradio_api/app_id")
"""What the page may read of gradio."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy(tmp_path_factory.mktemp("toy") / "run")


@pytest.fixture(scope="module")
def asking(run: Path) -> Iterator[TestClient]:
    with client(run, SMALL, page=True) as made:
        yield made


def told(asking: TestClient, content: bytes, name: str = "a.png") -> dict[str, Any]:
    answer = asking.post("/page/detect", files={"file": (name, content)})
    assert answer.status_code == 200
    last: dict[str, Any] = json.loads(answer.text.splitlines()[-1])
    return last


def test_the_page_is_there_and_names_what_it_is(asking: TestClient) -> None:
    config = asking.get("/").text
    assert "mf-drop" in config and "a toy" in config and "Lip corner puller" in config
    assert "fonts.googleapis" not in config and '"analytics_enabled":true' not in config.replace(" ", "")


@pytest.mark.parametrize(("method", "path"), [*GRADIO, *(("GET", path) for path in TRAVERSALS)])
def test_gradios_own_doors_are_shut(asking: TestClient, method: str, path: str) -> None:
    if path in KEPT or "heartbeat" in path or path.startswith("/assets/index"):
        return
    assert asking.request(method, path).status_code in (404, 405)


def test_the_table_to_download_has_the_detectors_own_numbers(run: Path, asking: TestClient) -> None:
    picture = draw([(40, 40), (140, 50)])
    html = told(asking, png(picture))["html"]
    (found,) = re.findall(r'href="data:text/csv;charset=utf-8;base64,([^"]+)"', html)
    import base64

    table, expected = pd.read_csv(io.BytesIO(base64.b64decode(found))), toy_detector(run).detect(picture)
    assert np.allclose(table[AUS], expected[AUS], rtol=0, atol=1e-6)
    assert html.count('class="mf-box"') == 2 and f"{expected['AU12'].iloc[0]:.2f}" in html


def test_a_video_gets_a_timeline(run: Path, asking: TestClient, tmp_path: Path) -> None:
    video = make_video(tmp_path / "v.mp4", walk(40, gaps=(9, 10))).read_bytes()
    html = told(asking, video, "v.mp4")["html"]
    assert html.count("<figure>") == 6 and html.count('class="mf-row"') == len(AUS)
    assert "2 people" in html and "a face in 95 % of the frames" in html
    assert html.count('class="mf-line"') >= 2 * 2 * len(AUS)  # two people, a gap each
    table = toy_detector(run).detect_video(tmp_path / "v.mp4")
    share = (table.loc[table["success"] == 1, "AU12_present"] == 1).mean()
    assert f'present in {100 * share:.0f} % of the faces"' in html and "each person in each frame counted" in html


def test_names_of_files_do_nothing(asking: TestClient) -> None:
    html = told(asking, png(draw([(60, 40)])), "<img src=x onerror=alert(1)>\"'.png")["html"]
    assert "<img src=x" not in html and "&lt;img src=x" in html


def test_bad_files_get_a_reason_and_leave_nothing(run: Path, tmp_path: Path) -> None:
    before = private_folders()
    with client(run, SMALL, page=True) as asking:
        for name, content in bad_files(tmp_path).items():
            answer = told(asking, content, name)
            assert answer["state"] == "error" and 'role="alert"' in answer["html"], name
        assert told(asking, bytes(400_000))["code"] == "too_large"
        assert "No face was found" in told(asking, png(draw([])))["html"]
        assert told(asking, png(draw([(60, 40)])))["state"] == "done"
        assert private_files(before) == [] and asking.get("/health").json()["under_way"] == 0


def test_the_page_asks_for_the_password_too(run: Path) -> None:
    with client(run, SMALL, page=True, password="x") as asking:
        for method, path in [*GRADIO, ("GET", "/"), ("POST", "/page/detect"), ("GET", "/page/page.js")]:
            answer = asking.request(method, path)
            assert answer.status_code == 401 and "gradio" not in answer.text


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_sends_a_photo_a_video_and_a_bad_file(run: Path, browser: Any, tmp_path: Path, width: int) -> None:
    picture = draw([(40, 40), (140, 50)])
    photo = save_picture(tmp_path / "photo.png", picture)
    with listening(run, SMALL, page=True) as address:
        page, elsewhere = open_page(browser, address, width)
        page.set_input_files("#mf-file", photo)
        page.wait_for_selector("#mf-result .mf-photo", timeout=60_000)
        assert page.locator(".mf-box").count() == 2
        top = "document.querySelector('#mf-result header').getBoundingClientRect().top"
        page.wait_for_function(f"Math.abs({top} - 16) < 8")  # the result's own head is what one sees first
        with page.expect_download() as waiting:
            page.click(".mf-download")
        assert waiting.value.suggested_filename == "photo_aus.csv"
        expected = toy_detector(run).detect(picture)
        assert np.allclose(pd.read_csv(waiting.value.path())[AUS], expected[AUS], rtol=0, atol=1e-6)
        page.set_input_files("#mf-file", make_video(tmp_path / "v.mp4", walk(30)))
        page.wait_for_selector("#mf-result .mf-timeline", timeout=60_000)
        for name, content in (("bad.jpg", b"no picture"), ("large.jpg", bytes(400_000))):
            (tmp_path / name).write_bytes(content)
            page.set_input_files("#mf-file", tmp_path / name)
            page.wait_for_selector("#mf-result .mf-error", timeout=60_000)
            shown = page.inner_text("#mf-result")
            assert ("larger" in shown or "too large" in shown) == (name == "large.jpg")
            page.evaluate("document.getElementById('mf-result').replaceChildren()")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert elsewhere == []
        page.close()


@pytest.mark.slow
def test_a_browser_drops_a_file_and_uses_the_camera(run: Path, browser: Any) -> None:
    with listening(run, Limits(), page=True) as address:
        page, elsewhere = open_page(browser, address)
        page.evaluate(
            """bytes => {
                const data = new DataTransfer();
                data.items.add(new File([new Uint8Array(bytes)], "dropped.png"));
                const drop = new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true });
                document.getElementById("mf-drop").dispatchEvent(drop);
            }""",
            list(png(draw([(60, 40)]))),
        )
        page.wait_for_selector("#mf-result .mf-photo", timeout=60_000)
        assert "dropped.png" in page.inner_text("#mf-result")
        page.click("#mf-camera")
        page.wait_for_function("document.getElementById('mf-video').videoWidth > 0")
        page.click("#mf-shot")
        page.wait_for_function("document.getElementById('mf-result').innerText.match(/camera.png|No face/)")
        page.click("#mf-close")
        assert page.is_visible("#mf-drop") and elsewhere == []
        page.close()


@pytest.mark.slow
def test_a_browser_logs_in(run: Path, browser: Any) -> None:
    with listening(run, SMALL, page=True, password="open sesame") as address:
        page = browser.new_page()
        page.goto(address)
        page.fill("#password", "wrong")
        page.click("button")
        assert "not the password" in page.inner_text("main")
        page.fill("#password", "open sesame")
        page.click("button")
        page.wait_for_selector("#mf-file", state="attached", timeout=60_000)
        page.close()


FOREIGN = """<!doctype html><title>elsewhere</title><form id="form" method="post" enctype="multipart/form-data">
<input name="file" type="file"></form><script>
const photo = () => new File([new Uint8Array(PHOTO)], "x.png");
async function send(address) {
  const form = new FormData();
  form.append("file", photo());
  await fetch(address, { method: "POST", body: form, mode: "no-cors" }).catch(() => {});
}
function submit(address) {
  const data = new DataTransfer();
  data.items.add(photo());
  document.querySelector("input").files = data.files;
  document.getElementById("form").action = address;
  document.getElementById("form").submit();
}
</script>"""


@contextmanager
def elsewhere(content: str) -> Iterator[int]:
    """The port of another server, whose pages may do whatever browsers allow."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(content.encode())

        def log_message(self, format: str, *given: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.mark.slow
@pytest.mark.parametrize("guarded", [True, False])
def test_a_page_elsewhere_cannot_drive_the_server(
    run: Path, browser: Any, monkeypatch: pytest.MonkeyPatch, guarded: bool
) -> None:
    """And would, were there no guard: this is what shows that the guard is what stops it."""
    real, entered = Service.enter, []
    monkeypatch.setattr(Service, "enter", lambda self: entered.append(self) or real(self))
    content = FOREIGN.replace("PHOTO", str(list(png(draw([(60, 40)])))))
    with listening(run, SMALL, page=True, guarded=guarded) as address, elsewhere(content) as port:
        for host in ("127.0.0.1", "localhost"):  # of the same site as the server, and of another
            page = browser.new_page()
            page.goto(f"http://{host}:{port}/")
            for path in ("/api/v1/detect", "/page/detect"):
                page.evaluate("address => send(address)", address + path)
            with page.expect_navigation():
                page.evaluate("address => submit(address)", f"{address}/api/v1/detect")
            shown = page.inner_text("body")
            assert ("wrong_origin" in shown) == guarded and ("probabilities" in shown) != guarded
            page.close()
    assert len(entered) == (0 if guarded else 6)
