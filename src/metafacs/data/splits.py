"""Which rows train, which are reserved for the meta loss and for validation, which are the test."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metafacs.data.card import NO_FOLD
from metafacs.errors import InputError

Rows = NDArray[np.int64]
MOST_RESERVED = 0.2
"""No subject gives more than this share of its images to the reserve, however small the data."""

DEALS = 50
"""So many ways to deal people into folds are tried."""
NO_FOLDS = (
    "none of its faces is in a fold, so there is nobody to test on: prepare it again with folds, as with `metafacs "
    "prepare table --folds 3` (deals people), a column of folds, --protocol, or the reader's own list of test people"
)


@dataclass(frozen=True)
class Split:
    """Row numbers of one prepared AU dataset; no subject of `test` is in the other two.

    `whole_people` says whether the reserve holds all images of some people in place of some of everybody's.
    """

    train: Rows
    reserve: Rows
    test: Rows
    test_subjects: tuple[str, ...]
    whole_people: bool = False


def split_by_fold(
    folds: Sequence[str | None],
    subjects: Sequence[str],
    labelled: NDArray[np.bool_],
    test_fold: str,
    reserve_fraction: float = 0.02,
    reserve_minimum: int = 128,
    seed: int = 0,
    reserve_people: float = 0.0,
    reserve_fold: str | None = None,
) -> Split:
    """The subject-exclusive split that tests on `test_fold`.

    Args:
        folds: fold of every row; rows in none (empty, or `NO_FOLD`) are left out.
        subjects: subject of every row.
        labelled: (N,) whether the row has a label of any AU in use; the others are left out.
        test_fold: name of the test part.
        reserve_fraction: share of every training subject's images kept for the meta loss and for validation.
        reserve_minimum: images wanted in the reserve all the same where the fraction gives fewer.
        seed: of the choice of reserved images.
        reserve_people: share of the training subjects reserved whole instead; 0 reserves images of every subject,
            unless there are at most two images a subject, of which nothing would be left to train on.
        reserve_fold: name of a fold that is the reserve, whole and alone; the other two do not count then.

    Raises:
        InputError: no such fold, too little to train on or to test on, a subject on both sides.
    """
    fold, subject = np.array([str(f or "") for f in folds]), np.array([str(s) for s in subjects])
    known = sorted(set(fold) - {"", NO_FOLD})
    for name in (test_fold, *([reserve_fold] if reserve_fold else [])):
        if name not in known:
            have = f"it has {', '.join(known)}: choose one with --data.test_fold" if known else NO_FOLDS
            raise InputError(f"the AU dataset has no fold '{name}'; {have}")
    if reserve_fold == test_fold:
        raise InputError(f"the fold '{test_fold}' cannot be test and reserve at once")
    test = np.flatnonzero((fold == test_fold) & labelled)
    others = np.flatnonzero((fold != test_fold) & np.isin(fold, known) & labelled)
    if not len(test) or not len(others):
        raise InputError(
            f"with test fold '{test_fold}' there are {len(others)} labelled images to train on "
            f"and {len(test)} to test on"
        )
    test_subjects = set(subject[fold == test_fold])
    shared = sorted(test_subjects & set(subject[others]))
    if shared:
        raise InputError(f"subjects of test fold '{test_fold}' are in other folds too: {', '.join(shared[:5])}")
    people = len(set(subject[others]))
    if not (reserve_people or reserve_fold) and people >= 4 and len(others) <= 2 * people:
        reserve_people = max(reserve_fraction, min(reserve_minimum / len(others), MOST_RESERVED))
    if reserve_fold:
        reserve = others[fold[others] == reserve_fold]
    elif reserve_people:
        reserve = reserve_whole_subjects(others, subject, reserve_people, seed)
    else:
        reserve = reserve_rows(others, subject, reserve_fraction, reserve_minimum, seed)
    train = np.setdiff1d(others, reserve)
    if len(train) < 2 or len(reserve) < 2:
        raise InputError(
            f"of {len(others)} labelled images outside test fold '{test_fold}', {len(reserve)} are reserved and "
            f"{len(train)} left to train on; two of each are needed"
        )
    return Split(train, reserve, test, tuple(sorted(test_subjects)), bool(reserve_people))


def reserve_rows(rows: Rows, subjects: NDArray[np.str_], fraction: float, minimum: int, seed: int) -> Rows:
    """Rows drawn uniformly from every subject: `fraction` of them, more if that gives fewer than `minimum`.

    Args:
        rows: the rows to draw from.
        subjects: subject of every row of the dataset.
        fraction: share of each subject's rows, in (0, 1).
        minimum: wanted in total; a subject gives at most 20 % of its rows, so small data may stay below.
        seed: of the draw.

    Raises:
        InputError: a fraction outside (0, 0.5].
    """
    if not 0 < fraction <= 0.5:
        raise InputError(f"the reserved fraction is {fraction}; it must lie in (0, 0.5], 0.02 is the paper's")
    rng = np.random.default_rng([seed, 7])
    names, which = np.unique(subjects[rows], return_inverse=True)
    by_name = np.split(rows[np.argsort(which, kind="stable")], np.cumsum(np.bincount(which))[:-1])
    share = math.ceil(minimum / len(names))
    chosen = []
    for own in by_name:
        wanted = math.ceil(fraction * len(own))
        most = max(1, int(MOST_RESERVED * len(own)))
        chosen.append(rng.choice(own, max(wanted, min(share, most)), replace=False))
    return np.sort(np.concatenate(chosen))


def reserve_whole_subjects(rows: Rows, subjects: NDArray[np.str_], share: float, seed: int) -> Rows:
    """All rows of some subjects, so that what is measured on them speaks of people nobody trained on.

    Args:
        rows: the rows to draw from.
        subjects: subject of every row of the dataset.
        share: of the subjects, in (0, 0.5]; at least two are drawn.
        seed: of the draw.

    Raises:
        InputError: a share outside (0, 0.5], or too few subjects to leave two to train on.
    """
    if not 0 < share <= 0.5:
        raise InputError(f"the share of reserved people is {share}; it must lie in (0, 0.5], or be 0 to reserve images")
    names = sorted(set(subjects[rows]))
    if len(names) < 4:
        raise InputError(
            f"there are {len(names)} people outside the test fold; reserving whole people takes at least 4 "
            "(two reserved, two to train on): leave out --data.reserve_people"
        )
    wanted = min(max(2, math.ceil(share * len(names))), len(names) - 2)
    chosen = np.random.default_rng([seed, 11]).choice(names, wanted, replace=False)
    return np.sort(rows[np.isin(subjects[rows], chosen)])


def deal_people(subjects: Sequence[str], labels: NDArray[np.float32], folds: int, seed: int) -> dict[str, str]:
    """Deals people into folds P1, P2, ... that are alike in rows and in how often each label is there.

    Of `DEALS` deals the most even one counts. In each, people with much go first, more or less, each to the fold that
    has the least of what the person has.

    Args:
        subjects: subject of every row.
        labels: (N, K): 1 where a label is present, else 0 or NaN.
        folds: how many, at least 2.
        seed: of the deals.

    Returns:
        Subject -> fold.

    Raises:
        InputError: fewer than two folds, or more folds than people.
    """
    names, person = np.unique(np.asarray(subjects, str), return_inverse=True)
    if not 2 <= folds <= len(names):
        raise InputError(f"{len(names)} people cannot be dealt into {folds} folds; give from 2 to {len(names)}")
    counts = np.zeros((len(names), 1 + labels.shape[1]))
    np.add.at(counts, person, np.column_stack([np.ones(len(person)), labels == 1]))
    counts /= counts.sum(axis=0).clip(min=1)
    rng, best = np.random.default_rng([seed, 13]), (np.inf, np.zeros(len(names), int))
    for _ in range(DEALS):
        totals, people, dealt = np.zeros((folds, counts.shape[1])), np.zeros(folds, int), np.zeros(len(names), int)
        for one in np.argsort(-np.linalg.norm(counts, axis=1) * rng.uniform(0.5, 1, len(names)), kind="stable"):
            dealt[one] = fold = np.lexsort((people, totals @ counts[one]))[0]
            totals[fold] += counts[one]
            people[fold] += 1
        best = min(best, (float((totals**2).sum()), dealt), key=lambda deal: deal[0])
    return {str(name): f"P{fold + 1}" for name, fold in zip(names, best[1], strict=True)}


def auxiliary_rows(
    folds: Sequence[str | None],
    expressions: Sequence[str | None],
    identities: Sequence[tuple[str, str]],
    test_identities: set[tuple[str, str]],
) -> Rows:
    """Rows of an expression dataset that may train: with an expression, outside its own test part, no test subject.

    Args:
        folds: fold of every row; "test" is left out.
        expressions: expression of every row, None where there is none.
        identities: (dataset, subject) of every row.
        test_identities: (dataset, subject) pairs of the AU test fold.

    Raises:
        InputError: nothing is left.
    """
    keep = [
        fold != "test" and expression is not None and identity not in test_identities
        for fold, expression, identity in zip(folds, expressions, identities, strict=True)
    ]
    if not any(keep):
        raise InputError("the expression dataset has no row with an expression outside its test part")
    return np.flatnonzero(keep)
