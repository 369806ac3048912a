"""MAL's controls from the command line."""

import json
from pathlib import Path

import pytest

from metafacs.data.prepared import PreparedDataset
from metafacs.facs import EXPRESSIONS
from tests.toy_runs import flags, metafacs, rewrite, same_parameters


def logged(run: Path) -> list[tuple[float, float]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [(x["weight_primary"], x["weight_auxiliary"]) for x in lines if x["event"] == "train"]


def test_the_balance_of_a_mal_run_is_replayed(
    au_dataset: PreparedDataset, fe_dataset: PreparedDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = au_dataset.folder, fe_dataset.folder
    every = {"loop__log_every": 1, "mal__task_beta": 0.5}
    assert metafacs(*flags(tmp_path / "mal", *data, **every)) == 0
    replay = {"method": "mtl", "mtl__replay": tmp_path / "mal"}
    assert metafacs(*flags(tmp_path / "mtl", *data, **replay, loop__log_every=1)) == 0
    before, after = logged(tmp_path / "mal"), logged(tmp_path / "mtl")
    assert len(before) == len(after) == 12 and max(abs(weight - 0.5) for weight, _ in before) > 0.05
    assert [x for pair in after for x in pair] == pytest.approx([x for pair in before for x in pair], rel=1e-6)
    assert metafacs(*flags(tmp_path / "longer", *data, **replay, loop__steps=13)) == 2
    assert "took 12 steps and this one takes 13" in capsys.readouterr().err
    assert metafacs(*flags(tmp_path / "none", *data, method="mtl", mtl__replay=tmp_path)) == 2
    assert f"{tmp_path} is not a finished run" in capsys.readouterr().err


def test_the_oracle_does_not_look_at_labels_of_bad_images(
    au_dataset: PreparedDataset, fe_dataset: PreparedDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def copy(name: str, shift: int) -> Path:
        def change(number: int, row: dict[str, object]) -> None:
            row["true_kind"] = "wrong" if number % 3 == 0 else "right"
            if number % 3 == 0:
                row["expression"] = EXPRESSIONS[(number + shift) % len(EXPRESSIONS)]

        return rewrite(fe_dataset, tmp_path / name, change, {"true_kind": "string"}).folder

    one, other = copy("one", 0), copy("other", 1)

    def train(run: str, fe: Path, **changes: object) -> int:
        return metafacs(*flags(tmp_path / run, au_dataset.folder, fe, method="mtl", **changes))

    oracle = {"mtl__truth": "true_kind", "mtl__bad": "wrong,worse"}
    assert train("a", one, **oracle) == train("b", other, **oracle) == train("c", one) == train("d", other) == 0
    assert same_parameters(tmp_path / "a", tmp_path / "b")
    assert not same_parameters(tmp_path / "c", tmp_path / "d") and not same_parameters(tmp_path / "a", tmp_path / "c")
    assert train("e", one, mtl__truth="true_kind", mtl__bad="worse") == 2
    assert "worse in true_kind, a column whose values are right, wrong" in capsys.readouterr().err
    assert train("f", one, mtl__truth="kind") == 2
    assert "no column 'kind'" in capsys.readouterr().err
