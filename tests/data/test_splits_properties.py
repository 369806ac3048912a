"""Splits of any dataset: nobody on both sides, every row once, the same for the same seed, whatever the rows' order."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metafacs.data.splits import Split, auxiliary_rows, reserve_rows, split_by_fold
from metafacs.datasets import DATASETS
from metafacs.datasets.base import with_folds
from metafacs.errors import InputError
from metafacs.facs import EXPRESSIONS
from tests.strategies import COUNTS, run

FOLDS = ("P1", "P2", "P3")


@st.composite
def datasets(draw: st.DrawFn) -> tuple[list[str | None], list[str], np.ndarray]:
    """Fold, subject and whether labelled of each row; a subject is in one fold or in none."""
    people = draw(st.integers(1, 12))
    fold_of = [draw(st.sampled_from([*FOLDS, *FOLDS, None, ""])) for _ in range(people)]
    who = draw(st.lists(st.integers(0, people - 1), min_size=draw(st.sampled_from([1, 40])), max_size=80))
    labelled = draw(st.lists(st.sampled_from([True, True, False]), min_size=len(who), max_size=len(who)))
    return [fold_of[k] for k in who], [f"S{k:02d}" for k in who], np.array(labelled)


Sample = tuple[list[str | None], list[str], np.ndarray]
settings_of_reserve = st.tuples(
    st.floats(0.001, 0.5), st.integers(0, 80), st.integers(0, 5), st.sampled_from([0.0, 0.0, 0.1, 0.5])
)


def split(sample: Sample, wanted: tuple[float, int, int, float], test: str = "P1") -> Split | None:
    """The split; None where it is refused, in words."""
    fraction, minimum, seed, people = wanted
    try:
        return split_by_fold(*sample, test, fraction, minimum, seed, people)
    except InputError as error:
        assert "\n" not in str(error) and len(str(error)) > 20
        return None


@pytest.mark.parametrize("count", COUNTS)
def test_nobody_is_on_both_sides_and_every_row_is_once(count: int) -> None:
    made = Counter[bool]()

    @given(datasets(), settings_of_reserve)
    def check(sample: Sample, wanted: tuple[float, int, int, float]) -> None:
        folds, subjects, labelled = sample
        found = split(sample, wanted)
        made[found is not None] += 1
        if found is None:
            return
        parts = [found.train, found.reserve, found.test]
        rows = np.concatenate(parts)
        assert len(set(rows.tolist())) == len(rows) and all((np.diff(part) > 0).all() for part in parts)
        used = [k for k, fold in enumerate(folds) if fold and labelled[k]]
        assert sorted(rows.tolist()) == used
        assert all(folds[k] == "P1" for k in found.test) and all(folds[k] != "P1" for k in [*parts[0], *parts[1]])
        tested = {subjects[k] for k, fold in enumerate(folds) if fold == "P1"}
        assert set(found.test_subjects) == tested
        assert not tested & {subjects[k] for k in [*found.train, *found.reserve]}
        assert len(found.train) >= 2 and len(found.reserve) >= 2
        if wanted[3] or found.whole_people:
            assert not {subjects[k] for k in found.reserve} & {subjects[k] for k in found.train}
        else:
            assert {subjects[k] for k in found.reserve} == {subjects[k] for k in np.concatenate(parts[:2])}

    run(check, count)
    if count > 100:  # which few examples are drawn depends on the constants in the source
        assert made[True] > count / 20 and made[False]


@pytest.mark.parametrize("count", COUNTS)
def test_the_seed_decides_and_nothing_else(count: int) -> None:
    @given(datasets(), settings_of_reserve, st.randoms(use_true_random=False))
    def check(sample: Sample, wanted: tuple[float, int, int, float], random: object) -> None:
        found, again = split(sample, wanted), split(sample, wanted)
        assert (found is None) == (again is None)
        if found is None or again is None:
            return
        for one, other in ((found.train, again.train), (found.reserve, again.reserve), (found.test, again.test)):
            assert one.tolist() == other.tolist()
        folds, subjects, labelled = sample
        order = random.sample(range(len(folds)), len(folds))  # type: ignore[attr-defined]
        moved = split(([folds[k] for k in order], [subjects[k] for k in order], labelled[order]), wanted)
        assert moved is not None and moved.test_subjects == found.test_subjects
        assert sorted(order[k] for k in moved.test) == found.test.tolist()
        shares = [Counter(subjects[k] for k in part) for part in (found.train, found.reserve)]
        again_shares = [Counter(subjects[order[k]] for k in part) for part in (moved.train, moved.reserve)]
        assert shares == again_shares  # how many of each person; which images is up to their order
        if wanted[3] or found.whole_people:
            assert sorted(order[k] for k in moved.reserve) == found.reserve.tolist()

    run(check, count)


@pytest.mark.parametrize("count", COUNTS)
def test_a_subject_in_two_folds_is_refused(count: int) -> None:
    @given(datasets(), st.sampled_from(FOLDS[1:]))
    def check(sample: Sample, other: str) -> None:
        folds, subjects, labelled = sample
        both = ([*folds, "P1", other, other, "P1"], [*subjects, "both", "both", "third", "fourth"])
        with pytest.raises(InputError, match=r"subjects of test fold 'P1' are in other folds too: .*both"):
            split_by_fold(*both, np.append(labelled, [True] * 4), "P1")

    run(check, count)


@pytest.mark.parametrize("count", COUNTS)
def test_the_reserve_takes_from_everybody_alike(count: int) -> None:
    @given(st.lists(st.integers(1, 40), min_size=1, max_size=8), st.floats(0.001, 0.5), st.integers(0, 200))
    def check(sizes: list[int], fraction: float, minimum: int) -> None:
        subjects = np.repeat([f"S{k}" for k in range(len(sizes))], sizes)
        rows = np.arange(len(subjects))
        reserve = reserve_rows(rows, subjects, fraction, minimum, 0)
        taken = Counter(subjects[reserve])
        for name, size in zip(dict.fromkeys(subjects), sizes, strict=True):
            least, most = int(np.ceil(fraction * size)), max(1, int(np.ceil(fraction * size)), int(0.2 * size))
            assert least <= taken[name] <= most
        assert len(set(reserve.tolist())) == len(reserve)

    run(check, count)


@pytest.mark.parametrize("fraction", [0.0, -0.1, 0.51, 1.0, np.nan, np.inf])
def test_impossible_shares_are_refused(fraction: float) -> None:
    subjects = np.repeat(["A", "B"], 10)
    with pytest.raises(InputError, match="reserved fraction"):
        reserve_rows(np.arange(20), subjects, fraction, 0, 0)


@pytest.mark.parametrize("count", COUNTS)
def test_expression_rows_leave_tests_and_test_people_out(count: int) -> None:
    fold = st.sampled_from(["train", "test", "validation", None])
    expression = st.sampled_from([*EXPRESSIONS, None])
    row = st.tuples(fold, expression, st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(["1", "2", "3"])))

    @given(st.lists(row, max_size=30), st.sets(st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(["1", "2"]))))
    def check(rows: list[tuple[str | None, str | None, tuple[str, str]]], tested: set[tuple[str, str]]) -> None:
        columns = [list(column) for column in zip(*rows, strict=True)] or [[], [], []]
        wanted = [k for k, (own, name, who) in enumerate(rows) if own != "test" and name and who not in tested]
        if not wanted:
            with pytest.raises(InputError, match="no row with an expression"):
                auxiliary_rows(*columns, tested)
            return
        assert auxiliary_rows(*columns, tested).tolist() == wanted

    run(check, count)


@pytest.mark.parametrize("name", with_folds())
def test_published_folds_share_nobody(name: str) -> None:
    protocol = DATASETS[name].published
    everyone = protocol.everybody
    assert len(set(everyone)) == len(everyone)
    folds, notes = protocol.assign([*everyone, "X999"])
    assert all(subject in protocol.folds[folds[subject]] for subject in everyone)
    assert folds["X999"] == "" and any("X999" in note for note in notes)
