"""Shifted labels are found, unshifted ones are left in peace."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from metafacs.datasets.audit.finding import CHECK, NOTE
from metafacs.datasets.audit.lag import FEWEST_PEOPLE, LAGS, SHORTEST, LagFit, check_lag, fit, fit_lags, stretches

Drawn = tuple[list[str], list[np.ndarray], list[np.ndarray]]


def draw(seed: int, people: int = 9, frames: int = 120, aus: int = 4, noise: float = 1.0, ramp: int = 1) -> Drawn:
    """Recordings in which each AU brightens its own pixels, over `ramp` frames, before a person's own background."""
    rng = np.random.default_rng(seed)
    patterns = rng.normal(0, 1, (aus, 36))
    names, pictures, labels = [], [], []
    for number in range(people):
        change = rng.random((frames, aus)) < 0.06
        level = np.cumsum(change, axis=0) % 2
        kernel = np.hanning(ramp + 2) / np.hanning(ramp + 2).sum()
        shown = np.stack([np.convolve(column, kernel, "same") for column in level.T], axis=1)
        drift = np.cumsum(rng.normal(0, 0.2, (frames, 36)), axis=0)
        seen = shown @ patterns + drift + rng.normal(0, noise, (frames, 36)) + rng.normal(0, 3, 36)
        names.append(f"S{number}")
        pictures.append(seen.astype(np.float32))
        labels.append(level.astype(float))
    return names, pictures, labels


def shifted(drawn: Drawn, by: int) -> LagFit:
    """Labels stand `by` frames behind their pictures."""
    names, pictures, labels = drawn
    first, last = max(0, -by), min(0, -by) or None
    cut = [own[first:last] for own in labels]
    shown = [own[max(0, by) : min(0, by) or None] for own in pictures]
    return fit(names, shown, cut)


@pytest.mark.parametrize("by", [-2, -1, 1, 2])
@pytest.mark.parametrize("ramp", [1, 5])
def test_shifts_are_found(by: int, ramp: int) -> None:
    found = shifted(draw(1, people=20, frames=150, ramp=ramp), by)
    assert found.best == -by and found.enough
    (finding,) = check_lag(found)
    assert finding.level == CHECK and finding.topic == "off by one"
    assert f"{abs(by)} frame{'s' if abs(by) > 1 else ''} {'earlier' if by > 0 else 'later'}" in finding.text


def test_it_rarely_cries_wolf() -> None:
    drawn = [draw(seed, people=6, frames=60, noise=4.0, ramp=1 + seed % 7) for seed in range(40)]
    found = [check_lag(shifted(one, 0)) for one in drawn]
    assert sum(any(one.level == CHECK for one in said) for said in found) <= 1


def test_labels_that_have_nothing_to_do_with_pictures_are_not_suspected() -> None:
    wolves = 0
    for seed in range(20):
        names, pictures, _ = draw(seed)
        _, _, labels = draw(seed + 100)
        wolves += any(one.level == CHECK for one in check_lag(fit(names, pictures, labels)))
    assert wolves <= 1


def test_little_is_not_enough() -> None:
    names, pictures, labels = draw(0, people=FEWEST_PEOPLE - 1)
    assert check_lag(fit(names, pictures, labels)) == []
    assert check_lag(fit(*draw(0, people=2))) == [] == check_lag(fit([], [], []))
    names, pictures, labels = draw(0)
    assert check_lag(fit(names, pictures, [np.full_like(own, np.nan) for own in labels])) == []
    assert check_lag(fit(names, pictures, [0 * own for own in labels])) == []


def test_unknown_labels_do_no_harm() -> None:
    names, pictures, labels = draw(2)
    rng = np.random.default_rng(0)
    holes = [np.where(rng.random(own.shape) < 0.1, np.nan, own) for own in labels]
    (finding,) = check_lag(shifted((names, pictures, holes), 1))
    assert finding.level == CHECK
    assert np.isfinite(fit(names, pictures, holes).fits).all()


def test_only_frames_without_a_gap_count() -> None:
    frames = [*range(1, 21), *range(22, 42), 1, 2]
    rows = pd.DataFrame({"subject": ["A"] * 40 + ["B"] * 2, "sequence": "x", "frame": frames})
    assert [own.tolist() for own in stretches(rows)] == [list(range(20)), list(range(20, 40))]
    short = pd.DataFrame({"subject": "A", "sequence": "x", "frame": range(SHORTEST - 1)})
    assert stretches(short) == []


def test_lags_are_symmetric() -> None:
    assert LAGS[len(LAGS) // 2] == 0 and [-lag for lag in reversed(LAGS)] == list(LAGS)


@pytest.mark.slow
@pytest.mark.skipif(not (find_spec("anny") and find_spec("warp")), reason="the synth extra is not installed")
@pytest.mark.parametrize("by", [0, 1, -1])
def test_rendered_recordings(by: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    from dataclasses import replace

    from facsynth.plans import Clip, Subject
    from metafacs.synth.presets import bp4d_plan
    from metafacs.synth.rendering import Drawing, render_dataset

    plan = bp4d_plan(8, 0.5)
    clips = [Clip("T1", 50, 1), Clip("T2", 50, 100)]
    people = tuple(Subject(one.name, one.fold, tuple(clips), one.male) for one in plan.subjects[:9])
    folder = tmp_path_factory.getbasetemp() / "rendered"
    drawing = Drawing(size=48, rays=1, workers=1)
    dataset = render_dataset(folder, replace(plan, subjects=people, step=0.5), drawing)
    rows = dataset.to_pandas()
    columns = [name for name in rows if str(name).startswith("AU")]
    rows[columns] = rows.groupby(["subject", "sequence"])[columns].shift(by).fillna(rows[columns])
    (finding,) = check_lag(fit_lags(dataset, rows))
    assert finding.level == (CHECK if by else NOTE), finding.text
    assert by == 0 or ("earlier" if by > 0 else "later") in finding.text


def test_pictures_are_read_from_a_dataset(tmp_path: Path) -> None:
    from tests.builders import make_prepared

    dataset = make_prepared(tmp_path / "out", subjects=6, frames=60)
    rows = dataset.to_pandas()
    told: list[tuple[int, int]] = []
    (finding,) = check_lag(fit_lags(dataset, rows, lambda *at: told.append(at)))
    assert finding.level == NOTE and "own pictures best" in finding.text and told[-1] == (360, 360)
    columns = [name for name in rows if str(name).startswith("AU")]
    rows[columns] = rows.groupby("subject")[columns].shift(1).fillna(rows[columns])
    (finding,) = check_lag(fit_lags(dataset, rows))
    assert finding.level == CHECK and "1 frame earlier" in finding.text
