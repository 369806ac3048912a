"""The detector that ships with the package, as it is after installation."""

import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from metafacs.errors import InputError
from metafacs.facs import au_title
from metafacs.inference import AUDetector
from metafacs.inference.watching import Crop
from metafacs.runs import DETECTOR
from metafacs.starter import locate, starter_run
from metafacs.training.checkpoint import load_detector

CARD = "MODEL_CARD.md"
MOST_MEGABYTES = 12.0


def card() -> str:
    return (starter_run() / CARD).read_text(encoding="utf-8")


def test_it_is_small_and_holds_tensors_only() -> None:
    folder = starter_run()
    assert sum(path.stat().st_size for path in folder.iterdir() if path.is_file()) < MOST_MEGABYTES * 1e6
    assert {path.suffix for path in folder.iterdir() if path.is_file()} <= {".py", ".md", ".safetensors"}
    with safe_open(folder / DETECTOR, "pt") as opened:
        assert len(list(opened.keys())) > 10


def test_everything_it_needs_is_named_as_package_data() -> None:
    root = Path(__file__).parents[2]
    if not (root / "pyproject.toml").is_file():
        pytest.skip("tests of an installed package")
    named = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["metafacs"]
    assert {f"starter/{DETECTOR}", f"starter/{CARD}"} <= set(named)


def test_an_installation_without_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locate, "__file__", str(tmp_path / "locate.py"))
    with pytest.raises(InputError, match="--model"):
        starter_run()


def test_the_card_is_about_this_detector() -> None:
    network, about = load_detector(starter_run() / DETECTOR)
    text = card()
    listed = re.search(r"^\| detects \| (.*) \|$", text, re.MULTILINE)
    assert listed is not None
    assert re.findall(r"AU\d+", listed[1]) == [au_title(au) for au in about.aus]
    scored = re.findall(r"^\| (AU\d+) \| [\d.]+ \| [\d.]+ \| [\d.]+ \|", text, re.MULTILINE)
    assert scored == [au_title(au) for au in about.aus]
    assert f"{sum(p.numel() for p in network.parameters()) / 1e6:.2f} million parameters" in text
    assert f"{about.steps:,} steps" in text and f"`{about.method}`" in text
    assert "not for measuring people" in text and "never scored\nagainst the codes of FACS coders" in text
    assert not re.search(r"[{}]", text), "a place that was not filled"


def test_it_is_better_than_the_floor_on_every_au_that_its_card_lists() -> None:
    rows = re.findall(r"^\| AU\d+ \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|", card(), re.MULTILINE)
    found = np.array(rows, float)
    assert len(found) > 10
    assert (found[:, 2] > 60).all(), "AUC in percent"
    assert found[:, 0].mean() > found[:, 1].mean() + 10


def test_a_plain_picture_has_probabilities_and_no_face() -> None:
    pytest.importorskip("mediapipe")
    detector = AUDetector.from_run(starter_run(), device="cpu")
    assert detector.thresholds == [0.5] * len(detector.aus)
    grey = np.full((200, 200, 3), 128, np.uint8)
    assert detector.detect(grey)["success"].tolist() == [0]
    crop = np.full((detector.card.resize, detector.card.resize, 3), 128, np.uint8)
    assert np.isfinite(detector.logits([Crop(crop)])).all()


@pytest.mark.slow
def test_rendered_smiles_and_open_mouths_are_told_from_faces_at_rest() -> None:
    for needed in ("mediapipe", "anny", "warp"):
        pytest.importorskip(needed)
    from facsynth.head import load_head
    from facsynth.identity import draw_person
    from facsynth.photo import Shot, take
    from facsynth.rig import RIG_AUS
    from facsynth.scene import Scene, draw_framing, draw_habits

    detector = AUDetector.from_run(starter_run(), device="cpu")
    shown: dict[str, dict[int, float]] = {"rest": {}, "smile": {6: 0.7, 12: 0.8}, "jaw": {25: 0.5, 26: 0.8}}
    shots = []
    for number in range(5):
        rng = np.random.default_rng([number, 31])
        person, habits = draw_person(load_head(), rng), draw_habits(rng)
        framing = draw_framing(rng, 300, 300, 60)
        for strengths in shown.values():
            acting = np.zeros((2, len(RIG_AUS)))
            for au, strength in strengths.items():
                acting[:, RIG_AUS.index(au)] = strength
            shots.append(Shot(person, acting, (0.0, 0.0), Scene(0.0, 0.0, framing, habits)))
    rows = detector.detect(list(take(load_head(), shots, 300, 2)[0]), faces=1)
    assert (rows["success"] == 1).all()
    smiling, open_jaw = (rows[au].to_numpy().reshape(5, 3) for au in ("AU12", "AU26"))
    assert (smiling[:, 1] > smiling[:, 0] + 0.2).sum() >= 4 and (smiling[:, 1] > smiling[:, 2]).sum() >= 4
    assert (open_jaw[:, 2] > open_jaw[:, 0] + 0.2).sum() >= 4


def test_the_page_knows_which_aus_are_weak() -> None:
    pytest.importorskip("fastapi")
    from metafacs.serving.answers import About

    weak = About("", "", card()).weak()
    assert {"AU14", "AU25"} <= weak.keys() < {au_title(au) for au in AUDetector.starter(device="cpu").aus}
    scored = set(re.findall(r"^\| \w+: (AU\d+) \|", card(), re.MULTILINE))  # on real faces
    assert {au_title(au) for au in AUDetector.starter(device="cpu").aus} - scored <= weak.keys()
