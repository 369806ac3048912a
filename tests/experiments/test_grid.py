from pathlib import Path

import pytest

from metafacs.errors import InputError
from metafacs.experiments.grid import Variant, cells, keep_settings, read_seeds, read_variants


def test_variants_have_options_and_names() -> None:
    plain, gentle = read_variants("mtl, gentle=mal:alpha=0.01;optimiser.learning_rate=1e-4")
    assert plain.flags == ["--method", "mtl"]
    assert gentle.flags == [
        *("--method", "mal", "--label", "gentle"),
        *("--mal.alpha", "0.01", "--optimiser.learning_rate", "1e-4"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no method was named"),
        ("mal,mal", "mal comes twice"),
        ("mall", "mall"),
        ("mal:alpha=1", "write NAME=mal:alpha=1"),
        ("a=mal:alpha", "'alpha' in 'a=mal:alpha' is no option"),
        ("../x=mal", r"'\.\./x' cannot name a run"),
    ],
)
def test_strange_methods_are_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_variants(text)


@pytest.mark.parametrize("text", ["", "a", "-1", "0,0", "1.5"])
def test_strange_seeds_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="--seeds"):
        read_seeds(text)


def test_every_cell_is_a_run_of_its_own(tmp_path: Path) -> None:
    variants = [Variant("mtl", "mtl", {}), Variant("a", "mal", {})]
    jobs = cells(tmp_path, variants, ["P1", "P2"], [0, 3], {"P1": 5, "P2": 6})
    assert len({job.run for job in jobs}) == 8
    assert [job.name for job in jobs[:3]] == ["mtl_P1_seed0", "a_P1_seed0", "mtl_P2_seed0"]
    assert jobs[2].steps == 6 and jobs[2].flags[-4:] == ["--data.test_fold", "P2", "--seed", "0"]


def test_a_grid_keeps_its_settings(tmp_path: Path) -> None:
    keep_settings(tmp_path / "grid", {"loop": {"steps": 5}})
    keep_settings(tmp_path / "grid", {"loop": {"steps": 5}})
    with pytest.raises(InputError, match="other settings"):
        keep_settings(tmp_path / "grid", {"loop": {"steps": 6}})
