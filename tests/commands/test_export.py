"""`metafacs export`: a file that is right, or none."""

import json
from pathlib import Path

import numpy as np
import pytest

from metafacs.export import graph as graphs
from metafacs.export.parity import TOLERANCE, by_torch, rendered_faces
from metafacs.export.session import Session
from metafacs.faces import Recipe
from metafacs.runs import DETECTOR
from metafacs.training.checkpoint import load_detector
from tests.builders import make_prepared
from tests.inference.toys import AUS, save_toy
from tests.toy_runs import leftovers, metafacs

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy(tmp_path_factory.mktemp("export") / "run", thresholds=(0.5, 0.4, 0.5, 0.6))


def props(path: Path) -> dict[str, object]:
    return {entry.key: json.loads(entry.value) for entry in onnx.load(path).metadata_props}


def test_the_file_gives_pytorchs_numbers_and_says_what_it_is(run: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "made" / "a.onnx"
    assert metafacs("export", "--model", run, "--out", out) == 0
    network, card = load_detector(run / DETECTOR)
    faces = rendered_faces(48)
    assert np.abs(Session(out.read_bytes()).probabilities(faces) - by_torch(network, card, faces)).max() < TOLERANCE
    found = props(out)
    assert found["aus"] == AUS and found["thresholds"] == [0.5, 0.4, 0.5, 0.6]
    assert found["au_names"] == ["Inner brow raiser", "Brow lowerer", "Lip corner puller", "Lip pressor"]
    assert found["recipe"] == Recipe(size=48).to_card()
    assert found["card"]["test_subjects"] == ["S000", "S003"] and found["numbers"] == {"kind": "float32"}  # type: ignore[index]
    assert "4 AUs, faces of 48 pixels, float32" in capsys.readouterr().out
    assert [path.name for path in out.parent.iterdir()] == ["a.onnx"]


def test_nothing_is_replaced_by_accident(run: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "a.onnx"
    out.write_text("mine")
    assert metafacs("export", "--model", run, "--out", out) == 2
    assert "is there already" in capsys.readouterr().err and out.read_text() == "mine"
    assert metafacs("export", "--model", run, "--out", out, "--overwrite") == 0
    assert props(out)["aus"] == AUS


def test_a_file_that_differs_is_not_written(run: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    def wrong(network, card, size, opset):
        network.au_head.bias.data += 0.01
        graph = real(network, card, size, opset)
        network.au_head.bias.data -= 0.01
        return graph

    real = graphs.to_graph
    monkeypatch.setattr(graphs, "to_graph", wrong)
    out = tmp_path / "a.onnx"
    out.write_text("mine")
    assert metafacs("export", "--model", run, "--out", out, "--overwrite") == 2
    assert "no file was written" in capsys.readouterr().err
    assert out.read_text() == "mine" and leftovers(tmp_path) == []


def test_int8_with_its_cost(run: Path, tmp_path: Path, capsys) -> None:
    dataset = make_prepared(tmp_path / "toy", name="toy")
    out, where = tmp_path / "a.onnx", tmp_path / "toy"
    flags = ["--quantize", "--calibrate", where, "--data", where]
    assert metafacs("export", "--model", run, "--out", out, *flags) == 0
    printed = capsys.readouterr()
    assert "int8 differs from float32 by" in printed.err
    for word in ("f1_float32", "f1_lost", "AU12", "average", "size: "):
        assert word in printed.out
    assert "AU24" not in printed.out  # not labelled there
    numbers = props(out)["numbers"]
    assert numbers == {
        "kind": "int8",
        "way": "static, weights per channel",
        "calibrated_on": dataset.card.name,
        "calibration_faces": 32,
    }


@pytest.mark.parametrize(
    "flags, told",
    [
        (["--out", "a.pt"], "has to end in .onnx"),
        (["--data", "somewhere"], "--data belongs to int8; give --quantize too"),
        (["--quantize", "--data", "nowhere"], "nowhere"),
        (["--opset", "12"], "opset is 12; give 18 to 20"),
    ],
)
def test_bad_flags(flags: list[str], told: str, run: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert metafacs("export", "--model", run, *flags) == 2
    assert told in capsys.readouterr().err and list(tmp_path.iterdir()) == []


def test_bad_models(tmp_path: Path, capsys) -> None:
    assert metafacs("export", "--model", tmp_path / "none", "--out", tmp_path / "a.onnx") == 2
    assert "does not exist" in capsys.readouterr().err
    odd = save_toy(tmp_path / "odd", crop={"kind": "drawn", "size": 48})
    assert metafacs("export", "--model", odd, "--out", tmp_path / "a.onnx") == 2
    assert "cannot be repeated" in capsys.readouterr().err and not (tmp_path / "a.onnx").exists()
