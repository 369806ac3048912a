"""The web page: what it answers, and how a real browser gets along with it."""

import base64
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

pytest.importorskip("fastapi")
pytest.importorskip("httpx")
pytest.importorskip("av")
from starlette.testclient import TestClient

from metafacs.inference import AUDetector, detector
from metafacs.serving.answers import WEAK, About
from metafacs.serving.door import Door
from metafacs.serving.limits import Limits
from metafacs.serving.service import Service
from tests.inference.toys import AUS, DotFinder, draw, make_video, save_picture, save_toy, walk
from tests.serving.browsing import open_page, wait_until
from tests.serving.hostile import bad_files
from tests.serving.rooms import client, listening, png, private_files, private_folders, toy_detector

SMALL = Limits(most_bytes=300_000, most_seconds=3.0, places=4)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy(tmp_path_factory.mktemp("toy") / "run")


@pytest.fixture(scope="module")
def asking(run: Path) -> Iterator[TestClient]:
    with client(run, SMALL) as made:
        yield made


def last_line(asking: TestClient, content: bytes, name: str = "a.png") -> dict[str, Any]:
    answer = asking.post("/page/detect", files={"file": (name, content)})
    line: dict[str, Any] = json.loads(answer.text.splitlines()[-1])
    return line


def test_the_page_is_there_and_names_what_it_is(asking: TestClient) -> None:
    page = asking.get("/").text
    assert "a toy" in page and "Lip corner puller" in page and "300000" in page
    assert "http" not in page  # nothing is loaded from elsewhere


def test_the_table_to_download_has_the_detectors_own_numbers(run: Path, asking: TestClient) -> None:
    picture = draw([(40, 40), (140, 50)])
    html = last_line(asking, png(picture))["html"]
    people, table = tables(html)
    expected = toy_detector(run).detect(picture)
    assert np.allclose(table[AUS], expected[AUS], rtol=0, atol=1e-6)
    assert html.count('class="box"') == 2 and f"{expected['AU12'].iloc[0]:.2f}" in html
    assert np.allclose(people["AU12 Lip corner puller (present from 0.5)"], expected["AU12"], rtol=0, atol=5.1e-4)
    present = [[f"AU{int(au[2:])}" for au in AUS if row[f"{au}_present"]] for _, row in expected.iterrows()]
    assert people["present"].fillna("").tolist() == [", ".join(aus) for aus in present]
    assert people["file"].tolist() == ["a.png"] * 2 and people["model"].str.startswith("toy, metafacs ").all()


def tables(html: str) -> list[pd.DataFrame]:
    """The two tables of an answer: for people, and for programs."""
    contents = re.findall(r'href="data:text/csv;charset=utf-8;base64,([^"]+)"', html)
    return [pd.read_csv(io.BytesIO(base64.b64decode(content))) for content in contents]


def test_present_action_units_stand_first(asking: TestClient) -> None:
    html = last_line(asking, png(draw([(40, 40), (140, 50)])))["html"]
    for face in html.split("<details")[1:]:
        states = re.findall(r'<li class="bar (\w+)"', face)
        assert len(states) == len(AUS) and states == sorted(states, reverse=True)  # present, then absent


def test_the_model_card_and_its_marks(run: Path, asking: TestClient) -> None:
    assert "/card" not in asking.get("/").text and asking.get("/card").status_code == 404
    assert 'class="weak"' not in last_line(asking, png(draw([(60, 40)])))["html"]
    card = f"# A card\n<script>bad()</script>\n\n## {WEAK}\n\n| AU | why |\n| --- | --- |\n| AU12 | a reason |\n"
    with client(run, SMALL, about=About("toy", "a toy", card)) as asking:
        page, shown = asking.get("/").text, asking.get("/card").text
        assert "/card" in page and "<h1>A card</h1>" in shown and "<td>AU12</td>" in shown and "<script" not in shown
        html = last_line(asking, png(draw([(60, 40)])))["html"]
        assert html.count("on real people: a reason") == page.count("on real people: a reason") == 1
        units = asking.get("/api/v1/model").json()["aus"]
        assert {unit["au"]: unit["weak"] for unit in units if unit["weak"]} == {"AU12": "a reason"}


def test_a_video_gets_a_timeline(run: Path, asking: TestClient, tmp_path: Path) -> None:
    video = make_video(tmp_path / "v.mp4", walk(40, gaps=(9, 10))).read_bytes()
    html = last_line(asking, video, "v.mp4")["html"]
    assert html.count("<figure>") == 6 and html.count('class="row"') == len(AUS)
    assert "2 people" in html and "a face in 95 % of the frames" in html
    lines = re.findall(r'class="line"[^>]* d="([^"]+)"', html)
    assert [line.count("M") for line in lines] == [2] * 2 * len(AUS)  # two people, a gap each
    table = toy_detector(run).detect_video(tmp_path / "v.mp4")
    shares = (table[table["success"] == 1].groupby("face")["AU12_present"].mean() * 100).round().astype(int)
    assert f"Face 1: present in {shares[1]} % of the frames, Face 2: present in {shares[2]} %" in html


def test_a_neutral_picture(run: Path, asking: TestClient, tmp_path: Path) -> None:
    before, picture, rest = private_folders(), draw([(60, 40)], 1), png(draw([(60, 40)], 2))
    files = {"file": ("a.png", png(picture)), "neutral": ("b.png", rest)}
    plain, expected = toy_detector(run).detect(picture), toy_detector(run).detect(picture, neutral=rest)
    assert (expected[AUS] <= plain[AUS]).all(axis=None) and (expected[AUS] < plain[AUS] - 0.01).any(axis=None)
    (row,) = asking.post("/api/v1/detect", files=files).json()["rows"]
    assert row["probabilities"] == pytest.approx(expected[AUS].iloc[0].to_dict(), abs=1e-6)
    html = json.loads(asking.post("/page/detect", files=files).text.splitlines()[-1])["html"]
    assert f"{expected['AU12'].iloc[0]:.2f}" in html and "at rest is taken off" in html
    film = make_video(tmp_path / "v.mp4", walk(5)).read_bytes()
    for content, reason in ((png(draw([])), "neutral picture: no face found"), (film, "a video"), (b"", "empty")):
        answer = asking.post("/api/v1/detect", files={**files, "neutral": ("b.png", content)})
        assert answer.status_code == 422 and reason in answer.json()["error"]["message"]
    assert private_files(before) == []


def test_smaller_faces_are_sought_where_that_is_asked_for(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sought: list[float] = []
    monkeypatch.setattr(
        detector, "make_finder", lambda settings: sought.append(settings.get("smallest", 0.0)) or DotFinder()
    )
    with client(AUDetector.from_run(run, finder="centerface", device="cpu")) as asking:
        assert 'id="smaller"' in asking.get("/").text
        for wish in ("", "?smaller=false", "?smaller=true"):
            for path in ("/page/detect", "/api/v1/detect"):
                assert asking.post(path + wish, files={"file": png(draw([(60, 40)]))}).status_code == 200
    assert sought == [0.0, 16.0, 16.0]  # made once, and once for each request that asked


def test_names_of_files_do_nothing(asking: TestClient) -> None:
    html = last_line(asking, png(draw([(60, 40)])), "<img src=x onerror=alert(1)>\"'.png")["html"]
    assert "<img src=x" not in html and "&lt;img src=x" in html


def test_bad_files_get_a_reason_and_leave_nothing(run: Path, tmp_path: Path) -> None:
    before = private_folders()
    with client(run, SMALL) as asking:
        for name, content in bad_files(tmp_path).items():
            assert set(last_line(asking, content, name)["error"]) == {"code", "message"}, name
        assert last_line(asking, bytes(500_000))["error"]["code"] == "too_large"
        assert "No face was found" in last_line(asking, png(draw([])))["html"]
        nobody = make_video(tmp_path / "nobody.mp4", [draw([])] * 5).read_bytes()
        assert "No face was found" in last_line(asking, nobody)["html"]
        assert private_files(before) == [] and asking.get("/health").json()["under_way"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_sends_a_photo_a_video_and_a_bad_file(run: Path, browser: Any, tmp_path: Path, width: int) -> None:
    picture = draw([(40, 40), (140, 50)])
    photo = save_picture(tmp_path / "photo.png", picture)
    with listening(run, SMALL) as address:
        page, elsewhere = open_page(browser, address, width)
        page.set_input_files("#file", photo)
        page.wait_for_selector("#results .photo", timeout=60_000)
        assert page.locator(".box").count() == 2 and page.inner_text("#said") == "photo.png: 2 faces"
        top = "document.querySelector('#results header').getBoundingClientRect().top"
        wait_until(page, f"Math.abs({top} - 16) < 8")  # the result's own head is what one sees first
        with page.expect_download() as waiting:
            page.click("text=Download table")
        assert waiting.value.suggested_filename == "photo_aus.csv"
        with page.expect_download() as waiting:
            page.click("text=for programs")
        expected = toy_detector(run).detect(picture)
        assert np.allclose(pd.read_csv(waiting.value.path())[AUS], expected[AUS], rtol=0, atol=1e-6)
        page.set_input_files("#neutral", photo)  # what is shown is looked at anew
        wait_until(page, "document.getElementById('results').innerText.includes('at rest is taken off')")
        assert "photo.png" in page.inner_text("label[for=neutral]")
        page.click("#forget")
        page.set_input_files("#file", make_video(tmp_path / "v.mp4", walk(30)))
        page.wait_for_selector("#results .timeline", timeout=60_000)
        for name, content in (("bad.jpg", b"no picture"), ("large.jpg", bytes(400_000))):
            (tmp_path / name).write_bytes(content)
            page.set_input_files("#file", tmp_path / name)
            page.wait_for_selector("#results .error", timeout=60_000)
            shown = page.inner_text("#results")
            assert ("larger" in shown or "too large" in shown) == (name == "large.jpg")
            page.evaluate("document.getElementById('results').replaceChildren()")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert elsewhere == []
        page.close()


@pytest.mark.slow
def test_a_browser_plays_a_video_and_its_cursor_goes_over_all_strips(run: Path, browser: Any, tmp_path: Path) -> None:
    plays = make_video(tmp_path / "v.webm", walk(30, gaps=(9, 10)), "libvpx-vp9")
    expected = toy_detector(run).detect_video(plays)
    with listening(run, Limits()) as address:
        page, elsewhere = open_page(browser, address)
        page.set_input_files("#file", plays)
        page.wait_for_selector("#results .player", timeout=60_000)
        assert page.is_hidden(".strip") and page.inner_text("#said").startswith("v.webm: 1.2 s, 30 frames")
        page.focus(".timeline input")
        for _ in range(20):
            page.keyboard.press("ArrowRight")
        wait_until(page, "Math.abs(document.querySelector('#results video').currentTime - 0.82) < 0.01")
        page.wait_for_timeout(300)  # what the player shows by then would move the cursor, were it another frame
        assert page.inner_text(".time") == "0.80 s" and page.locator(".boxes .box").count() == 2
        rows = expected[expected["frame"] == 20].sort_values("face")
        shown = [text.split() for text in page.locator(".now").all_inner_texts()]
        assert shown == [[f"{value:.2f}" for value in rows[au]] for au in AUS]
        strip = page.locator(".plot").first.bounding_box()
        page.mouse.click(strip["x"] + strip["width"] * 9.5 / 29, strip["y"] + 5)
        wait_until(page, "document.querySelector('.time').innerText === '0.36 s'")
        assert page.locator(".boxes .box").count() == 0 and page.inner_text(".now >> nth=0").split() == ["–", "–"]
        page.click(".play")
        wait_until(page, "document.querySelector('.time').innerText === '1.16 s'")
        page.set_input_files("#file", make_video(tmp_path / "old.mp4", walk(30)))
        page.wait_for_selector("#results .cannot", timeout=60_000)
        assert (
            page.locator(".strip figure:visible").count() == 6 and page.is_hidden(".player") and page.is_hidden(".play")
        )
        page.press(".timeline input", "End")
        assert page.inner_text(".time") == "1.16 s" and elsewhere == []
        page.close()


@pytest.mark.slow
def test_a_browser_drops_a_file_and_uses_the_camera(run: Path, browser: Any) -> None:
    with listening(run, Limits()) as address:
        page, elsewhere = open_page(browser, address)
        page.evaluate(
            """bytes => {
                const data = new DataTransfer();
                data.items.add(new File([new Uint8Array(bytes)], "dropped.png"));
                const drop = new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true });
                document.getElementById("drop").dispatchEvent(drop);
            }""",
            list(png(draw([(60, 40)]))),
        )
        page.wait_for_selector("#results .photo", timeout=60_000)
        assert "dropped.png" in page.inner_text("#results")
        page.click("#camera")
        wait_until(page, "document.getElementById('video').videoWidth > 0")
        page.click("#shot")
        wait_until(page, "document.getElementById('results').innerText.match(/camera.png|No face/)")
        page.click("#close")
        assert page.is_visible("#drop") and elsewhere == []
        page.close()


@pytest.mark.slow
def test_a_browser_with_the_password_and_stop(run: Path, browser: Any, tmp_path: Path) -> None:
    film = make_video(tmp_path / "v.mp4", walk(60))
    with listening(run, seconds=0.2, password="open sesame") as address:
        with pytest.raises(Exception, match="INVALID_AUTH_CREDENTIALS"):  # the browser asks, and nobody answers
            open_page(browser, address)
        page, elsewhere = open_page(browser, address, http_credentials={"username": "", "password": "open sesame"})
        page.set_input_files("#file", [Path(__file__), film])
        page.wait_for_selector("#results .error")
        wait_until(page, "document.getElementById('status').innerText.includes('(2 of 2): Frame')")
        page.set_input_files("#file", film)  # makes room for the new answer
        wait_until(page, "document.getElementById('status').innerText.startsWith('Frame')")
        assert page.inner_text("#results") == ""
        page.click("#stop")
        page.wait_for_selector("#status", state="hidden")
        assert page.inner_text("#results") == "" and elsewhere == []
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
@pytest.mark.parametrize("shut", [True, False])
def test_a_page_elsewhere_cannot_drive_the_server(
    run: Path, browser: Any, monkeypatch: pytest.MonkeyPatch, shut: bool
) -> None:
    """And would, were the door open: this is what shows that the door is what stops it."""
    real, entered = Service.job, []
    monkeypatch.setattr(Service, "job", lambda self, *given: entered.append(self) or real(self, *given))
    if not shut:
        monkeypatch.setattr(Door, "refusal", lambda self, headers: None)
    content = FOREIGN.replace("PHOTO", str(list(png(draw([(60, 40)])))))
    with listening(run, SMALL) as address, elsewhere(content) as port:
        for host in ("127.0.0.1", "localhost"):  # of the same site as the server, and of another
            page = browser.new_page()
            page.goto(f"http://{host}:{port}/")
            for path in ("/api/v1/detect", "/page/detect"):
                page.evaluate("address => send(address)", address + path)
            with page.expect_navigation():
                page.evaluate("address => submit(address)", f"{address}/api/v1/detect")
            shown = page.inner_text("body")
            assert ("wrong_origin" in shown) == shut and ("probabilities" in shown) != shut
            page.close()
    assert len(entered) == (0 if shut else 6)
