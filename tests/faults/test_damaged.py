"""Damaged detectors and pictures, and settings of another version, seen through the commands."""

import re
from pathlib import Path

import numpy as np
import pytest

from metafacs.data.prepared import PreparedDataset, validate
from metafacs.data.streams import Faces
from metafacs.errors import InputError
from metafacs.runs import DETECTOR
from metafacs.tensorfile import read_tensors, write_tensors
from metafacs.training.checkpoint import load_detector
from tests.toy_runs import flags, metafacs, rewrite


@pytest.fixture(scope="module")
def run(au_dataset: PreparedDataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "run"
    assert metafacs(*flags(folder, au_dataset.folder, None, method="stl", loop__steps=2)) == 0
    return folder


@pytest.mark.parametrize("command", ["evaluate", "export", "detect", "train"])
def test_a_flipped_bit_in_a_detector(
    command: str, run: Path, au_dataset: PreparedDataset, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    if command == "export":
        pytest.importorskip("onnx")
    (tmp_path / "face.jpg").write_bytes(au_dataset.image_bytes(0))
    content, file = bytearray((run / DETECTOR).read_bytes()), tmp_path / "model.safetensors"
    content[-99] ^= 64
    file.write_bytes(content)
    arguments = {
        "evaluate": ["evaluate", "--model", file, "--data", au_dataset.folder],
        "export": ["export", "--model", file, "--out", tmp_path / "d.onnx"],
        "detect": ["detect", tmp_path / "face.jpg", "--model", file, "--out", tmp_path / "d.csv"],
        "train": flags(tmp_path / "new", au_dataset.folder, None, method="stl", network__weights=file),
    }[command]
    assert metafacs(*arguments) == 2
    printed = capfd.readouterr().err
    assert f"{file}" in printed and "the SHA-256 differs" in printed and "Traceback" not in printed
    assert not (tmp_path / "d.onnx").exists() and not (tmp_path / "d.csv").exists()


def test_weights_that_are_not_numbers(
    run: Path, au_dataset: PreparedDataset, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    header, tensors = read_tensors(run / DETECTOR)
    tensors["network.au_head.bias"][1] = float("nan")
    write_tensors(tmp_path / "spoilt.safetensors", tensors, header)
    with pytest.raises(InputError, match="holds weights that are not finite numbers"):
        load_detector(tmp_path / "spoilt.safetensors")
    assert metafacs("evaluate", "--model", tmp_path / "spoilt.safetensors", "--data", au_dataset.folder) == 2
    assert "not finite numbers" in capfd.readouterr().err


def test_files_of_a_newer_version_name_both(
    run: Path, au_dataset: PreparedDataset, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    header, tensors = read_tensors(run / DETECTOR)
    write_tensors(tmp_path / "a", tensors, {**header, "format": 2, "tool_version": "9.1"})
    with pytest.raises(InputError, match=r"another version of metafacs \(9.1, format 2\).* reads format 1"):
        load_detector(tmp_path / "a")
    (tmp_path / "environment.json").write_text('{"metafacs": "9.1"}')
    (tmp_path / "config.yaml").write_text("loop: {warp: 9}\n")
    own = flags(tmp_path / "run", au_dataset.folder, None, method="stl", config=tmp_path / "config.yaml")
    assert metafacs(*own) == 2
    printed = capfd.readouterr().err
    assert "warp" in printed and "was written by metafacs '9.1', this is" in printed


def test_pictures_that_cannot_be_read_are_named_by_their_rows(
    au_dataset: PreparedDataset, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    wrong = {3: b"", 11: b"not an image", 20: b"\xff\xd8\xff\xe0", 33: au_dataset.image_bytes(33)[:200]}

    def change(number: int, row: dict[str, object]) -> None:
        row["image"] = wrong.get(number, row["image"])

    spoilt = rewrite(au_dataset, tmp_path / "spoilt", change)
    for row in wrong:
        with pytest.raises(InputError, match=rf"row {row} of .*unreadable image: .*; `metafacs inspect .*` lists all"):
            spoilt.image(row)
    assert [problem.row for problem in validate(spoilt)] == list(wrong)
    assert metafacs(*flags(tmp_path / "run", spoilt.folder, None, method="stl")) == 2
    printed = capfd.readouterr().err
    assert re.search(rf"row \d+ of {spoilt.folder} has an unreadable image", printed) and "inspect" in printed
    with pytest.raises(InputError, match="row 11 of"):
        Faces(spoilt, np.arange(8, 16), 32).decode_all(2)
