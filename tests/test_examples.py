"""The examples: photograph to AUs without PyTorch, with the numbers that metafacs itself gives; any two tasks."""

import importlib.util
import io
import re
import subprocess
import sys
import venv
from collections.abc import Sequence
from importlib.metadata import distribution
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from metafacs.export.parity import rendered_faces
from metafacs.export.session import Session
from metafacs.faces import Recipe, align, to_jpeg
from metafacs.inference import AUDetector, detector
from tests.inference.toys import AUS, DotFinder, draw, save_picture, save_toy
from tests.toy_runs import metafacs

EXAMPLES = Path(__file__).parent.parent / "examples"
WITHOUT_TORCH = """
import runpy, sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(name + " is not installed", name=name)
sys.meta_path.insert(0, Blocker())
sys.path.insert(0, {examples!r})
try:
    import torch
except ModuleNotFoundError:
    pass
else:
    raise SystemExit("torch is there")
sys.argv = {arguments!r}
runpy.run_path(sys.argv[0], run_name="__main__")
"""
BLOCKED = {
    *("torch", "torchvision", "timm", "torchmetrics", "safetensors", "metafacs"),
    *("onnx", "onnxscript", "pandas", "pyarrow", "scipy", "skimage", "cv2", "dlib", "av", "matplotlib"),
}


@pytest.fixture(scope="module")
def align_face() -> ModuleType:
    spec = importlib.util.spec_from_file_location("align_face", EXAMPLES / "align_face.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("onnxscript")
    folder = tmp_path_factory.mktemp("examples")
    save_toy(folder / "run")
    assert metafacs("export", "--model", folder / "run", "--out", folder / "a.onnx") == 0
    return folder


def example(*arguments: object) -> list[float]:
    """The probabilities that the example prints, in a process that has no PyTorch."""
    given = [str(EXAMPLES / "numpy_onnx.py"), *map(str, arguments)]
    code = WITHOUT_TORCH.format(blocked=BLOCKED, examples=str(EXAMPLES), arguments=given)
    return printed([sys.executable, "-c", code])


def in_bare(python: Path, *arguments: object) -> list[float]:
    """The probabilities that the example prints where PyTorch is not installed at all."""
    for missing in ("torch", "metafacs", "onnx", "pandas"):
        tried = subprocess.run([python, "-c", f"import {missing}"], capture_output=True, text=True, env={}, check=False)
        assert tried.returncode == 1 and f"No module named '{missing}'" in tried.stderr
    return printed([python, EXAMPLES / "numpy_onnx.py", *map(str, arguments)], env={})


def printed(command: Sequence[str | Path], **options: Any) -> list[float]:
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stderr
    heading, *lines = done.stdout.splitlines()
    assert heading == "face 1" and [line.split()[0] for line in lines] == AUS
    return [float(line.removesuffix("present").split()[-1]) for line in lines]


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a new environment in which numpy, Pillow and onnxruntime are all there is, taken from this one."""
    place = tmp_path_factory.mktemp("bare")
    venv.create(place, symlinks=True)
    (inside,) = place.glob("lib/python*/site-packages")
    for name in ("numpy", "pillow", "onnxruntime"):
        found = distribution(name)
        for top in {file.parts[0] for file in found.files or () if file.parts[0] not in ("..", "__pycache__")}:
            (inside / top).symlink_to(Path(str(found.locate_file(top))))
    return place / "bin" / "python"


def test_alignment_is_the_packages_to_the_last_bit(align_face: ModuleType) -> None:
    rng = np.random.default_rng(0)
    picture = np.asarray(Image.fromarray(rendered_faces(256)[0]).resize((400, 300), Image.Resampling.BICUBIC))
    for _ in range(40):
        recipe = Recipe(
            size=int(rng.integers(40, 300)), margin=float(rng.uniform(-0.1, 0.5)), quality=int(rng.integers(60, 95))
        )
        eyes = rng.uniform((0, 0), (400, 300), (2, 2))
        if np.linalg.norm(eyes[0] - eyes[1]) < 4:
            continue
        crop, _ = align(picture, eyes, recipe)
        with Image.open(io.BytesIO(to_jpeg(crop, recipe.quality))) as stored:
            expected = np.asarray(stored)
        found = align_face.aligned(Image.fromarray(picture), complex(*eyes[0]), complex(*eyes[1]), recipe.to_card())
        assert np.array_equal(found, expected)


def test_one_face_gives_the_same_numbers_everywhere(
    exported: Path, bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detector, "make_finder", lambda settings: DotFinder())
    picture = draw([(60, 40)], seed=5)
    path = save_picture(tmp_path / "face.png", picture)
    made = AUDetector.from_run(exported / "run", device="cpu")
    python = made.detect(path)[AUS].to_numpy(np.float64)[0]
    assert python.std() > 0.02
    assert metafacs("detect", path, "--model", exported / "run", "--out", tmp_path / "a.csv", "--device", "cpu") == 0
    command = pd.read_csv(tmp_path / "a.csv")[AUS].to_numpy()[0]
    (face,) = DotFinder().find(picture)
    crop = made.crop(picture, face).image  # resized already: the file resizes for itself
    aligned, _ = align(picture, face.eyes, made.recipe)
    with Image.open(io.BytesIO(to_jpeg(aligned, made.recipe.quality))) as stored:
        given = np.asarray(stored)
    assert crop.shape[0] != given.shape[0]
    session = Session((exported / "a.onnx").read_bytes()).probabilities([given])[0]
    from_photo = example(exported / "a.onnx", path, *face.eyes.ravel())
    from_table = example(exported / "a.onnx", path, tmp_path / "a.csv")
    save_picture(tmp_path / "crop.png", given)
    from_crop = example(exported / "a.onnx", tmp_path / "crop.png")
    without = in_bare(bare, exported / "a.onnx", path, *face.eyes.ravel())
    for numbers in (command, session, from_photo, from_table, from_crop, without):
        assert np.abs(numbers - python).max() < 2e-6


def two_tasks(*arguments: object) -> tuple[list[list[float]], list[list[float]]]:
    """What the example prints: a row a seed (three accuracies, two weights), and two gains with their intervals."""
    command = [sys.executable, EXAMPLES / "two_tasks.py", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()[1:]
    rows = [[float(number) for number in line.split()[2:]] for line in lines if line.startswith("seed ")]
    gains = [
        [float(number) for number in re.findall(r"[+-]\d\.\d+", line)] for line in lines if line.startswith("gain ")
    ]
    assert len(rows) + len(gains) == len(lines)
    return rows, gains


def test_two_tasks_prints_every_seed_and_the_gains() -> None:
    rows, gains = two_tasks(2, 3)
    assert len(rows) == 2 and len(gains) == 2
    assert all(len(row) == 5 and all(0 < number < 1 for number in row) for row in rows)
    for (gain, low, high), other in zip(gains, (0, 1), strict=True):
        assert low <= gain <= high
        assert gain == pytest.approx(np.mean([row[2] - row[other] for row in rows]), abs=2e-3)


@pytest.mark.slow
def test_learned_weights_beat_the_plain_sum() -> None:
    rows, ((gain, _, _), _) = two_tasks(10)
    assert gain > 0
    assert all(clear > faint for *_, clear, faint in rows)
