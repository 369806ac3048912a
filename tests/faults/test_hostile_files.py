"""Files that would run code: pickles wherever a file is taken, and settings that name a class; nothing runs."""

import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from metafacs.data.prepared import CARD_FILE, FACES_FILE, PreparedDataset
from metafacs.runs import CONFIG, DETECTOR, STATE
from tests.toy_runs import flags, metafacs

Refused = Callable[..., str]


class Bomb:
    """Its pickle makes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, (f"touch '{self.path}'",))


@pytest.fixture
def bomb(tmp_path: Path) -> bytes:
    torch.save({"state_dict": {"a": torch.zeros(2)}, "b": Bomb(tmp_path / "BOOM")}, tmp_path / "bomb")
    return (tmp_path / "bomb").read_bytes()


@pytest.fixture
def refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Refused:
    def run(*arguments: object) -> str:
        assert metafacs(*arguments) == 2
        printed = capfd.readouterr().err
        assert "Traceback" not in printed and not (tmp_path / "BOOM").exists()
        return printed

    return run


def test_the_bomb_works(bomb: bytes, tmp_path: Path) -> None:
    """Else the other tests could not fail."""
    torch.load(tmp_path / "bomb", weights_only=False)
    assert (tmp_path / "BOOM").exists()
    with pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / "bomb", weights_only=True)


@pytest.mark.parametrize("ending", [".pt", ".safetensors"])
def test_a_pickle_as_a_model_or_weights(
    bomb: bytes, ending: str, au_dataset: PreparedDataset, tmp_path: Path, refused: Refused
) -> None:
    file = tmp_path / f"model{ending}"
    file.write_bytes(bomb)
    own = flags(tmp_path / "run", au_dataset.folder, None, method="stl", network__weights=file)
    assert "never read, because they can run code" in refused(*own)
    assert not (tmp_path / "run").exists()
    assert "can run code" in refused("evaluate", "--model", file, "--data", au_dataset.folder)
    (tmp_path / "folder").mkdir()
    shutil.copy(file, tmp_path / "folder" / DETECTOR)
    assert "can run code" in refused("evaluate", "--model", tmp_path / "folder", "--data", au_dataset.folder)


def test_a_pickle_as_everything_else(
    bomb: bytes, au_dataset: PreparedDataset, tmp_path: Path, refused: Refused
) -> None:
    file, toy = tmp_path / "file.yaml", (au_dataset.folder, None)
    file.write_bytes(bomb)
    refused(*flags(tmp_path / "run", *toy, method="stl", config=file))
    refused(*flags(tmp_path / "run", *toy, method="stl", data=file))
    refused("inspect", file)
    for name in (FACES_FILE, CARD_FILE):
        copy = shutil.copytree(toy[0], tmp_path / name)
        size = (toy[0] / name).stat().st_size
        (copy / name).write_bytes(bomb.ljust(size, b"\0")[:size])
        refused("inspect", copy)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / CONFIG).write_bytes(bomb)
    refused(*flags(tmp_path / "run", *toy, method="stl"), "--resume")
    (tmp_path / "run" / STATE).write_bytes(bomb)
    refused("evaluate", tmp_path / "run")


@pytest.mark.parametrize(
    "text",
    [
        "network: {options: {class_path: evil.Thing}}",
        "class_path: evil.Thing",
        "mal: [{class_path: evil.Thing, init_args: {}}]",
        "seed: !!python/object/apply:os.system ['touch BOOM']",
    ],
)
def test_settings_that_name_a_class(
    text: str, au_dataset: PreparedDataset, tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "evil.py").write_text("open('BOOM', 'w').close()\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yaml").write_text(text)
    refused(*flags(tmp_path / "run", au_dataset.folder, None, method="stl", config=tmp_path / "a.yaml"))
    options = "{class_path: evil.Thing}"
    refused(*flags(tmp_path / "run", au_dataset.folder, None, **{"method": "stl", "network.options": options}))
    assert not (tmp_path / "run").exists()
