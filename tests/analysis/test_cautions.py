"""The report warns of what it should, and of nothing else."""

import json
from pathlib import Path

import numpy as np
import pytest

from metafacs.analysis.cautions import cautions, settings_of
from metafacs.evaluation.comparison import compare
from tests.evaluation.runs import write_run


def settled(run: Path, **changes: object) -> Path:
    """A run with a config, an environment and a log."""
    settings = {"method": "mal", "seed": 0, "data": {"test_fold": "P1", "side": 64}, "mal": {"beta": 0.1}} | changes
    (run / "config.yaml").write_text(json.dumps(settings))
    (run / "environment.json").write_text(json.dumps({"torch": "2.6"}))
    (run / "metrics.jsonl").write_text('{"event": "train", "step": 1, "loss_primary": 1.0}\n')
    return run


def study(folder: Path, **dataset: str) -> list[Path]:
    cells = [(m, f, s) for m in ("stl", "mal") for f in ("P1", "P2") for s in (0, 1, 2)]
    return [settled(write_run(folder, m, f, s, skill=4 if m == "mal" else 1, **dataset), method=m) for m, f, s in cells]


def test_a_sound_study_has_nothing_to_be_warned_of(tmp_path: Path) -> None:
    runs = study(tmp_path, dataset="real")
    assert cautions(runs, compare(runs)) == []


def test_few_seeds_one_fold_rendered_and_unclear(tmp_path: Path) -> None:
    runs = [settled(write_run(tmp_path, m, seed=s, skill=1), method=m) for m in ("stl", "mal") for s in (0, 1)]
    found = "\n".join(cautions(runs, compare(runs)))
    for said in ("rendered", "2 seeds of STL, MAL", "one test fold (P1)", "may be chance for: MAL"):
        assert said in found


def test_worse_than_always_saying_present(tmp_path: Path) -> None:
    runs = study(tmp_path, dataset="real")
    never = np.zeros((60, 3))
    for fold, seed in ((fold, seed) for fold in ("P1", "P2") for seed in (0, 1, 2)):
        runs.append(settled(write_run(tmp_path, "bad", fold, seed, probabilities=never, dataset="real"), method="bad"))
    assert any(line.startswith("bad: average F1 below") for line in cautions(runs, compare(runs)))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"data": {"test_fold": "P1", "side": 32}}, "do not share all settings: data.side"),
        ({"mal": {"beta": 0.2}}, "different options of their method: MAL"),
    ],
)
def test_runs_that_are_not_alike(tmp_path: Path, change: dict[str, object], said: str) -> None:
    runs = study(tmp_path, dataset="real")
    settled(runs[-1], **change)
    assert [said in line for line in cautions(runs, compare(runs))] == [True]


def test_other_environments_and_stuck_weights(tmp_path: Path) -> None:
    runs = study(tmp_path, dataset="real")
    (runs[0] / "environment.json").write_text('{"torch": "2.7"}')
    line = '{"event": "train", "step": 1, "loss_primary": 1.0, "raw_weight_saturated": 0.9}\n'
    (runs[-1] / "metrics.jsonl").write_text(line)
    found = cautions(runs, compare(runs))
    assert len(found) == 2 and "stuck" in found[0] and runs[-1].name in found[0] and "torch" in found[1]


def test_settings_name_no_place_on_the_machine(tmp_path: Path) -> None:
    run = settled(write_run(tmp_path), data={"primary": "/home/me/study/au", "auxiliary": "fe", "side": 64})
    assert settings_of(run)["data.primary"] == "study/au" and settings_of(run)["data.auxiliary"] == "fe"
