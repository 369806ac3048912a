"""Methods with more than one plain network, from `metafacs train` to their scores, and killed in between."""

from pathlib import Path

import pytest
from safetensors import safe_open

from metafacs.data.prepared import PreparedDataset
from metafacs.evaluation.predictions import read_predictions
from metafacs.methods import METHODS
from tests.launcher import Launcher
from tests.toy_runs import SMALL, flags, logged_steps, metafacs, same_parameters

NAMES = ["mtan", "cross_stitch", "l2t_ww", "maxl", "eac_net", "roi", "jaa_net", "srerl", "gbn", "tcae", "lp_net"]
DIES = "import metafacs.training.loop as l; f = l._Meter.add\n"
DIES += "def add(self, *a):\n    global n; n += 1; f(self, *a)\n    if n == %d: import os; os.kill(os.getpid(), 9)\n"
DIES += "n = 0; l._Meter.add = add"


def toy(out: Path, au: PreparedDataset, fe: PreparedDataset, method: str, **changes: object) -> list[str]:
    backbone, options = SMALL[METHODS[method].needs or "resnet"]
    small: dict[str, object] = {"network__backbone": backbone, "network__options": str(options)}
    small |= {"loop__steps": 6, "loop__save_every": 1, "data__aus": "1,2,12"}
    return flags(out, au.folder, fe.folder, method=method, **{**small, **changes})


@pytest.mark.parametrize("method", NAMES)
def test_it_is_trained_killed_resumed_and_scored(
    method: str, au_dataset: PreparedDataset, fe_dataset: PreparedDataset, launcher: Launcher, tmp_path: Path
) -> None:
    assert launcher.run(toy(tmp_path / "whole", au_dataset, fe_dataset, method), tmp_path / "log")[0] == 0
    cut = [*toy(tmp_path / "cut", au_dataset, fe_dataset, method), "--resume"]
    for steps in (2, 3):
        status, printed = launcher.run(cut, tmp_path / "log", DIES % steps)
        assert status == -9, printed
    status, printed = launcher.run(cut, tmp_path / "log")
    assert status == 0 and "going on after step 3 of 6" in printed
    assert same_parameters(tmp_path / "whole", tmp_path / "cut")
    assert logged_steps(tmp_path / "cut", "train") == [3, 6]
    assert metafacs("evaluate", tmp_path / "cut") == 0
    assert read_predictions(tmp_path / "cut").info["method"] == method


def test_a_detector_of_another_form_says_so(
    au_dataset: PreparedDataset, fe_dataset: PreparedDataset, tmp_path: Path
) -> None:
    arguments = toy(tmp_path / "run", au_dataset, fe_dataset, "cross_stitch", cross_stitch__per="layer")
    assert metafacs(*arguments) == 0
    with safe_open(tmp_path / "run" / "detector.safetensors", "pt") as opened:
        assert '"form": "stitched", "facts": {"per": "layer"}' in opened.metadata()["metafacs"]


def test_a_backbone_without_stages_is_refused_before_anything_is_written(
    au_dataset: PreparedDataset, fe_dataset: PreparedDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    changes = {"network__backbone": "test_efficientnet", "network__options": "{}"}
    for method, other in {
        "mtan": "resnet34",
        "eac_net": "vgg19",
        "roi": "vgg16",
        "jaa_net": "metafacs_jaa",
        "tcae": "metafacs_tcae",
    }.items():
        assert metafacs(*toy(run, au_dataset, fe_dataset, method, **changes)) == 2
        assert f"--network.backbone {other}" in capsys.readouterr().err and not run.exists()
