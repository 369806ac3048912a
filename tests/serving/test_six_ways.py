"""One photograph gives the same numbers from PyTorch, ONNX, the command line, Python, the HTTP API and the web page."""

import base64
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

pytest.importorskip("fastapi")
pytest.importorskip("httpx")
pytest.importorskip("dlib")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
pytest.importorskip("skimage")
import httpx
import onnxruntime
from skimage.data import astronaut

from metafacs.faces import align, make_finder, to_jpeg
from metafacs.faces.finders import settled
from metafacs.inference import AUDetector
from metafacs.inference.detector import recipe_of
from metafacs.runs import DETECTOR
from metafacs.sample import Sample
from metafacs.starter import starter_run
from metafacs.training.checkpoint import load_detector
from tests.inference.toys import save_picture
from tests.serving.browsing import open_page
from tests.serving.rooms import listening
from tests.toy_runs import metafacs

TOLERANCE = 1e-4
"""Of a probability between any way and the network itself; seen: 2.4e-7."""
SHOWN = 0.0051
"""Half of the last digit that stands beside a bar; the bar itself has three digits."""
DATA = "data:text/csv;charset=utf-8;base64,"


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real face."""
    return save_picture(tmp_path_factory.mktemp("photo") / "astronaut.png", astronaut())


@pytest.fixture(scope="module")
def face() -> np.ndarray:
    """(S, S, 3) uint8: the face of the photograph, aligned as the starter detector wants it."""
    recipe = recipe_of(load_detector(starter_run() / DETECTOR)[1])
    (found,) = make_finder(settled(recipe.finder, recipe.eyes)).find(astronaut())  # type: ignore[union-attr]
    aligned, _ = align(astronaut(), found.eyes, recipe)
    with Image.open(io.BytesIO(to_jpeg(aligned, recipe.quality))) as stored:
        return np.asarray(stored.convert("RGB"))


@pytest.fixture(scope="module")
def straight(face: np.ndarray) -> np.ndarray:
    """(A,) what the network itself says, everything before it done by hand."""
    network, card = load_detector(starter_run() / DETECTOR)
    resized = Image.fromarray(face).resize((card.resize, card.resize), Image.Resampling.BILINEAR)
    edge = (card.resize - card.side) // 2
    middle = np.asarray(resized)[edge : edge + card.side, edge : edge + card.side]
    with torch.inference_mode():
        images = torch.from_numpy(middle.copy()).permute(2, 0, 1)[None].float() / 255
        logits = network.eval()(Sample(images)).au_logits
    return np.asarray(torch.sigmoid(logits.double())[0].numpy())


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with listening(AUDetector.starter(device="cpu")) as address:
        yield address


def by_onnx(face: np.ndarray, folder: Path) -> np.ndarray:
    assert metafacs("export", "--out", folder / "starter.onnx") == 0
    session = onnxruntime.InferenceSession(folder / "starter.onnx", providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["probabilities"], {"faces": face[None]})[0][0])


def by_command(photo: Path, folder: Path, aus: list[str]) -> np.ndarray:
    assert metafacs("detect", photo, "--out", folder / "found.csv", "--device", "cpu") == 0
    return pd.read_csv(folder / "found.csv")[aus].to_numpy()[0]


def by_api(address: str, photo: Path, aus: list[str]) -> np.ndarray:
    answer = httpx.post(f"{address}/api/v1/detect", files={"file": photo.read_bytes()}, timeout=60, trust_env=False)
    (row,) = answer.json()["rows"]
    return np.array([row["probabilities"][au] for au in aus])


def by_page(address: str, photo: Path, aus: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The table to download, the numbers beside the bars, and the lengths of the bars, from the page's own door."""
    files = {"file": (photo.name, photo.read_bytes())}
    answer = httpx.post(f"{address}/page/detect", files=files, timeout=60, trust_env=False)
    html = json.loads(answer.text.splitlines()[-1])["html"]
    _, table = re.findall(f'href="{re.escape(DATA)}([^"]+)"', html)
    numbers = pd.read_csv(io.BytesIO(base64.b64decode(table)))[aus].to_numpy()[0]
    order = np.argsort([aus.index(f"AU{int(number):02d}") for number in re.findall(r'class="au"><b>AU(\d+)<', html)])
    beside = np.array(re.findall(r'class="value">([\d.]+)<', html), float)[order]
    lengths = np.array(re.findall(r'probability [^"]+"><div style="width:([\d.]+)%"', html), float)[order]
    return numbers, beside, lengths / 100


def test_one_photograph_gives_the_same_numbers_in_six_ways(
    photo: Path, face: np.ndarray, straight: np.ndarray, server: str, tmp_path: Path
) -> None:
    detector = AUDetector.starter(device="cpu")
    aus = detector.aus
    assert len(straight) == 17 and straight.std() > 0.1  # something to agree on
    table, beside, lengths = by_page(server, photo, aus)
    found = {
        "ONNX": by_onnx(face, tmp_path),
        "command line": by_command(photo, tmp_path, aus),
        "Python": detector.detect(photo)[aus].to_numpy(np.float64)[0],
        "HTTP API": by_api(server, photo, aus),
        "web page": table,
    }
    apart = {name: float(np.abs(numbers - straight).max()) for name, numbers in found.items()}
    assert max(apart.values()) <= TOLERANCE, apart
    assert np.abs(beside - straight).max() < SHOWN and np.abs(lengths - straight).max() < SHOWN / 10


@pytest.mark.slow
def test_a_browser_shows_and_downloads_the_same_numbers(
    photo: Path, straight: np.ndarray, server: str, browser: Any
) -> None:
    page, elsewhere = open_page(browser, server)
    page.set_input_files("#file", photo)
    page.wait_for_selector("#results .photo", timeout=60_000)
    with page.expect_download() as waiting:
        page.click("text=for programs")
    aus = AUDetector.starter(device="cpu").aus
    table = pd.read_csv(waiting.value.path())[aus].to_numpy()[0]
    assert np.abs(table - straight).max() <= TOLERANCE
    shown = [aus.index(f"AU{int(text[2:]):02d}") for text in page.locator(".bar .au b").all_inner_texts()]
    beside = [float(text) for text in page.locator(".bar .value").all_inner_texts()]
    assert sorted(shown) == list(range(len(aus))) and np.abs(np.array(beside) - straight[shown]).max() < SHOWN
    width = "(bar) => bar.getBoundingClientRect().width"
    bars = f"(bars) => bars.map((bar) => ({width})(bar.firstElementChild) / ({width})(bar))"
    drawn = page.locator(".bar .track").evaluate_all(bars)
    assert np.abs(np.array(drawn) - straight[shown]).max() < SHOWN and elsewhere == []
    page.close()
