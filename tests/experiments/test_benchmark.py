from dataclasses import replace
from pathlib import Path

import pytest

from metafacs.config import DataConfig, LoopConfig, TrainConfig
from metafacs.errors import InputError
from metafacs.experiments.benchmark import BenchmarkConfig
from metafacs.methods.mal import MALOptions

MTL = TrainConfig(Path("unused"), DataConfig(Path("au")), method="mtl", loop=LoopConfig(steps=5))
GENTLE = replace(MTL, method="mal", label="gentle", options=MALOptions(alpha=0.01))


def test_every_cell_is_a_run_of_its_own(tmp_path: Path) -> None:
    cells = BenchmarkConfig(tmp_path, [MTL, GENTLE], ["P1", "P2"], [0, 3]).cells()
    assert len({cell.out for cell in cells}) == 8
    assert [cell.out.name for cell in cells[:3]] == ["mtl_P1_seed0", "gentle_P1_seed0", "mtl_P2_seed0"]
    assert (cells[2].data.test_fold, cells[2].seed) == ("P2", 0) and cells[-1].seed == 3
    assert cells[1].options == GENTLE.options and cells[0].data.primary == Path("au").resolve()


@pytest.mark.parametrize(
    ("variants", "message"),
    [
        ([], "--methods: nothing"),
        ([MTL, MTL], "--methods: mtl comes twice"),
        ([replace(MTL, label="../x")], r"'\.\./x' cannot name a run"),
    ],
)
def test_strange_variants_are_refused(variants: list[TrainConfig], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        BenchmarkConfig(tmp_path, variants)


@pytest.mark.parametrize("folds, seeds", [([], [0]), (["P1", "P1"], [0]), (["P1"], []), (["P1"], [2, 2])])
def test_every_fold_and_seed_comes_once(folds: list[str], seeds: list[int], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--(folds|seeds): "):
        BenchmarkConfig(tmp_path, [MTL], folds, seeds)
