"""Pickles that run code, given wherever a file is taken: they are never loaded."""

import json
import pickle
import shutil
from functools import partial
from pathlib import Path

import pytest
import torch

from metafacs.data.prepared import CARD_FILE, FACES_FILE, PreparedDataset
from metafacs.errors import InputError
from metafacs.models.network import build_network
from metafacs.runs import CONFIG, DETECTOR, STATE
from metafacs.training.checkpoint import load_detector
from tests.faults.hostile import Said, bombs, refusal, write
from tests.toy_runs import BACKBONE, flags


@pytest.fixture
def said(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Said:
    return partial(refusal, capfd, tmp_path / "BOOM")


@pytest.fixture(params=["zip", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("old", "bare", "text"))])
def bomb(request: pytest.FixtureRequest, tmp_path: Path) -> bytes:
    (tmp_path / "made").mkdir()
    return bombs(tmp_path / "made", tmp_path / "BOOM")[request.param]


def test_the_bomb_works(bomb: bytes, tmp_path: Path) -> None:
    """Else the other tests could not fail."""
    (tmp_path / "made" / "bomb").write_bytes(bomb)
    if bomb[:2] in (b"PK", b"\x80\x02"):
        torch.load(tmp_path / "made" / "bomb", weights_only=False)
    else:
        pickle.loads(bomb)
    assert (tmp_path / "BOOM").exists()


@pytest.mark.parametrize("ending", [".pt", ".pth", ".bin", ".safetensors", ""])
def test_a_pickle_as_a_model_or_weights(
    bomb: bytes, ending: str, au_dataset: PreparedDataset, tmp_path: Path, said: Said
) -> None:
    file = tmp_path / f"model{ending}"
    file.write_bytes(bomb)
    for load in (load_detector, lambda path: build_network(BACKBONE, 2, 2, str(path))):
        with pytest.raises(InputError, match=r"damaged or no safetensors file .*never read, because they can run code"):
            load(file)
    own = flags(tmp_path / "run", au_dataset.folder, None, method="stl", network__weights=file)
    assert "never read, because they can run code" in said(*own)
    assert not (tmp_path / "run").exists()
    assert "can run code" in said("evaluate", "--model", file, "--data", au_dataset.folder)
    (tmp_path / "folder").mkdir()
    shutil.copy(file, tmp_path / "folder" / DETECTOR)
    assert "can run code" in said("evaluate", "--model", tmp_path / "folder", "--data", au_dataset.folder)


def test_a_pickle_as_everything_else(
    bomb: bytes, au_dataset: PreparedDataset, fe_dataset: PreparedDataset, tmp_path: Path, said: Said
) -> None:
    file = tmp_path / "file.yaml"
    file.write_bytes(bomb)
    toy = au_dataset.folder, fe_dataset.folder
    said(*flags(tmp_path / "run", *toy, method="stl", config=file))
    said(*flags(tmp_path / "run", *toy, method="stl", data=file))
    said(*flags(tmp_path / "run", *toy, method="stl", loop=file))
    said(*flags(tmp_path / "run", file, toy[1]))
    said("inspect", file)
    for name in (FACES_FILE, CARD_FILE):
        copy = shutil.copytree(toy[0], tmp_path / name)
        (copy / name).write_bytes(bomb.ljust((toy[0] / name).stat().st_size, b"\0")[: (toy[0] / name).stat().st_size])
        said("inspect", copy)
        said(*flags(tmp_path / "run", copy, None, method="stl"))
    run = tmp_path / "run"
    run.mkdir()
    own = flags(run, *toy, method="stl")
    (run / CONFIG).write_bytes(bomb)
    said(*own, "--resume")
    said("evaluate", run)


def test_a_pickle_as_the_saved_state(bomb: bytes, au_dataset: PreparedDataset, tmp_path: Path, said: Said) -> None:
    from metafacs.commands import train as command

    own = flags(tmp_path / "run", au_dataset.folder, None, method="stl", loop__steps=4)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(command._Session, "_finish", lambda *given: (_ for _ in ()).throw(InputError("stopped")))
        said(*own)
    assert (tmp_path / "run" / STATE).exists()
    (tmp_path / "run" / STATE).write_bytes(bomb)
    assert "damaged or no safetensors file" in said(*own, "--resume")


@pytest.mark.parametrize(
    "name", ["pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path", "cache_dir"]
)
def test_options_of_a_backbone_that_would_load_files(
    name: str, bomb: bytes, au_dataset: PreparedDataset, tmp_path: Path, said: Said
) -> None:
    (tmp_path / "w.pth").write_bytes(bomb)
    value = (
        {"file": str(tmp_path / "w.pth")}
        if "cfg" in name
        else True
        if name == "pretrained"
        else str(tmp_path / "w.pth")
    )
    options = json.dumps({name: value})
    own = flags(tmp_path / "run", au_dataset.folder, None, **{"method": "stl", "network.options": options})
    printed = said(*own)
    assert name in printed and "--network.weights" in printed
    write(tmp_path / DETECTOR, backbone_options={name: value})
    with pytest.raises(InputError, match=f"{name} is not an option"):
        load_detector(tmp_path / DETECTOR)
    assert not (tmp_path / "BOOM").exists()
