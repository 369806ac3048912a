from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metafacs.data.splits import auxiliary_rows, deal_people, reserve_rows, split_by_fold
from metafacs.errors import InputError


def dataset(sizes: dict[str, int], folds: int = 3) -> tuple[list[str], list[str]]:
    """Folds and subjects of rows; subjects take turns in the folds."""
    pairs = [(f"P{k % folds + 1}", name) for k, (name, size) in enumerate(sizes.items()) for _ in range(size)]
    return [fold for fold, _ in pairs], [name for _, name in pairs]


def split(sizes: dict[str, int], test_fold: str = "P1", **options):
    folds, subjects = dataset(sizes)
    return split_by_fold(folds, subjects, np.ones(len(folds), bool), test_fold, **options)


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 40), min_size=5, max_size=12),
    test_fold=st.sampled_from(["P1", "P2", "P3"]),
    fraction=st.floats(0.001, 0.5),
    minimum=st.integers(0, 200),
    seed=st.integers(0, 3),
    unlabelled=st.floats(0, 0.4),
)
def test_every_split_is_clean(sizes, test_fold, fraction, minimum, seed, unlabelled) -> None:
    folds, subjects = dataset({f"S{k}": size for k, size in enumerate(sizes)})
    labelled = np.random.default_rng(seed).random(len(folds)) >= unlabelled
    try:
        found = split_by_fold(folds, subjects, labelled, test_fold, fraction, minimum, seed)
    except InputError:
        return
    fold, subject = np.array(folds), np.array(subjects)
    assert sorted([*found.train, *found.reserve, *found.test]) == np.flatnonzero(labelled).tolist()
    assert not {*subject[found.train], *subject[found.reserve]} & set(subject[found.test])
    assert set(fold[found.test]) == {test_fold} and test_fold not in {*fold[found.train], *fold[found.reserve]}
    assert set(found.test_subjects) == set(subject[fold == test_fold])
    giving = set(subject[labelled & (fold != test_fold)])
    assert found.whole_people or set(subject[found.reserve]) == giving, "every subject gives some"


def test_the_reserve_is_the_papers_two_per_cent_of_every_subject() -> None:
    found = split({"a": 9, "b": 1000, "c": 500, "d": 9, "e": 150, "f": 100}, reserve_minimum=0)
    _, subjects = dataset({"a": 9, "b": 1000, "c": 500, "d": 9, "e": 150, "f": 100})
    assert Counter(np.array(subjects)[found.reserve]) == {"b": 20, "c": 10, "e": 3, "f": 2}


def test_small_data_reserve_more_but_never_above_a_fifth_of_a_subject() -> None:
    sizes = {"a": 9, "b": 100, "c": 20, "d": 9, "e": 1}
    rows = reserve_rows(np.arange(9, 130), np.array(dataset(sizes)[1]), 0.02, 60, 0)
    assert Counter(np.array(dataset(sizes)[1])[rows]) == {"b": 20, "c": 4, "d": 1}


def test_the_reserve_is_uniform_over_a_subjects_images() -> None:
    sizes = {"a": 10, "b": 50, "c": 50}
    counts = np.zeros(110)
    for seed in range(400):
        counts[split(sizes, reserve_minimum=20, seed=seed).reserve] += 1
    assert not counts[:10].any()
    assert counts[10:].min() > 40 and counts[10:].max() < 130, "80 are expected of each"


def test_whole_people_are_reserved_where_asked() -> None:
    folds, subjects = dataset({f"S{k:02}": 10 for k in range(30)})
    found = split({f"S{k:02}": 10 for k in range(30)}, reserve_people=0.2)
    names = {part: {subjects[row] for row in getattr(found, part)} for part in ("train", "reserve", "test")}
    assert len(names["reserve"]) == 4 and len(found.reserve) == 40
    assert not names["reserve"] & names["train"] and len(names["train"]) == 16
    assert names["test"] == {name for fold, name in zip(folds, subjects, strict=True) if fold == "P1"}
    other = split({f"S{k:02}": 10 for k in range(30)}, reserve_people=0.2, seed=1)
    assert {subjects[row] for row in other.reserve} != names["reserve"]


@pytest.mark.parametrize("each", [1, 2])
def test_with_one_or_two_pictures_a_person_whole_people_are_reserved(each: int) -> None:
    sizes = {f"S{k:03}": each for k in range(150)}
    found, subjects = split(sizes), np.array(dataset(sizes)[1])
    assert found.whole_people and len(found.reserve) == 20 * each and len(found.train) == 80 * each
    assert not set(subjects[found.reserve]) & set(subjects[found.train])
    assert not split(dict.fromkeys(sizes, 3)).whole_people
    large = split({f"S{k:05}": 1 for k in range(30_000)})
    assert len(large.reserve) == 400, "the paper's 2 % of 20,000"


def test_people_are_dealt_whole_alike_and_by_the_seed() -> None:
    rng = np.random.default_rng(0)
    sizes = rng.integers(20, 80, 31)
    subjects = np.repeat([f"S{k:02}" for k in range(31)], sizes)
    rates = np.repeat(rng.uniform(0, 0.6, (31, 4)), sizes, axis=0)
    labels = (rng.random((len(subjects), 4)) < rates).astype(np.float32)
    labels[rng.random(labels.shape) < 0.1] = np.nan
    folds = deal_people(subjects.tolist(), labels, 3, seed=0)
    of_row = np.array([folds[name] for name in subjects])
    parts = [labels[of_row == fold] for fold in ("P1", "P2", "P3")]
    assert sum(map(len, parts)) == len(subjects) and set(folds) == set(subjects)
    assert np.ptp([len(part) for part in parts]) < 0.1 * len(subjects)
    assert np.ptp([np.nanmean(part, axis=0) for part in parts], axis=0).max() < 0.08
    shuffled = rng.permutation(len(subjects))
    assert deal_people(subjects[shuffled].tolist(), labels[shuffled], 3, seed=0) == folds
    alike = [f"S{k}" for k in range(9)]
    dealt = [deal_people(alike, np.zeros((9, 1), np.float32), 3, seed) for seed in range(3)]
    assert all(Counter(each.values()) == {"P1": 3, "P2": 3, "P3": 3} for each in dealt)
    assert dealt[0] != dealt[1] or dealt[0] != dealt[2]


@pytest.mark.parametrize("folds", [0, 1, 4])
def test_people_cannot_be_dealt_into_more_folds_than_there_are(folds: int) -> None:
    with pytest.raises(InputError, match=f"3 people cannot be dealt into {folds} folds"):
        deal_people(["a", "b", "c"], np.zeros((3, 1), np.float32), folds, 0)


def test_a_fold_is_reserved_whole_where_asked() -> None:
    folds, subjects = ["P1", "P2", "P2", "people", "people", "P2"], ["a", "b", "b", "c", "d", "e"]
    part = split_by_fold(folds, subjects, np.ones(6, bool), "P1", reserve_fold="people")
    assert (part.test.tolist(), part.reserve.tolist(), part.train.tolist()) == ([0], [3, 4], [1, 2, 5])
    for name, message in (("P3", "no fold 'P3'; it has P1, P2, people"), ("P1", "test and reserve at once")):
        with pytest.raises(InputError, match=message):
            split_by_fold(folds, subjects, np.ones(6, bool), "P1", reserve_fold=name)


def test_people_cannot_be_reserved_where_too_few_are_left_or_the_share_is_wrong() -> None:
    with pytest.raises(InputError, match="at least 4"):
        split({f"S{k}": 10 for k in range(5)}, reserve_people=0.2)
    with pytest.raises(InputError, match=r"\(0, 0.5\]"):
        split({f"S{k}": 10 for k in range(30)}, reserve_people=0.7)


def test_a_seed_gives_one_split() -> None:
    sizes = {"a": 30, "b": 30, "c": 30}
    assert np.array_equal(split(sizes, seed=4).reserve, split(sizes, seed=4).reserve)
    assert not np.array_equal(split(sizes, seed=4).reserve, split(sizes, seed=5).reserve)


def test_rows_without_a_fold_or_a_label_are_left_out() -> None:
    folds = ["P1", "P1", "P2", "P2", "P2", "P2", None]
    subjects = ["a", "a", "b", "b", "b", "b", "c"]
    labelled = np.array([True, False, True, True, True, True, True])
    with pytest.raises(InputError, match="two of each"):
        split_by_fold(folds, subjects, labelled, "P1", 0.02, 0)
    found = split_by_fold(folds, subjects, labelled, "P1", 0.5, 0)
    assert found.test.tolist() == [0]
    assert sorted([*found.train, *found.reserve]) == [2, 3, 4, 5]
    assert found.test_subjects == ("a",)


@pytest.mark.parametrize(
    "folds, subjects, labelled, message",
    [
        (["P1", "P2"], ["a", "b"], [1, 1], "no fold 'P9'; it has P1, P2: choose one with --data.test_fold"),
        ([None, None], ["a", "b"], [1, 1], "no fold 'P9'; none of its faces is in a fold.* --folds 3"),
        (["all", "all"], ["a", "b"], [1, 1], "no fold 'P9'; none of its faces is in a fold.* --folds 3"),
        (["P9", "all"], ["a", "b"], [1, 1], "0 labelled images to train on and 1 to test on"),
        (["P9", "P2"], ["a", "b"], [0, 1], "1 labelled images to train on and 0 to test on"),
        (["P9", "P9"], ["a", "b"], [1, 1], "0 labelled images to train on and 2 to test on"),
        (["P9", "P2", "P2"], ["a", "a", "b"], [1, 1, 1], "subjects of test fold 'P9' are in other folds too: a"),
        (["P9", "P2", "P2"], ["a", "a", "b"], [0, 1, 1], "0 to test on"),
        (["P9", "P9", "P2"], ["a", "b", "a"], [0, 1, 1], "in other folds too: a"),
        (["P9", "P2", "P3"], ["a", "b", "c"], [1, 1, 1], "2 are reserved and 0 left to train on"),
    ],
)
def test_what_cannot_be_split(folds, subjects, labelled, message) -> None:
    with pytest.raises(InputError, match=message):
        split_by_fold(folds, subjects, np.array(labelled, bool), "P9")


@pytest.mark.parametrize("fraction", [0, -0.1, 0.51, 1, float("nan")])
def test_a_reserved_fraction_outside_its_range(fraction: float) -> None:
    with pytest.raises(InputError, match=r"must lie in \(0, 0.5\]"):
        split({"a": 9, "b": 9, "c": 9}, reserve_fraction=fraction)


def test_auxiliary_rows_have_an_expression_and_are_in_no_test() -> None:
    rows = [
        ("train", "fear", ("raf", "x")),
        ("test", "fear", ("raf", "x")),
        ("train", None, ("raf", "x")),
        ("train", "anger", ("disfa", "s1")),
        ("train", "anger", ("disfa", "s2")),
        (None, "anger", ("bp4d", "s1")),
        ("P1", "anger", ("raf", None)),
    ]
    folds, expressions, identities = zip(*rows, strict=True)
    assert auxiliary_rows(folds, expressions, identities, {("disfa", "s1")}).tolist() == [0, 4, 5, 6]


def test_no_auxiliary_row_is_left() -> None:
    with pytest.raises(InputError, match="no row with an expression"):
        auxiliary_rows(["test", "train"], ["fear", None], [("a", "b")] * 2, set())
